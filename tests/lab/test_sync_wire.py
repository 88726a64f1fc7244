"""What an eavesdropper on the sync link learns about the flows: nothing."""
import os
import random
import signal
import subprocess
import time

import pytest

import wirescan
from tandemlab.agents import Agent, wait_ready
from tandemlab.host import in_ns, progress, run, wait_for
from tandemlab.lab import with_key
from tandemlab.scenario import Load

SYNC = ("10.255.0.1", "10.255.0.2")


def ipv6_agents(lab):
    """IPv6 through the pair: from inside to the client, nothing is translated."""
    return [Agent(lab.topology, "s3", "sessions", kind="IPv6", dest="2001:db8:1::fe",
                  ports="7000", count=100),
            Agent(lab.topology, "s2", "udp", kind="udp IPv6", dest="2001:db8:1::fe",
                  ports="7001")]


def tuples_in(lab, node):
    """The flows in a router's kernel, without those of the sync link itself, whose addresses
    and ports its packets bear."""
    found = set()
    for family in ("ipv4", "ipv6"):
        found |= wirescan.tuples_of(run(in_ns(lab.topology.ns(node), [
            "conntrack", "-L", "-f", family])))
    return {t for t in found if t.src not in SYNC}


def capture(lab, path):
    """Everything on the sync link while sessions of all kinds open; returns their tuples."""
    agents, tuples = [], set()
    with subprocess.Popen(
            in_ns(lab.topology.ns("switch"), ["tcpdump", "-i", "sync-r1", "-U", "-w", path]),
            stderr=subprocess.PIPE, text=True, start_new_session=True) as tcpdump:
        try:
            assert "listening" in tcpdump.stderr.readline()
            agents = ipv6_agents(lab)
            load = Load(lab, sessions=100, bulk=0)
            try:
                wait_ready(agents)
                for _ in range(8):  # also the short connections, and the witness
                    tuples |= tuples_in(lab, "r1")
                    time.sleep(0.25)
                # the peer holds them: they were on the wire, in whatever form
                held = tuples_in(lab, "r2")
            finally:
                load.stop()
        finally:
            for agent in agents:
                agent.process.kill()
                agent.stop()
            tcpdump.send_signal(signal.SIGINT)
    return tuples, held


@pytest.fixture(scope="module")
def captured():
    """(what was on the wire, the flows of r1 meanwhile, what r2 held of them)"""
    from conftest import PREFIX
    from tandemlab.lab import Lab
    with Lab(PREFIX) as lab:
        lab.up()
        path = os.path.join(lab.run_dir, "sync.pcap")
        tuples, held = capture(lab, path)
        yield wirescan.read_capture(path, SYNC), tuples, held


def test_no_flow_is_readable_on_the_sync_link(captured):
    seen, tuples, held = captured
    travelled = tuples & held
    assert sum(wirescan.is_v4(t.src) for t in travelled) >= 2 * 400
    assert sum(not wirescan.is_v4(t.src) for t in travelled) >= 2 * 100
    # the records of the flows, and the witness's messages
    assert sum(len(t) for t in seen.tcp) > 500 * 32
    assert {m[:4] for m in seen.udp} == {b"TW\1\0", b"TW\1\1"}
    # nobody's packets but those of the two nodes: ARP, IPv6 neighbour discovery
    assert all(frame[:1] in (b"\0", b"\x60") for frame in seen.other)

    texts = seen.texts()
    scan = wirescan.Scan(tuples)
    counts = scan.run(texts)
    progress(f"{len(tuples)} tuples, {sum(map(len, texts))} bytes, {len(seen.udp)} messages "
             "of the witness")
    for c in counts:
        progress(f"  {c.form:36} {c.hits:6.0f} found, {c.expected:8.3f} expected, "
                 f"at most {c.bound:.1f}")
        # were each flow there once in this form, this test would fail
        assert c.leak == 0 or c.expected + c.leak > c.bound, c.form
    assert [c for c in counts if c.is_leak()] == []
    # the witness alone: a few datagrams must not drown in the stream
    assert [c for c in scan.run(seen.udp) if c.is_leak()] == []


def planted(t):
    """{form: how a program could write this flow}, the bytes around it at random."""
    src, dst = wirescan.packed(t.src), wirescan.packed(t.dst)
    sport, dport = wirescan.be16(t.sport), wirescan.be16(t.dport)
    found = {
        "as a record of ours": src + dst + sport + dport,
        "in host order": src[::-1] + dst[::-1] + sport[::-1] + dport[::-1],
        "ends": src + sport + dst + dport,
        "ports first": dport + sport + dst + src,
        "text": f"{t.src}:{t.sport} > {t.dst}:{t.dport}".encode(),
        "text of an address": t.src.encode(),
        "text of a port": str(t.sport).encode(),
    }
    if wirescan.is_v4(t.src):
        found["an address and a port"] = sport + src
        found["host order, an address and a port"] = (dst + dport)[::-1]
        found["addresses as varints"] = b"\x08" + wirescan.varint(int.from_bytes(src, "big"))
    else:
        found["one IPv6 address"] = dst
        found["one IPv6 address in host order"] = dst[::-1]
    return found


