"""One lab: topology and routers, kept in a state file so that `lab down` finds everything."""
import json
import os
import re
import shutil

from .agents import REPO
from .host import LabError, end_processes, in_ns, pids_in, progress, run, start_time, wait_for
from .routers import PREFIX_DIR, ClassicRouter, Daemons, Server, TandemRouter
from .topology import HOSTS, ROUTERS, Topology

STATE_ROOT = "/run/tandem-lab"

# what a lost session is explained with
LOOK_SWITCH = ("ip -s link", "bridge fdb", "nft list ruleset")
LOOK_ROUTER = ("ip -s neigh", "ip -s link", "ip address", "nft list ruleset", "conntrack -S",
               "conntrack -L -o extended,id")
LOOK_HOST = ("ip -s neigh", "ip -s link", "ss -tinoe")


def default_prefix():
    prefix = os.environ.get("LAB_PREFIX", "tdlab")
    if not re.fullmatch(r"[a-z][a-z0-9]{0,9}", prefix):
        raise LabError(f"LAB_PREFIX={prefix}: up to ten letters and digits, a letter first")
    return prefix


class Lab:
    """A running lab. Use as a context manager to leave nothing behind."""

    def __init__(self, prefix, classic=False, adverts_none=False, advert_ms=100, edit=None):
        """`edit` is a function on the text of the configuration, for tests of a variant."""
        self.prefix, self.classic, self.edit = prefix, classic, edit
        self.advert_ms = advert_ms
        self.adverts_none = adverts_none
        self.run_dir = os.path.join(STATE_ROOT, prefix)
        self.topology = Topology(prefix, adverts_none)
        self.routers = {}

    # --- life ---------------------------------------------------------------------------

    def up(self, first="r1"):
        """Builds the network and starts both routers; `first` becomes the Active one."""
        down(self.prefix)
        os.makedirs(self.run_dir)
        with open(os.path.join(self.run_dir, "state.json"), "w", encoding="ascii") as f:
            json.dump({"classic": self.classic, "adverts_none": self.adverts_none,
                       "advert_ms": self.advert_ms, "owner": os.getpid(),
                       "owner_start": start_time(os.getpid())}, f)
        self.topology.build()
        for host in Server.ANSWERS:
            Server(self.topology, host, self.run_dir).start()
        self._make_routers()
        if not self.classic:
            self._write_config()
        self.routers[first].start()
        wait_for(f"{first} Active", self.routers[first].is_active, 15)
        self.routers[self.standby_of(first)].start()
        self.wait_protected(20)
        return self

    def _make_routers(self):
        for node in ROUTERS:
            if self.classic:
                self.routers[node] = ClassicRouter(self.topology, node, self.run_dir,
                                                   self.advert_ms / 1000)
            else:
                self.routers[node] = TandemRouter(self.topology, node, self.run_dir)

    def _write_config(self):
        """docs/example.yaml with this pair's own keys, so that the example stays true."""
        with open(os.path.join(REPO, "docs/example.yaml"), encoding="utf-8") as f:
            text = f.read()
        for node in ROUTERS:
            text = with_key(text, node, self.routers[node].make_key())
        if self.adverts_none:
            text = text.replace("adverts: multicast ", "adverts: none      ", 1)
        text = text.replace("advertisement_interval: 100ms",
                            f"advertisement_interval: {self.advert_ms}ms")
        if self.edit:
            text = self.edit(text)
        for router in self.routers.values():  # each machine has its own copy
            with open(router.config, "w", encoding="utf-8") as f:
                f.write(text)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        down(self.prefix)

    @classmethod
    def attach(cls, prefix):
        """The lab that an earlier `lab up` left running."""
        try:
            with open(os.path.join(STATE_ROOT, prefix, "state.json"), encoding="ascii") as f:
                state = json.load(f)
        except FileNotFoundError as error:
            raise LabError(f"no lab called {prefix} is up (lab up)") from error
        lab = cls(prefix, state["classic"], state["adverts_none"], state["advert_ms"])
        lab._make_routers()
        return lab

    # --- state --------------------------------------------------------------------------

    @staticmethod
    def standby_of(node):
        return "r2" if node == "r1" else "r1"

    def active(self):
        """The name of the one Active router, or None."""
        names = [node for node, router in self.routers.items() if router.is_active()]
        return names[0] if len(names) == 1 else None

    def wait_active(self, node, seconds):
        wait_for(f"{node} is the one Active router", lambda: self.active() == node, seconds)

    def wait_protected(self, seconds):
        """One Active router, and its peer alive and in sync."""
        wait_for("one Active router", self.active, seconds)
        wait_for("both routers in sync",
                 lambda: all(router.in_sync() for router in self.routers.values()), seconds,
                 0.1)
        wait_for("all servers healthy",
                 lambda: all(router.servers_up() for router in self.routers.values()),
                 seconds, 0.1)

    def look(self, when):
        """Writes neighbours, tables, rules and flows of every host beside the logs."""
        target = os.path.join(self.run_dir, f"state-{when}")
        os.makedirs(target, exist_ok=True)
        for host in ("switch", *HOSTS):
            commands = LOOK_SWITCH if host == "switch" else \
                LOOK_ROUTER if host in ROUTERS else LOOK_HOST
            script = "".join(f"echo '== {command}'\n{command} 2>&1\n"
                             for command in ("cat /proc/uptime", *commands))
            text = run(in_ns(self.topology.ns(host), ["sh"]), script, check=False)
            if host in ROUTERS:
                text += f"== status\n{json.dumps(self.routers[host].status(), indent=1)}\n"
            with open(os.path.join(target, f"{host}.txt"), "w", encoding="utf-8") as f:
                f.write(text)

    def record(self, name, value):
        """Keeps a value as JSON beside the logs."""
        with open(os.path.join(self.run_dir, name + ".json"), "w", encoding="utf-8") as f:
            json.dump(value, f, indent=1)

    def keep_logs(self, name):
        """Copies what the lab wrote to build/lab-logs/NAME, for after it; returns where."""
        target = os.path.join(REPO, "build/lab-logs", name)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.run_dir, target, ignore=shutil.ignore_patterns("*.ctl"))
        progress(f"logs kept in {target}")
        return target


def with_key(text, node, key):
    """The configuration with another public key for a node."""
    text, count = re.subn(rf'(- name: {node}\b(?:.*\n)*?\s*public_key: )"[^"]*"',
                          lambda match: match.group(1) + json.dumps(key), text, count=1)
    if count != 1:
        raise LabError(f"the configuration has no public_key of {node}")
    return text


def down(prefix):
    """Removes every trace of a lab, whatever state it is in. True when there was one."""
    topology = Topology(prefix)
    run_dir = os.path.join(STATE_ROOT, prefix)
    there = bool(topology.existing()) or os.path.exists(run_dir)
    pids = []
    for host in HOSTS:
        if os.path.isdir(os.path.join(run_dir, host)):
            pids += Daemons(topology, host, run_dir).recorded_pids()
    end_processes(pids)
    for namespace in topology.existing():
        end_processes(pids_in(namespace), grace=1.0)
    topology.destroy()
    shutil.rmtree(run_dir, ignore_errors=True)
    for node in ROUTERS:
        for root in ("/run/tandem", "/var/lib/tandem"):
            shutil.rmtree(os.path.join(root, f"{prefix}-{node}"), ignore_errors=True)
    return there


def installed_version():
    return run([os.path.join(PREFIX_DIR, "sbin/tandemd"), "--version"], check=False).strip()
