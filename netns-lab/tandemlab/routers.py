"""The two routers of the lab: Tandem's, or the classic stack that it is compared with.

Both kinds offer the same verbs, so that faults, demo and benchmarks do not know which one
they are hurting: start, stop, pids, switchover, is_active, roles.
"""
import datetime
import json
import os
import re
import shutil
import signal
import subprocess
import time

from .agents import BINARY, REPO
from .host import (LabError, MS, NS, now_ns, end_processes, in_ns, pids_in, run, start_time, tree_of,
                   wait_for)
from .topology import VIRTUAL_LAN, VIRTUAL_LAN6, VIRTUAL_WAN, VIRTUAL_WAN6

PRIORITY = {"r1": 150, "r2": 100}
SYNC = {"r1": "10.255.0.1", "r2": "10.255.0.2"}
PEER = {"r1": "r2", "r2": "r1"}
PREFIX_DIR = os.environ.get("TANDEM_PREFIX", "/usr/local")
ROLE_LINE = re.compile(r"(\d{4}-\d\d-\d\dT[\d:.]+)Z .*?(\w+ -> (?:Active|Backup|Initialize)\b"
                       r".*)")
SERVICE_LAN_ADDRESS = VIRTUAL_LAN[0]


class Daemons:
    """Processes of one host with their logs, found again after a crash of the lab."""

    def __init__(self, topology, host, run_dir):
        self.topology, self.host = topology, host
        self.namespace = topology.ns(host)
        self.run_dir = os.path.join(run_dir, host)
        os.makedirs(self.run_dir, exist_ok=True)

    def spawn(self, name, command):
        """Starts a process that outlives this one; its pid is kept in the run directory."""
        with open(os.path.join(self.run_dir, name + ".log"), "ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, start_new_session=True)
        with open(os.path.join(self.run_dir, name + ".pid"), "w", encoding="ascii") as f:
            f.write(f"{process.pid} {start_time(process.pid)}\n")
        return process

    def recorded_pids(self):
        """The processes that spawn() started, as far as they still are the same ones."""
        found = []
        for name in sorted(os.listdir(self.run_dir)):
            if name.endswith(".pid"):
                with open(os.path.join(self.run_dir, name), encoding="ascii") as f:
                    fields = f.read().split()
                if len(fields) == 2 and str(start_time(int(fields[0]))) == fields[1]:
                    found.append(int(fields[0]))
        return found

    def log_text(self, name):
        try:
            with open(os.path.join(self.run_dir, name + ".log"), encoding="utf-8",
                      errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""


class Server(Daemons):
    """What answers the sessions and probes: the servers behind the pair, and one host in
    front of it."""

    ANSWERS = {
        "s1": ["--server", "1", "--tcp", "8080,9000", "--udp", "5353,9001"],
        "s2": ["--server", "2", "--tcp", "8080,8000-8010", "--udp", "5353"],
        "s3": ["--server", "3", "--tcp", "8080", "--udp", "5353"],
        "client": ["--server", "4", "--tcp", "7000", "--udp", "7001"],
    }

    def start(self):
        self.spawn("serve", in_ns(self.namespace, [
            BINARY, "serve", "--stay", "--fifo", "5", *self.ANSWERS[self.host]]))
        wait_for(f"{self.host} serves", lambda: "ready" in self.log_text("serve"), 5)


class Router(Daemons):
    """What both kinds of router share."""

    def __init__(self, topology, node, run_dir):
        super().__init__(topology, node, run_dir)
        self.node = node
        self.peer = PEER[node]

    def pids(self):
        """Every process of this router, supervisors before what they supervise."""
        found = []
        for pid in self.recorded_pids():
            found += tree_of(pid)
        for pid in pids_in(self.namespace):
            if pid not in found and pid != os.getpid():
                found.append(pid)
        return found

    def is_active(self):
        """Alive, and holding the virtual addresses."""
        return bool(self.recorded_pids()) and self.topology.holds(self.node,
                                                                  SERVICE_LAN_ADDRESS)

    def stop(self):
        end_processes(self.pids(), grace=3.0)

    def forget_kernel(self):
        """What a reboot does and a SIGKILL does not: flows, rules and virtual addresses go."""
        run(in_ns(self.namespace, ["nft", "flush", "ruleset"]))
        run(in_ns(self.namespace, ["conntrack", "-F"]), check=False)
        self.forget_addresses()

    def forget_addresses(self):
        for address, interface in ([(a, "wan0") for a in VIRTUAL_WAN] +
                                   [(a, "lan0") for a in VIRTUAL_LAN]):
            if self.topology.holds(self.node, address):
                run(in_ns(self.namespace, ["ip", "address", "del", f"{address}/24", "dev",
                                           interface]), check=False)


class ClassicRouter(Router):
    """keepalived + conntrackd + nftables."""

    kind = "classic"

    def __init__(self, topology, node, run_dir, advert_s=0.1):
        super().__init__(topology, node, run_dir)
        self.advert_s = advert_s

    def _template(self, name, target, executable=False):
        with open(os.path.join(REPO, "netns-lab/classic", name), encoding="utf-8") as f:
            text = f.read()
        for key, value in {
                "NODE": self.node, "RUN": self.run_dir, "ADVERT_S": str(self.advert_s),
                "PRIORITY": str(PRIORITY[self.node]), "SYNC_SELF": SYNC[self.node],
                "SYNC_PEER": SYNC[self.peer]}.items():
            text = text.replace(f"@{key}@", value)
        path = os.path.join(self.run_dir, target)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        if executable:
            os.chmod(path, 0o755)
        return path

    def start(self):
        self.forget_addresses()
        for setting in ("net.ipv4.ip_forward=1", "net.netfilter.nf_conntrack_tcp_loose=0",
                        "net.netfilter.nf_conntrack_acct=1",
                        "net.netfilter.nf_conntrack_events=1"):
            run(in_ns(self.namespace, ["sysctl", "-qw", setting]))
        nat = os.path.join(REPO, "netns-lab/classic/nat.nft")
        run(in_ns(self.namespace, ["nft", "flush", "ruleset"]))
        run(in_ns(self.namespace, ["nft", "-f", nat]))
        self._template("notify.sh.in", "notify.sh", executable=True)
        conntrackd = self._template("conntrackd.conf.in", "conntrackd.conf")
        keepalived = self._template("keepalived.conf.in", "keepalived.conf")
        lock = os.path.join(self.run_dir, "conntrackd.lock")
        if os.path.exists(lock):
            os.unlink(lock)
        self.spawn("conntrackd", in_ns(self.namespace, ["conntrackd", "-C", conntrackd]))
        wait_for(f"conntrackd of {self.node} answers", lambda: subprocess.run(
            in_ns(self.namespace, ["conntrackd", "-C", conntrackd, "-s"]), check=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0, 5)
        self.spawn("keepalived", in_ns(self.namespace, [
            "keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp",
            "--use-file", keepalived, "--pid", os.path.join(self.run_dir, "ka.pidfile"),
            "--vrrp_pid", os.path.join(self.run_dir, "vrrp.pidfile")]))

    def switchover(self):
        raise LabError("the classic stack has no switchover: use graceful-stop")

    def status(self):
        return {}  # nobody answers

    def in_sync(self):
        return bool(self.recorded_pids())

    def servers_up(self):
        return True  # nobody asks them

    def roles(self):
        """(instant, text) of each role change that the router logged."""
        found = []
        try:
            with open(os.path.join(self.run_dir, "roles.log"), encoding="ascii") as f:
                lines = f.read().splitlines()
        except FileNotFoundError:
            return found
        for line in lines:
            up, what, role = line.split()
            if what == "role":
                found.append((int(float(up) * NS), {"primary": "Active"}.get(role, "Backup")))
        return found


class TandemRouter(Router):
    """tandemd and its children, from the installed tree."""

    kind = "tandem"

    def __init__(self, topology, node, run_dir):
        super().__init__(topology, node, run_dir)
        self.config = os.path.join(self.run_dir, "pair.yaml")
        self.instance = self.namespace
        self.sbin_dir = os.path.join(PREFIX_DIR, "sbin")

    def start(self):
        command = [os.path.join(self.sbin_dir, "tandemd"), "--instance", self.instance,
                   "--netns", self.namespace, "--node", self.node, "--config", self.config]
        self.spawn("tandemd", command)

    def ctl(self, *arguments, check=True):
        return run([os.path.join(self.sbin_dir, "tandemctl"), "--instance", self.instance,
                    *arguments], check=check)

    def status(self):
        """`tandemctl status --json`, or {} while nobody answers."""
        try:
            return json.loads(self.ctl("status", "--json", check=False) or "{}")
        except json.JSONDecodeError:
            return {}

    def make_key(self, force=False):
        """Makes the secret key of this instance, returns the public one."""
        out = self.ctl("keygen", *(["--force"] if force else []))
        key = re.search(r'public_key: "(.{40})"', out)
        if key is None:
            raise LabError(f"tandemctl keygen printed no key: {out.strip()}")
        return key[1]

    def switchover(self):
        self.ctl("switchover")

    def in_sync(self):
        """This node holds the peer's whole state, and the peer this node's."""
        sync = self.status().get("sync", {})
        return all(sync.get(key) for key in ("connected", "have_state", "peer_has_state"))

    def servers_up(self):
        """Every server that is asked for its health answers well."""
        text = self.ctl("lb", "--json", check=False)
        return bool(text) and '"server_up": 0' not in text

    def roles(self):
        """(instant, text) of each role change in the log, whose clock is the wall clock."""
        found = []
        offset = time.time_ns() - now_ns()
        for line in self.log_text("tandemd").splitlines():
            match = ROLE_LINE.match(line)
            if match:
                wall = datetime.datetime.fromisoformat(match[1]).replace(
                    tzinfo=datetime.timezone.utc)
                event = (int(wall.timestamp() * 1000) * MS - offset, match[2])
                if event not in found:  # every member has its line
                    found.append(event)
        return found

    def forget_addresses(self):
        """The virtual addresses live on devices of their own: they go with them."""
        links = json.loads(run(in_ns(self.namespace, ["ip", "-j", "link", "show", "type",
                                                      "macvlan"]), check=False) or "[]")
        for link in links:
            run(in_ns(self.namespace, ["ip", "link", "del", link["ifname"]]), check=False)
        for interface in ("wan0", "lan0"):
            run(in_ns(self.namespace, ["tc", "qdisc", "del", "dev", interface, "clsact"]),
                check=False)

    def forget_state(self):
        for directory in (f"/var/lib/tandem/{self.instance}", f"/run/tandem/{self.instance}"):
            shutil.rmtree(directory, ignore_errors=True)


def virtual_addresses():
    return VIRTUAL_WAN + VIRTUAL_WAN6 + VIRTUAL_LAN + VIRTUAL_LAN6


def freeze(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            pass


def thaw(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
