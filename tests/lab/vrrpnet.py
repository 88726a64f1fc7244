"""Namespaces, raw frames and the driver that the fence and link tests share.

         c (client, .100)                   s (server, .100)
              | 10.9.1.0/24, fd09:1::/64         | 10.9.2.0/24, fd09:2::/64
        ------+---- bridge lan ----+---     -----+---- bridge wan ---+-----
              | eth0               | eth0        | eth1              | eth1
         a (router, .2)            b (router, .3)             virtual: .1, ::1
"""

import contextlib
import ctypes
import ipaddress
import json
import os
import select
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("TANDEM_BUILD_DIR", ROOT / "build" / "release"))
DRIVER = BUILD / "tests" / "vrrp_net_driver"
PREFIX = os.environ.get("LAB_PREFIX", "tdtest") + "-n-"

VMAC = {"eth0": "00:00:5e:00:01:33", "eth1": "00:00:5e:00:01:34"}
VRID = {"eth0": 51, "eth1": 52}
VIP = {"eth0": "10.9.1.1", "eth1": "10.9.2.1"}
VIP6 = {"eth0": "fd09:1::1", "eth1": "fd09:2::1"}

_libc = ctypes.CDLL(None, use_errno=True)


def sh(command, check=True, stdin=None):
    done = subprocess.run(command, shell=isinstance(command, str), text=True, input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if check and done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stderr.strip()}")
    return done.stdout


@contextlib.contextmanager
def inside(ns):
    """The calling thread in a network namespace: sockets made here stay there."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{PREFIX}{ns}", os.O_RDONLY)
    try:
        if _libc.setns(there, 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        _libc.setns(home, 0x40000000)
        os.close(home)
        os.close(there)


def ns_sh(ns, command, check=True):
    return sh(["ip", "netns", "exec", PREFIX + ns, "sh", "-ec", command], check=check)


def wait_until(condition, seconds=5.0, what="condition"):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)
    return value


class Topology:
    def __init__(self):
        self.close()
        for ns in ("lan", "wan", "a", "b", "c", "s"):
            sh(f"ip netns add {PREFIX}{ns}")
            ns_sh(ns, "ip link set lo up")
        for bridge in ("lan", "wan"):
            ns_sh(bridge, "ip link add br0 type bridge mcast_snooping 0 && ip link set br0 up")
        self.cable("a", "eth0", "lan", "02:09:01:00:00:0a")
        self.cable("b", "eth0", "lan", "02:09:01:00:00:0b")
        self.cable("c", "eth0", "lan", "02:09:01:00:00:0c")
        self.cable("a", "eth1", "wan", "02:09:02:00:00:0a")
        self.cable("b", "eth1", "wan", "02:09:02:00:00:0b")
        self.cable("s", "eth1", "wan", "02:09:02:00:00:05")
        for ns, last in (("a", 2), ("b", 3)):
            ns_sh(ns, f"""
                sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
                ip addr add 10.9.1.{last}/24 dev eth0
                ip addr add 10.9.2.{last}/24 dev eth1
                ip addr add fd09:1::{last}/64 dev eth0 nodad
                ip addr add fd09:2::{last}/64 dev eth1 nodad""")
        ns_sh("c", """
            ip addr add 10.9.1.100/24 dev eth0; ip route add default via 10.9.1.1
            ip addr add fd09:1::64/64 dev eth0 nodad; ip -6 route add default via fd09:1::1""")
        ns_sh("s", """
            ip addr add 10.9.2.100/24 dev eth1; ip route add 10.9.1.0/24 via 10.9.2.1
            ip addr add fd09:2::64/64 dev eth1 nodad
            ip -6 route add fd09:1::/64 via fd09:2::1""")

    def cable(self, ns, device, bridge, mac):
        port = f"{ns}-{device}"
        ns_sh(ns, f"sysctl -qw net.ipv6.conf.default.accept_dad=0\n"
                  f"ip link add {device} address {mac} type veth peer name {port} "
                  f"netns {PREFIX}{bridge}\nip link set {device} up")
        ns_sh(bridge, f"ip link set {port} master br0 up")

    def close(self):
        for name in sh("ip netns list").split():
            if name.startswith(PREFIX):
                sh(f"ip netns del {name}", check=False)


class Driver:
    """One vrrp_net_driver inside a router's namespace."""

    def __init__(self, ns):
        self.ns = ns
        self.events = []
        self.pending = b""
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", PREFIX + ns, str(DRIVER)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, bufsize=0)

    def read_line(self, seconds=10.0):
        deadline = time.monotonic() + seconds
        while b"\n" not in self.pending:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            if select.select([self.process.stdout], [], [], left)[0]:
                got = os.read(self.process.stdout.fileno(), 65536)
                if not got:
                    raise AssertionError("the driver died")
                self.pending += got
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode()

    def try_(self, command):
        """(errno, text): errno 0 is success."""
        self.process.stdin.write(command.encode() + b"\n")
        while True:
            line = self.read_line()
            assert line is not None, f"no answer to {command}"
            if line.startswith("event"):
                self.events.append(line)
                continue
            word, _, rest = line.partition(" ")
            if word == "ok":
                return 0, rest
            number, _, text = rest.partition(" ")
            return int(number), text

    def __call__(self, command):
        error, text = self.try_(command)
        assert error == 0, f"{command}: {os.strerror(error)}: {text}"
        return text

    def wait_event(self, start, seconds=5.0):
        deadline = time.monotonic() + seconds
        while True:
            for event in self.events:
                if event.startswith("event " + start):
                    self.events.remove(event)
                    return event
            line = self.read_line(max(0.0, deadline - time.monotonic()))
            assert line is not None, f"no event {start}; have {self.events}"
            self.events.append(line)

    def kill(self, signo=signal.SIGKILL):
        # ip netns exec replaces itself: the pid is the driver's.
        self.process.send_signal(signo)
        if signo == signal.SIGKILL:
            self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.kill()


