"""One router of lbcore in namespaces: client - wan0 - router - lan0 - three servers.

Without tandemd: lb_driver applies the model, the virtual addresses are simply there. Every
socket is opened inside its namespace by a thread, so a test is one process.
"""
import ctypes
import os
import pathlib
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TANDEM_BUILD_DIR", ROOT / "build" / "release"))
DRIVER = os.environ.get("LB_DRIVER") or str(BUILD / "tests" / "lb_driver")
PREFIX = os.environ.get("LB_PREFIX", "lbcore")
SILENCE_S = 0.4      # how long nothing must come
ANSWER_S = 3.0       # how long something may take


def run(*command, **options):
    return subprocess.run(command, check=True, text=True, capture_output=True, **options).stdout


def in_namespace(name, function, *args):
    """Calls function in a thread of that namespace: what it opens stays there."""
    result = []

    def body():
        with open(f"/var/run/netns/{name}", "rb") as ns:
            if LIBC.setns(ns.fileno(), CLONE_NEWNET) != 0:
                result.append(OSError(ctypes.get_errno(), "setns"))
                return
        try:
            result.append(function(*args))
        except OSError as error:
            result.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]


def wait_for(condition, what, seconds=ANSWER_S):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what}")


class Server:
    """Answers each TCP connection and each datagram with "NAME PEER PORT", then echoes;
    "reset" is answered by a reset."""

    def __init__(self, namespace, name, ports):
        self.name = name
        self.sockets = {}
        self.stop_read, self.stop_write = os.pipe()
        self.lock = threading.Lock()
        for port, kind in ports:
            for family in (socket.AF_INET, socket.AF_INET6):
                s = in_namespace(namespace, socket.socket, family, kind)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                s.bind(("", port))
                if kind == socket.SOCK_STREAM:
                    s.listen(1024)
                self.sockets[s.fileno()] = (s, kind, True)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        poll = select.epoll()
        for fd in self.sockets:
            poll.register(fd, select.EPOLLIN)
        poll.register(self.stop_read, select.EPOLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self.stop_read:
                    for s, _, _ in self.sockets.values():
                        s.close()
                    return
                s, kind, listening = self.sockets[fd]
                try:
                    if kind == socket.SOCK_DGRAM:
                        data, peer = s.recvfrom(65536)
                        answer = f"{self.name} {peer[0]} {peer[1]} {len(data)}"
                        s.sendto(answer.encode(), peer)
                    elif listening:
                        c, peer = s.accept()
                        self.sockets[c.fileno()] = (c, kind, False)
                        poll.register(c.fileno(), select.EPOLLIN)
                        c.sendall(f"{self.name} {peer[0]} {peer[1]}\n".encode())
                    else:
                        data = s.recv(65536)
                        if data == b"reset":
                            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                         struct.pack("ii", 1, 0))
                        if data and data != b"reset":
                            s.sendall(data)
                        else:
                            poll.unregister(fd)
                            del self.sockets[fd]
                            s.close()
                except OSError:
                    if not listening:
                        poll.unregister(fd)
                        del self.sockets[fd]
                        s.close()

    def close(self):
        os.write(self.stop_write, b".")
        self.thread.join()
        os.close(self.stop_read)
        os.close(self.stop_write)


class Driver:
    """lb_driver in the router's namespace."""

    def __init__(self, namespace, config, log):
        self.log = open(log, "w", encoding="utf-8")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, DRIVER, config, "r1"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        status, _ = self.answer()
        if status != "ok":
            raise AssertionError(f"lb_driver: {status}: {open(log, encoding='utf-8').read()}")

    def answer(self):
        lines = []
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line == "ok" or line.startswith("error "):
                return line, lines
            lines.append(line)
        return "error: it is gone", lines

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer()

    def do(self, line):
        status, lines = self.say(line)
        assert status == "ok", f"{line}: {status}"
        return lines

    def counts(self):
        """(kind, object, rule) -> packets; a rule is cut after its number."""
        found = {}
        for line in self.do("counts"):
            kind, thing, rule, packets, _ = line.split("|")
            found[kind, thing, rule.split(" ")[0]] = int(packets)
        return found

    def stats(self):
        return {line.split()[0]: int(line.split()[1]) for line in self.do("stats")}

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)
        self.log.close()


