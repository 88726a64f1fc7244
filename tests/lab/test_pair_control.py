"""One configuration on both nodes or on neither; what tandemctl says about the pair."""
import json
import os
import subprocess
import time

import pytest

from conftest import PREFIX
from tandemlab.host import in_ns, run
from tandemlab.lab import Lab


@pytest.fixture(scope="module")
def pair():
    with Lab(PREFIX) as lab:
        yield lab.up()


def ctl(pair, node, *arguments):
    router = pair.routers[node]
    return subprocess.run([os.path.join(router.sbin_dir, "tandemctl"), "--instance",
                           router.instance, *arguments], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for(condition, what, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def variant(pair, weight):
    """The running configuration with another weight of one server."""
    with open(pair.routers["r1"].config, encoding="utf-8") as f:
        lines = [line for line in f.read().splitlines() if "name: p1" not in line]
    at = next(i for i, line in enumerate(lines) if "name: s2" in line and "8080" in line)
    lines[at] = f'      - {{ name: s2, endpoint: "10.1.1.12:8080", weight: {weight} }}'
    path = os.path.join(pair.run_dir, f"weight-{weight}.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    return path


def generations(pair):
    return {node: (status["generation"], status["digest"])
            for node, status in ((n, r.status()) for n, r in pair.routers.items())}


def alarms(pair, node):
    return [a["alarm"] for a in pair.routers[node].status()["alarms"]]


@pytest.mark.parametrize("node, weight", [("r1", 5), ("r2", 6)])
def test_apply_on_either_node_changes_both(pair, node, weight):
    roles = {n: r.status()["role"] for n, r in pair.routers.items()}
    before = generations(pair)
    path = variant(pair, weight)
    done = ctl(pair, node, "apply", path)
    assert done.returncode == 0, done.stdout
    after = generations(pair)
    assert after["r1"] == after["r2"]
    assert after["r1"][0] > before["r1"][0] and after["r1"][1] != before["r1"][1]
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for router in pair.routers.values():
        with open(router.config, encoding="utf-8") as f:
            assert f.read() == text
    assert {n: r.status()["role"] for n, r in pair.routers.items()} == roles
    lb = json.loads(ctl(pair, "r2", "--json", "lb").stdout)
    weights = {row["weight"] for table in lb["tables"] for row in table["rows"]
               if row.get("server") == "s2" and row.get("balancer") == "web"
               for row in [{"weight": row.get("server_weight")}] if row["weight"]}
    assert weights == {weight}


def test_a_configuration_of_many_packets_reaches_both(pair):
    path = variant(pair, 9)
    rules = "".join(
        f"  - {{ name: p{n}, protocol: tcp, public: 203.0.113.10, public_ports: {n},"
        f" private: 10.1.1.12, private_ports: {n} }}\n" for n in range(10000, 13000))
    with open(path, encoding="utf-8") as f:
        text = f.read().replace("port_forwarding:\n", "port_forwarding:\n" + rules)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    assert len(text) > 300000
    done = ctl(pair, "r1", "apply", path)
    assert done.returncode == 0, done.stdout
    after = generations(pair)
    assert after["r1"] == after["r2"]
    assert "p12999" in ctl(pair, "r2", "nat").stdout
    # and back, with a broken one in between
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("p12999,", "p12998,"))
    refused = ctl(pair, "r1", "apply", path)
    assert refused.returncode == 1 and "p12998" in refused.stdout
    assert generations(pair) == after
    assert ctl(pair, "r2", "apply", variant(pair, 6)).returncode == 0


def test_alone_changes_one_and_raises_the_alarm_until_both_agree(pair):
    path = variant(pair, 7)
    assert ctl(pair, "r2", "apply", "--alone", path).returncode == 0
    wait_for(lambda: "generation_differs" in alarms(pair, "r1"), "alarm on r1")
    wait_for(lambda: "generation_differs" in alarms(pair, "r2"), "alarm on r2")
    assert ctl(pair, "r1", "apply", path).returncode == 0
    wait_for(lambda: not any("generation_differs" in alarms(pair, n) for n in pair.routers),
             "no alarm")
    after = generations(pair)
    assert after["r1"] == after["r2"]


def test_a_peer_that_is_away_refuses_for_both(pair):
    before = generations(pair)
    path = variant(pair, 8)
    pair.topology.cut(pair.topology.ports("r2", ["sync"]))
    try:
        wait_for(lambda: not pair.routers["r1"].status()["sync"]["connected"], "cut")
        refused = ctl(pair, "r1", "apply", path)
        assert refused.returncode == 1
        assert "r2: not reachable" in refused.stdout
    finally:
        pair.topology.heal()
    wait_for(lambda: pair.routers["r1"].in_sync(), "in sync again", 30)
    assert generations(pair) == before


def test_switchover_and_its_refusal(pair):
    wait_for(lambda: pair.routers["r1"].in_sync() and pair.routers["r2"].in_sync(), "in sync")
    active = pair.active()
    other = "r2" if active == "r1" else "r1"
    refused = ctl(pair, other, "switchover")
    assert refused.returncode == 1
    assert "not Active" in refused.stdout
    done = ctl(pair, active, "--json", "switchover")
    assert done.returncode == 0 and json.loads(done.stdout)["ok"] is True
    wait_for(lambda: pair.active() == other, f"{other} is Active", 3)


def test_tables_name_what_they_show(pair):
    assert "wan0" in ctl(pair, "r1", "vrrp").stdout
    assert "in sync" in ctl(pair, "r1", "sync").stdout
    assert "10.1.1.11:8080" in ctl(pair, "r1", "lb").stdout
    assert "ssh-farm" in ctl(pair, "r1", "nat").stdout
    assert ctl(pair, "r1", "resync").returncode == 0
    for what in ("status", "vrrp", "sync", "lb", "nat"):
        json.loads(ctl(pair, "r2", "--json", what).stdout)


def strict(text):
    """JSON in which no key stands twice, as RFC 8259 wants it."""
    def unique(pairs):
        keys = [key for key, _ in pairs]
        assert len(keys) == len(set(keys)), f"a key twice in {keys}"
        return dict(pairs)

    return json.loads(text, object_pairs_hook=unique)


def test_the_strict_reader_sees_a_key_that_stands_twice():
    assert strict('{"a": {"b": 1}, "c": [{"b": 2}]}') == {"a": {"b": 1}, "c": [{"b": 2}]}
    with pytest.raises(AssertionError, match="twice"):
        strict('{"a": [{"b": 1, "b": 1}]}')


@pytest.mark.parametrize("node", ["r1", "r2"])
def test_every_json_is_whole_and_has_each_key_once(pair, node, tmp_path):
    config = pair.routers[node].config
    broken = tmp_path / 'no "file".yaml'
    broken.write_text("cluster: lab\n")
    key = tmp_path / 'a "key"'
    standby = next(n for n, r in pair.routers.items() if r.status()["role"] == "Backup")
    asked = [(node, code, command) for code, command in (
        (0, ["status"]), (0, ["vrrp"]), (0, ["sync"]), (0, ["lb"]), (0, ["nat"]),
        (0, ["check"]), (0, ["version"]), (0, ["resync"]),
        (0, ["check-config", config]), (1, ["check-config", str(broken)]),
        (0, ["apply", config]), (1, ["apply", str(broken)]),
        (0, ["keygen", "--show"]), (0, ["keygen", "--out", str(key)]))]
    asked.append((standby, 1, ["switchover"]))
    for where, code, command in asked:
        done = ctl(pair, where, "--json", *command)
        assert done.returncode == code, (command, done.stdout)
        assert strict(done.stdout), command
    for page in ("status", "vrrp", "sync", "lb", "nat"):
        address = {"r1": "10.254.0.1", "r2": "10.254.0.2"}[node]
        assert strict(run(in_ns(pair.topology.ns("obs"), [
            "curl", "-sS", "-m", "5", f"http://{address}:9480/api/v1/{page}"])))


def test_who_is_not_in_the_group_is_refused(pair):
    router = pair.routers["r1"]
    command = [os.path.join(router.sbin_dir, "tandemctl"), "--instance", router.instance,
               "status"]
    stranger = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                               *command], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
    assert stranger.returncode == 1
    assert "Permission denied" in stranger.stdout
    member = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--groups=tandem",
                             *command], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, check=False)
    assert member.returncode == 0, member.stdout