# Frames ------------------------------------------------------------------------------------

def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ip(text):
    return ipaddress.ip_address(text).packed


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(dst, src, ethertype, payload, tags=()):
    head = mac(dst) + mac(src)
    for tag_type, vid in tags:
        head += struct.pack("!HH", tag_type, vid)
    return head + struct.pack("!H", ethertype) + payload


def arp(operation, sha, spa, tha, tpa):
    return (struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + mac(sha) + ip(spa) + mac(tha)
            + ip(tpa))


def ipv4(src, dst, protocol, payload, ttl=64):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, ttl, protocol, 0,
                       ip(src), ip(dst))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(src, dst, next_header, payload, hop_limit=255):
    return (struct.pack("!IHBB", 6 << 28, len(payload), next_header, hop_limit) + ip(src)
            + ip(dst) + payload)


def icmpv6(src, dst, kind, body):
    pseudo = ip(src) + ip(dst) + struct.pack("!II", 4 + len(body), 58)
    raw = struct.pack("!BBH", kind, 0, 0) + body
    return ipv6(src, dst, 58, struct.pack("!BBH", kind, 0, checksum(pseudo + raw)) + body)


def solicitation(src_mac, src, target):
    group = ipaddress.ip_address(int(ipaddress.ip_address("ff02::1:ff00:0"))
                                 | int(ipaddress.ip_address(target)) & 0xFFFFFF)
    group_mac = "33:33:" + ":".join(f"{b:02x}" for b in group.packed[-4:])
    body = b"\0\0\0\0" + ip(target) + b"\1\1" + mac(src_mac)
    return ethernet(group_mac, src_mac, 0x86DD, icmpv6(src, str(group), 135, body))


def udp(sport, dport, data):
    return struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data


class Wire:
    """A packet socket on a device: what it sends, and what comes in there from others."""

    SO_RCVBUFFORCE = 33
    SO_TIMESTAMPNS = 35
    PACKET_IGNORE_OUTGOING = 23

    def __init__(self, ns, device):
        with inside(ns):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.sock.setsockopt(263, self.PACKET_IGNORE_OUTGOING, 1)
            self.sock.setsockopt(socket.SOL_SOCKET, self.SO_TIMESTAMPNS, 1)
            self.sock.setsockopt(socket.SOL_SOCKET, self.SO_RCVBUFFORCE, 16 << 20)
            self.sock.bind((device, 3))
        self.sock.setblocking(False)

    def send(self, frame):
        self.sock.send(frame)

    def receive(self, seconds=0.0):
        """(time of arrival on CLOCK_REALTIME, frame) or None."""
        if not select.select([self.sock], [], [], seconds)[0]:
            return None
        frame, ancillary, _, _ = self.sock.recvmsg(65536, 256)
        stamp = 0.0
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == self.SO_TIMESTAMPNS:
                sec, nsec = struct.unpack("qq", data[:16])
                stamp = sec + nsec / 1e9
        return stamp, frame

    def drain(self):
        frames = []
        while (got := self.receive()) is not None:
            frames.append(got)
        return frames

    def wait_for(self, match, seconds):
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            got = self.receive(left)
            if got is not None and match(got[1]):
                return got
        return None

    def close(self):
        self.sock.close()


def is_arp_reply(frame, spa):
    return frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2" and frame[28:32] == ip(spa)


def is_na(frame, target):
    return (frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 136
            and frame[62:78] == ip(target))


# What the kernel holds ---------------------------------------------------------------------

def program_ids(ns, device):
    """Program ids of the fence on a device, by direction, as an operator would look."""
    ids = {}
    for direction in ("ingress", "egress"):
        filters = json.loads(ns_sh(ns, f"tc -j filter show dev {device} {direction}",
                                   check=False) or "[]")
        found = [f["options"]["prog"]["id"] for f in filters
                 if f.get("pref") == 1 and "prog" in f.get("options", {})]
        ids[direction] = found[0] if found else None
    return ids


def map_of_program(program, name):
    info = json.loads(sh(f"bpftool -j prog show id {program}"))
    for map_id in info["map_ids"]:
        if json.loads(sh(f"bpftool -j map show id {map_id}"))["name"].startswith(name):
            return map_id
    raise AssertionError(f"program {program} has no map {name}")


def answer_deadline_ns(ns, device):
    map_id = map_of_program(program_ids(ns, device)["ingress"], "fence_lease")
    entry = json.loads(sh(f"bpftool -j map lookup id {map_id} key 0 0 0 0"))
    return struct.unpack("<Q", bytes(int(b, 16) for b in entry["value"][:8]))[0]


def realtime_of_boottime(ns_value):
    return time.time() + (ns_value - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) / 1e9
