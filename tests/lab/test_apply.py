"""A running pair told to apply a broken file keeps running unchanged, on both nodes."""
import os
import subprocess

import pytest

from tandemlab.host import in_ns, run
from tandemlab.scenario import Load, failures

# what is done to the text of the valid file, and the key that must be named
BROKEN = {
    "an interface twice": (("name: lan0", "name: wan0"), "name"),
    "a priority of 300": (("priority: 150", "priority: 300"), "priority"),
    "an address that is none": (("203.0.113.10/24", "203.0.113.1000/24"), "addresses"),
    "an unknown key": (("cluster: lab", "cluster: lab\nclutter: lab"), "clutter"),
    "no YAML": (("nodes:", "nodes: ]["), ""),
}
# valid, but the kernel of the Active router refuses it, after the Backup has accepted it
REFUSED = {
    "a route by the broadcast address":
        (("via: 203.0.113.254", "via: 203.0.113.255"), "vrrpd"),
}


def facts(lab):
    """What must not change: role, term, generation and digest of both nodes."""
    found = {}
    for node, router in lab.routers.items():
        status = router.status()
        found[node] = {key: status[key] for key in ("role", "term", "generation", "digest")}
        found[node]["pids"] = router.pids()
    return found


@pytest.fixture(scope="module")
def pair():
    from conftest import PREFIX
    from tandemlab.lab import Lab
    with Lab(PREFIX) as lab:
        yield lab.up()


def kernel(lab):
    """The virtual addresses and routes that stand on both nodes."""
    return {node: [sorted(run(in_ns(router.namespace, command)).splitlines()) for command in (
        ["ip", "-br", "address"], ["ip", "route", "show", "proto", "112"])]
            for node, router in lab.routers.items()}


@pytest.mark.parametrize("name", [*BROKEN, *REFUSED])
def test_a_broken_file_changes_nothing(pair, name):
    (old, new), key = {**BROKEN, **REFUSED}[name]
    router = pair.routers["r1"]
    with open(router.config, encoding="utf-8") as f:
        text = f.read()
    assert old in text
    path = os.path.join(pair.run_dir, "broken.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new, 1))
    before, stands = facts(pair), kernel(pair)
    load = Load(pair, sessions=10, bulk=0)
    try:
        done = subprocess.run(
            [os.path.join(router.sbin_dir, "tandemctl"), "--instance", router.instance,
             "apply", path], capture_output=True, text=True, check=False)
        found = load.finish()
    finally:
        load.stop()
    assert done.returncode == 1
    assert key in done.stderr and (name in REFUSED or path in done.stderr)
    assert facts(pair) == before and kernel(pair) == stands
    assert failures({**found, "blackouts": {}}) == []