class Bench:
    """The namespaces. `client` is outside, s1..s3 inside behind `router`."""

    servers = ("s1", "s2", "s3")

    def __init__(self):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="lbcore-"))
        self.tmp.chmod(0o755)  # the driver is nobody
        self.drivers = []
        self.running = []
        self.down()
        self.up()

    def ns(self, name):
        return f"{PREFIX}-{name}"

    def names(self):
        return ("client", "router", "lan") + self.servers

    def up(self):
        ip = ["ip", "-batch", "-"]
        lines = [f"netns add {self.ns(n)}" for n in self.names()]
        r, c, lan = self.ns("router"), self.ns("client"), self.ns("lan")
        lines += [
            f"link add wan0 netns {r} type veth peer name wan0 netns {c}",
            f"link add lan0 netns {r} type veth peer name r netns {lan}",
        ]
        lines += [f"link add eth0 netns {self.ns(s)} type veth peer name {s} netns {lan}"
                  for s in self.servers]
        run(*ip, input="\n".join(lines))
        self.batch("lan", "link add br0 type bridge", "link set br0 up",
                   *[f"link set {p} master br0 up" for p in ("r",) + self.servers])
        for n in self.names():
            self.shell(n, "ip link set lo up; sysctl -qw net.ipv4.conf.all.rp_filter=0 "
                          "net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.all.accept_dad=0 "
                          "net.ipv6.conf.default.accept_dad=0")
        self.batch("router", "link set wan0 up", "link set lan0 up",
                   "addr add 203.0.113.2/24 dev wan0", "addr add 2001:db8:1::2/64 dev wan0 nodad",
                   *[f"addr add 203.0.113.{h}/24 dev wan0" for h in (1, 10, 11, 12, 13)],
                   "addr add 2001:db8:1::1/64 dev wan0 nodad",
                   "addr add 10.1.1.2/24 dev lan0", "addr add 10.1.1.1/24 dev lan0",
                   "addr add fd00:1:1::1/64 dev lan0 nodad",
                   "route add default via 203.0.113.254",
                   "route add default via 2001:db8:1::fe dev wan0")
        self.batch("client", "link set wan0 up", "addr add 203.0.113.254/24 dev wan0",
                   *[f"addr add 198.51.100.{h}/32 dev wan0" for h in range(1, 33)],
                   "addr add 2001:db8:1::fe/64 dev wan0 nodad",
                   "route add 10.1.1.0/24 via 203.0.113.1",
                   "route add fd00:1:1::/64 via 2001:db8:1::1")
        for i, s in enumerate(self.servers):
            self.batch(s, "link set eth0 up", f"addr add 10.1.1.{11 + i}/24 dev eth0",
                       f"addr add fd00:1:1::{11 + i}/64 dev eth0 nodad",
                       "route add default via 10.1.1.1",
                       "route add default via fd00:1:1::1")

    def down(self):
        for n in self.names():
            subprocess.run(["ip", "netns", "del", self.ns(n)], check=False, capture_output=True)

    def batch(self, name, *lines):
        run("ip", "-n", self.ns(name), "-batch", "-", input="\n".join(lines))

    def shell(self, name, command):
        return run("ip", "netns", "exec", self.ns(name), "sh", "-ec", command)

    def configure(self, text):
        path = self.tmp / f"config-{len(list(self.tmp.iterdir()))}.yaml"
        path.write_text(text)
        return str(path)

    def drive(self, text):
        driver = Driver(self.ns("router"), self.configure(text), str(self.tmp / "driver.log"))
        self.drivers.append(driver)
        return driver

    def apply(self, driver, text):
        driver.do(f"apply {self.configure(text)}")

    def serve(self, name, *ports):
        """ports: numbers for TCP, ("udp", number)."""
        kinds = [(p, socket.SOCK_STREAM) if isinstance(p, int) else (p[1], socket.SOCK_DGRAM)
                 for p in ports]
        self.running.append(Server(self.ns(name), name, kinds))

    def close(self):
        for thing in self.drivers + self.running:
            thing.close()
        self.down()
        shutil.rmtree(self.tmp)

    def socket(self, name, family=socket.AF_INET, kind=socket.SOCK_STREAM, proto=0):
        s = in_namespace(self.ns(name), socket.socket, family, kind, proto)
        s.settimeout(ANSWER_S)
        return s

    def connect(self, name, address, port, source=None, timeout=ANSWER_S, source_port=0):
        """Returns (socket, server, address the server saw)."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        s = self.socket(name, family)
        s.settimeout(timeout)
        if source or source_port:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((source or "", source_port))
        try:
            s.connect((address, port))
            line = b""
            while not line.endswith(b"\n"):
                data = s.recv(1)
                if not data:
                    raise ConnectionResetError("closed without an answer")
                line += data
        except OSError:
            s.close()
            raise
        server, peer, _ = line.decode().split()
        return s, server, peer

    def ask(self, name, address, port, **options):
        """(server, address it saw) of one short connection."""
        s, server, peer = self.connect(name, address, port, **options)
        s.close()
        return server, peer

    def is_silent(self, name, address, port, **options):
        """No SYN-ACK, no reset, no ICMP: nothing."""
        try:
            self.ask(name, address, port, timeout=SILENCE_S, **options)
        except TimeoutError:
            return True
        except OSError as error:
            raise AssertionError(f"{address}:{port} was answered: {error}") from error
        return False

    def datagram(self, name, address, port, source=None, data=b"?", timeout=ANSWER_S, s=None):
        """(server, address it saw, bytes it got), or None for silence."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        own = s is None
        if own:
            s = self.socket(name, family, socket.SOCK_DGRAM)
            if source:
                s.bind((source, 0))
            s.connect((address, port))
        s.settimeout(timeout)
        try:
            s.send(data)
            server, peer, _, length = s.recv(65536).decode().split()
        except TimeoutError:
            return None
        finally:
            if own:
                s.close()
        return server, peer, int(length)

    def ping(self, name, address):
        result = subprocess.run(["ip", "netns", "exec", self.ns(name), "ping", "-c1", "-W1",
                                 address], check=False, capture_output=True)
        return result.returncode == 0