PORTS_ALONE = {
    "two ports": lambda s, d: wirescan.be16(s) + wirescan.be16(d),
    "two ports, the other order": lambda s, d: wirescan.be16(d) + wirescan.be16(s),
    "two ports in host order": lambda s, d: wirescan.be16(s)[::-1] + wirescan.be16(d)[::-1],
    "two ports as varints":
        lambda s, d: b"\x08" + wirescan.varint(s) + b"\x10" + wirescan.varint(d),
    "one port": lambda s, d: wirescan.be16(s),
    "one port in host order": lambda s, d: wirescan.be16(s)[::-1],
}


def test_the_search_finds_a_single_flow_in_clear(captured):
    """Planted among what was captured: one tuple, in each form, is enough."""
    seen, tuples, _ = captured
    scan = wirescan.Scan(tuples)
    rng = random.Random(7)
    chosen = [next(t for t in sorted(tuples, key=str) if wirescan.is_v4(t.src) == v4 and
                   t.sport > 9999) for v4 in (True, False)]
    for t in chosen:
        for form, text in planted(t).items():
            texts = [*seen.udp, rng.randbytes(99) + text + rng.randbytes(99)]
            assert any(c.is_leak() for c in scan.run(texts) if c.form in scan.strict), (form, t)


@pytest.mark.parametrize("form", [*PORTS_ALONE, "IPv4 address"])
def test_the_search_finds_what_is_short_when_every_flow_shows_it(captured, form):
    """Planted among what was captured: the short form of each flow, once, with noise
    around."""
    seen, tuples, _ = captured
    rng = random.Random(8)
    texts = list(seen.texts())
    scan = wirescan.Scan(tuples)
    for t in tuples:
        if form == "IPv4 address":
            short = wirescan.packed(t.src) if wirescan.is_v4(t.src) else b""
        else:
            short = PORTS_ALONE[form](t.sport, t.dport)
        texts.append(rng.randbytes(8) + short + rng.randbytes(8))
    found = [c.form for c in scan.run(texts) if c.is_leak()]
    assert any(form.startswith(name) for name in found), found


GREETING_WITHOUT_CURVE = (b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" +
                          b"NULL".ljust(20, b"\0") + b"\0" + bytes(31))


def refusals(lab, reason):
    """(lines in r1's log about refused connections for this reason, its counter)"""
    router = lab.routers["r1"]
    lines = [line for line in router.log_text("tandemd").splitlines()
             if "connection refused" in line and f"reason={reason}" in line]
    metrics = run(in_ns(lab.topology.ns("obs"), ["curl", "-s", "http://10.254.0.1:9480/metrics"]),
                  check=False)
    counts = [float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines()
              if "refused" in line and f'"{reason}"' in line and not line.startswith("#")]
    return len(lines), sum(counts)


def test_a_node_with_another_key_is_refused(make_lab):
    """r2 is given a key that r1 does not know: r1 refuses, says so once, and counts."""
    lab = make_lab()
    wrong = lab.routers["r2"]
    wrong.stop()
    key = wrong.make_key(force=True)
    with open(wrong.config, encoding="utf-8") as f:
        text = f.read()
    with open(wrong.config, "w", encoding="utf-8") as f:
        f.write(with_key(text, "r2", key))
    wrong.start()
    wait_for("r1 counts two refusals", lambda: refusals(lab, "wrong_key")[1] >= 2, 20, 0.2)
    assert refusals(lab, "wrong_key")[0] == 1
    assert not lab.routers["r1"].in_sync()
    assert lab.routers["r1"].is_active()


def test_a_peer_without_curve_is_refused(make_lab):
    lab = make_lab()
    before = refusals(lab, "no_curve")
    speak = ("import socket,sys;"
             "s=socket.create_connection(('10.255.0.1',4810),5);s.settimeout(5);"
             f"s.sendall({GREETING_WITHOUT_CURVE!r});\n"
             "while s.recv(4096): pass")
    for _ in range(3):
        subprocess.run(in_ns(lab.topology.ns("r2"), ["/usr/bin/python3", "-c", speak]),
                       check=False, timeout=20, stderr=subprocess.DEVNULL)
    wait_for("r1 counts three refusals",
             lambda: refusals(lab, "no_curve")[1] >= before[1] + 3, 10, 0.2)
    assert refusals(lab, "no_curve")[0] <= before[0] + 1
    # and the pair goes on
    assert lab.routers["r1"].in_sync() and lab.routers["r2"].in_sync()
