"""The faults: what happens to the Active router, and how it is undone.

Each fault is injected at one instant. `took` is how long the injection itself lasted; the
probes, not this clock, say how long the network was dark.
"""
import os
import signal
import threading
import time

from .host import LabError, now_ns, signal_all, tree_of
from .routers import freeze, thaw

FREEZE_SECONDS = 3.0


class Fault:
    """One fault by name. `first` is the router that must be Active before it."""

    def __init__(self, name, text, inject, recover, first="r1", moves=True, killed=False,
                 tandem_only=False):
        self.name, self.text = name, text
        self._inject, self._recover = inject, recover
        self.first, self.moves, self.killed = first, moves, killed
        self.tandem_only = tandem_only

    def inject(self, lab, node):
        """Hurts `node`; returns (instant before, instant after)."""
        before = now_ns()
        self._inject(lab, node)
        return before, now_ns()

    def recover(self, lab, node):
        self._recover(lab, node)


def _nothing(_lab, _node):
    pass


def _sigkill_all(lab, node):
    signal_all(lab.routers[node].pids(), signal.SIGKILL)


def _restart(lab, node):
    lab.routers[node].stop()
    lab.routers[node].start()


def _node_loss(lab, node):
    lab.topology.cut(lab.topology.ports(node))


def _standby_loss(lab, node):
    lab.topology.cut(lab.topology.ports(lab.standby_of(node)))


def _heal(lab, _node):
    lab.topology.heal()


def _power_on(lab, node):
    """A machine that lost its power comes back with nothing running and no flows."""
    router = lab.routers[node]
    signal_all(router.pids(), signal.SIGKILL)
    router.forget_kernel()
    lab.topology.heal()
    router.start()


def _cut(networks, direction="both"):
    def inject(lab, node):
        lab.topology.cut(lab.topology.ports(node, networks), direction)
    return inject


def _link_down(networks):
    def inject(lab, node):
        lab.topology.carrier(lab.topology.ports(node, networks), False)
    return inject


def _freeze(lab, node):
    pids = lab.routers[node].pids()
    freeze(pids)
    # Not a sleep of the caller: it watches the sessions meanwhile.
    threading.Timer(FREEZE_SECONDS, thaw, [pids]).start()


def _thaw(lab, node):
    thaw(lab.routers[node].pids())


def _graceful_stop(lab, node):
    lab.routers[node].stop()


def _start(lab, node):
    lab.routers[node].start()


def _switchover(lab, node):
    lab.routers[node].switchover()


def _daemon(name):
    """Kills one process of the Active router by its name."""
    def inject(lab, node):
        for top in lab.routers[node].recorded_pids():
            for pid in tree_of(top):
                try:
                    program = os.readlink(f"/proc/{pid}/exe")
                except OSError:
                    continue
                if os.path.basename(program) == name:
                    os.kill(pid, signal.SIGKILL)
                    return
        raise LabError(f"{node} runs no {name}")
    return inject


FAULTS = {fault.name: fault for fault in (
    Fault("sigkill-all", "SIGKILL of all processes of the Active router", _sigkill_all,
          _restart, killed=True),
    Fault("node-loss", "all ports of the Active router cut at the switch", _node_loss,
          _power_on),
    Fault("cut-lan", "only LAN silently cut, carrier up, sync alive", _cut(["lan"]), _heal),
    Fault("cut-wan", "only WAN silently cut, carrier up, sync alive", _cut(["wan"]), _heal),
    Fault("link-down-lan", "LAN link down, with carrier loss", _link_down(["lan"]), _heal),
    Fault("link-down-wan", "WAN link down, with carrier loss", _link_down(["wan"]), _heal),
    Fault("freeze-higher", "SIGSTOP of everything for 3 s, Active has the higher priority",
          _freeze, _thaw),
    Fault("freeze-lower", "SIGSTOP of everything for 3 s, Active has the lower priority",
          _freeze, _thaw, first="r2"),
    Fault("graceful-stop", "ordered stop of the Active router", _graceful_stop, _start),
    Fault("switchover", "tandemctl switchover", _switchover, _nothing, tandem_only=True),
    # both routers alive and alone, then together again
    Fault("partition", "all ports of the Active router cut, both routers stay alive",
          _node_loss, _heal),
    Fault("partition-lower", "the same, Active has the lower priority", _node_loss, _heal,
          first="r2"),
    Fault("standby-cut", "all ports of the standby router cut, both routers stay alive",
          _standby_loss, _heal, moves=False),
    Fault("standby-cut-higher", "the same, the standby has the higher priority",
          _standby_loss, _heal, first="r2", moves=False),
    # one way, and single parts
    Fault("cut-lan-in", "what the Active router sends to the LAN is lost",
          _cut(["lan"], "in"), _heal),
    Fault("cut-lan-out", "what the LAN sends to the Active router is lost",
          _cut(["lan"], "out"), _heal),
    Fault("cut-wan-in", "what the Active router sends to the WAN is lost",
          _cut(["wan"], "in"), _heal),
    Fault("cut-wan-out", "what the WAN sends to the Active router is lost",
          _cut(["wan"], "out"), _heal),
    Fault("cut-sync", "the sync link silently cut", _cut(["sync"]), _heal, moves=False),
    Fault("kill-vrrpd", "SIGKILL of tandem-vrrpd alone", _daemon("tandem-vrrpd"), _nothing,
          tandem_only=True),
    *(Fault(f"kill-{part}", f"SIGKILL of tandem-{part} alone", _daemon(f"tandem-{part}"),
            _nothing, moves=False, tandem_only=True)
      for part in ("syncd", "lbd", "checkd", "mgmtd", "hookd")),
    Fault("kill-tandemd", "SIGKILL of tandemd alone", _daemon("tandemd"), _restart,
          killed=True, tandem_only=True),
)}

# the matrix of the promise, in its order
MATRIX = ("sigkill-all", "node-loss", "cut-lan", "cut-wan", "link-down-lan", "link-down-wan",
          "freeze-higher", "freeze-lower", "graceful-stop", "switchover")


def get(name):
    if name not in FAULTS:
        raise LabError(f"no fault {name}: one of {', '.join(FAULTS)}")
    return FAULTS[name]


def wait_fault_over(name):
    """A freeze lasts; everything else is complete when inject returns."""
    if name.startswith("freeze"):
        time.sleep(FREEZE_SECONDS)