TCP_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16}


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def tcp_segment(source, destination, sport, dport, flags, seq=1000, ack=2000, payload=b""):
    bits = sum(TCP_FLAGS[f] for f in flags.split("|"))
    header = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, bits, 65535, 0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack(
        "!BBH", 0, 6, len(header) + len(payload))
    check = checksum(pseudo + header + payload)
    return header[:16] + struct.pack("!H", check) + header[18:] + payload


class Wire:
    """Sees every TCP packet that arrives in a namespace."""

    def __init__(self, bench, name, device):
        self.socket = in_namespace(bench.ns(name), socket.socket, socket.AF_PACKET,
                                   socket.SOCK_DGRAM, socket.ntohs(0x0800))
        self.socket.bind((device, 0x0800))

    def heard(self, sport=None, dport=None, seconds=SILENCE_S):
        """[(source, destination, flags)] of TCP packets with these ports; outgoing ones,
        which a packet socket sees as well, are left out."""
        found = []
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return found
            self.socket.settimeout(left)
            try:
                data, where = self.socket.recvfrom(65536)
            except TimeoutError:
                return found
            if where[2] == socket.PACKET_OUTGOING or len(data) < 40 or data[9] != 6:
                continue
            at = (data[0] & 15) * 4
            ports = struct.unpack("!HH", data[at:at + 4])
            if (sport is not None and ports[0] != sport) or (
                    dport is not None and ports[1] != dport):
                continue
            found.append((socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20]),
                          data[at + 13]))

    def close(self):
        self.socket.close()
