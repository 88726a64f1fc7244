"""What an eavesdropper on the sync link learns about the flows: nothing."""
import os
import signal
import socket
import subprocess
import time

from tandemlab.host import in_ns
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
