"""What an eavesdropper on the sync link learns about the flows: nothing."""
import os
import signal
import socket
import subprocess
import time

from tandemlab.host import in_ns, run, wait_for
from tandemlab.lab import with_key
from tandemlab.scenario import Load

ADDRESSES = ("203.0.113.1", "203.0.113.10", "203.0.113.11", "203.0.113.12", "203.0.113.254",
             "10.1.1.11", "10.1.1.12", "10.1.1.13")


def payloads(path):
    """Everything behind the Ethernet and IP headers of a pcap file with microseconds."""
    with open(path, "rb") as f:
        data = f.read()
    assert data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1")
    at, found = 24, []
    while at + 16 <= len(data):
        length = int.from_bytes(data[at + 8:at + 12], "little")
        frame = data[at + 16:at + 16 + length]
        at += 16 + length
        if frame[12:14] == b"\x08\x00":
            found.append(frame[14 + (frame[14] & 15) * 4:])
        elif frame[12:14] == b"\x86\xdd":
            found.append(frame[54:])
    return found


def forms(address):
    """An address as it could stand in a message: network order, host order, text."""
    packed = socket.inet_aton(address)
    return [packed, packed[::-1], address.encode()]


def test_no_flow_is_readable_on_the_sync_link(make_lab):
    lab = make_lab()
    path = os.path.join(lab.run_dir, "sync.pcap")
    with subprocess.Popen(
            in_ns(lab.topology.ns("switch"), ["tcpdump", "-i", "sync-r1", "-U", "-w", path]),
            stderr=subprocess.DEVNULL, start_new_session=True) as capture:
        try:
            load = Load(lab, sessions=100, bulk=0)
            time.sleep(2.0)
            load.stop()
            time.sleep(0.5)
        finally:
            capture.send_signal(signal.SIGINT)
    seen = payloads(path)
    # the flows did travel: 400 sessions and the short connections of the probe
    assert sum(len(p) for p in seen) > 400 * 32
    for address in ADDRESSES:
        for form in forms(address):
            assert not any(form in payload for payload in seen), address


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
