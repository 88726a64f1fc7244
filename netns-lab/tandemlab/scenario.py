"""One fault under load: sessions of every kind, downloads, probes, witnesses, judgement."""
import statistics
import time

from .agents import BINARY, Agent, statuses, wait_alive, wait_ready
from .faults import wait_fault_over
from .host import LabError, MS, NS, now_ns, progress, wait_for
from .topology import VIRTUAL_LAN, VIRTUAL_LAN6, VIRTUAL_WAN, VIRTUAL_WAN6

# kind: (from which host, to which address, ports)
SESSION_KINDS = {
    "source NAT": ("s3", "203.0.113.254", "7000"),
    "port forwarding": ("client", "203.0.113.10", "8000-8010"),
    "static NAT": ("client", "203.0.113.11", "9000"),
    "balancer": ("client", "203.0.113.12", "80"),
}
UDP_KINDS = {
    "udp source NAT": ("s2", "203.0.113.254", "7001"),
    "udp static NAT": ("client", "203.0.113.11", "9001"),
    "udp balancer": ("client", "203.0.113.12", "53"),
}
BULK_RATE_KIB = 512
BULK_SECONDS = 22
HOLD_SECONDS = 3  # a fault lasts: longer than any takeover at the intervals of the lab
SETTLE_SECONDS = 25  # TCP's own back-off after a blackout of a second ends well before


class Load:
    """Sessions, probes and witnesses on one lab."""

    def __init__(self, lab, sessions=200, bulk=10, kinds=None):
        self.lab = lab
        self.kinds = kinds or list(SESSION_KINDS)
        self.all, self.sessions, self.bulk, self.probes = [], [], [], []
        try:
            self.stalls = self._agent("obs", "stalls")
            self._witnesses()
            for kind in self.kinds:
                host, dest, ports = SESSION_KINDS[kind]
                if sessions > 0:
                    self.sessions.append(self._agent(host, "sessions", kind=kind, dest=dest,
                                                     ports=ports, count=sessions))
            self._bulk(bulk)
            for kind, (host, dest, ports) in UDP_KINDS.items():
                self.probes.append(self._agent(host, "udp", kind=kind, dest=dest, ports=ports,
                                               fifo=6))
            self.probes.append(self._agent("client", "connects", kind="new connections",
                                           dest="203.0.113.12", ports="80"))
            self.probes.append(self._agent("s1", "ping", kind="ping virtual address",
                                           dest=VIRTUAL_LAN[0]))
            self._established(wait_ready(self.sessions + self.bulk + self.probes))
        except BaseException:
            self.stop()
            raise

    def _agent(self, host, mode, **options):
        agent = Agent(self.lab.topology, host, mode, **options)
        self.all.append(agent)
        return agent

    def _witnesses(self):
        v6 = [] if self.lab.classic else [VIRTUAL_WAN6, VIRTUAL_LAN6]
        wan = VIRTUAL_WAN + (v6[0] if v6 else ())
        lan = VIRTUAL_LAN + (v6[1] if v6 else ())
        self.observer = Observer(self.lab.topology, "obs", {"wan0": wan, "lan0": lan})
        self.taps = Observer(self.lab.topology, "switch", {
            "wan-r1": wan, "wan-r2": wan, "lan-r1": lan, "lan-r2": lan}, "--listen-only")
        self.all += [self.observer, self.taps]
        wait_ready([self.observer, self.taps])

    def _bulk(self, count):
        for i, kind in enumerate(self.kinds):
            share = count // len(self.kinds) + (i < count % len(self.kinds))
            if share == 0:
                continue
            host, dest, ports = SESSION_KINDS[kind]
            self.bulk.append(self._agent(
                host, "bulk", kind=kind, dest=dest, ports=ports, count=share,
                bytes=BULK_RATE_KIB * 1024 * BULK_SECONDS, rate=BULK_RATE_KIB))
        self.bulk_started = now_ns()

    @staticmethod
    def _established(events):
        failed = [f"{e['failed']} of {e['kind']}" for e in events if e.get("failed")]
        if failed:
            raise LabError(f"sessions that never opened: {', '.join(failed)}")

    def mark(self):
        for agent in self.sessions + self.bulk:
            agent.command("mark")

    def settle(self, seconds=SETTLE_SECONDS):
        """Until all that can live lives again and the downloads are through."""
        wait_alive(self.sessions + self.bulk, seconds)
        try:
            wait_for("downloads complete", lambda: all(
                state is not None and state["open"] == 0 for state in statuses(self.bulk)),
                BULK_SECONDS + 15, 0.25)
        except LabError:
            pass  # the result says which did not
        wait_alive(self.sessions, 3)

    def finish(self):
        """Ends all agents and returns what they found."""
        time.sleep(0.6)  # the probes judge nothing younger than half a second
        found = {"sessions": [a.finish() for a in self.sessions],
                 "bulk": [a.finish() for a in self.bulk],
                 "probes": [a.finish() for a in self.probes]}
        self.observer.finish()
        self.taps.finish()
        self.stalls.finish()
        found["stalls"] = [e for e in self.stalls.events if e["event"] == "stall"]
        found["double_answers"] = [e for e in self.observer.events
                                   if e["event"] == "double_answer"]
        found["observed"] = [e for e in self.observer.events if e["event"] == "observed"]
        found["taps"] = {e["interface"]: e for e in self.taps.events
                         if e["event"] == "observed"}
        self.stop()
        return found

    def stop(self):
        for agent in self.all:
            agent.process.kill()
            agent.stop()


class Observer(Agent):
    """Its options come in pairs, which keyword arguments cannot say."""

    def __init__(self, topology, host, interfaces, *flags):
        command = [BINARY, "observe", *flags]
        for interface, addresses in interfaces.items():
            command += ["--interface", interface, "--ask", ",".join(addresses)]
        self._start(topology, host, "observe", {"kind": f"observer on {host}"}, command)


def run_fault(lab, fault, sessions=200, bulk=10, before_fault_s=None, recover=True,
              heal_after_s=None):
    """Load, fault, settle, recovery, judgement: a dictionary with all that was seen.

    With heal_after_s the recovery does not wait until the sessions have settled.
    """
    node = lab.active()
    if node is None:
        raise LabError("not exactly one Active router before the fault")
    load = Load(lab, sessions, bulk)
    try:
        if before_fault_s is None:
            # downloads shall be 20-80 % through
            before_fault_s = BULK_SECONDS * 0.3 if bulk else 1.0
        time.sleep(max(0.0, before_fault_s - (now_ns() - load.bulk_started) / NS))
        load.mark()
        progress(f"== fault: {fault.text} ({node})")
        begin = now_ns()
        before, after = fault.inject(lab, node)
        recovered = end = None
        if heal_after_s is not None:
            time.sleep(max(0.0, heal_after_s - (now_ns() - before) / NS))
            recovered = now_ns()
            fault.recover(lab, node)
        wait_fault_over(fault.name)
        time.sleep(HOLD_SECONDS)
        if bulk:
            progress("== waiting for the downloads to complete")
            load.settle()
        else:
            wait_alive(load.sessions, SETTLE_SECONDS)
        lab.look("before-recovery")
        if recover and recovered is None:
            progress(f"== {node} is brought back")
            recovered = end = now_ns()
            fault.recover(lab, node)
            time.sleep(2.0)  # what a returning node does wrong, it does at once
            wait_alive(load.sessions, 5)
        lab.look("at-the-end")
        found = load.finish()
    finally:
        load.stop()
        lab.record("agents", {f"{a.mode} {a.kind}": a.events for a in load.all})
    return judge(lab, fault, node, begin, before, after, recovered, end or now_ns(), found)


# --- judgement --------------------------------------------------------------------------


def stall_in(stalls, begin, end):
    """How long the machine itself stood still within [begin, end]."""
    return sum(max(0, min(end, s["to"]) - max(begin, s["from"])) for s in stalls)


def blackout_of(probe, begin, end, stalls):
    """The longest blackout of a probe that touches [begin, end]."""
    hits = [b for b in probe["blackouts"] if b["to"] >= begin and b["from"] <= end]
    if not hits:
        return {"ms": 0.0, "lost": 0, "stall_ms": 0.0, "from": None, "to": None,
                "open": False}
    worst = max(hits, key=lambda b: b["to"] - b["from"])
    return {"ms": (worst["to"] - worst["from"]) / MS, "lost": worst["lost"],
            "stall_ms": stall_in(stalls, worst["from"], worst["to"]) / MS,
            "from": worst["from"], "to": worst["to"], "open": worst["open"]}


def judge(lab, fault, node, begin, before, after, recovered, end, found):
    result = {
        "fault": fault.name, "text": fault.text, "stack": lab.routers[node].kind,
        "active_before": node, "active_after": lab.active(), "fault_at": before,
        "injection_ms": (after - before) / MS, "recovered_at": recovered,
        "sessions": found["sessions"], "bulk": found["bulk"],
        "double_answers": found["double_answers"],
        "stalls": found["stalls"],
        "observed": found["observed"],
        "blackouts": {p["kind"]: {**blackout_of(p, begin, end, found["stalls"]),
                                  "sent": p["sent"], "lost_all": p["lost"],
                                  "moved": p["moved"]} for p in found["probes"]},
    }
    result["blackout_ms"] = statistics.median(
        [b["ms"] for kind, b in result["blackouts"].items() if kind.startswith("udp")])
    result["stall_ms"] = max(
        [b["stall_ms"] for kind, b in result["blackouts"].items() if kind.startswith("udp")])
    result["failures"] = failures(result)
    result["timeline"] = timeline(lab, result, found)
    return result


def blind(observed):
    """What the observer cannot have seen: who hears no answer hears no second one."""
    unanswered = [f"{a['address']} on {o['interface']}" for o in observed
                  for a in o["asked"] if a["answers"] == 0]
    if not any(o["asked"] for o in observed):
        return ["the observer asked nothing"]
    return [f"the observer heard no answer about {', '.join(unanswered)}"] \
        if unanswered else []


def failures(result):
    """Every promise that this run broke, as sentences; empty = all that should live lived."""
    broken = []
    for s in result["sessions"]:
        dead = s["count"] - s["alive"]
        if dead:
            how = ", ".join(f"{s[k]} {k}" for k in ("refused", "reset", "closed", "timed_out",
                                                    "misordered", "hung") if s[k])
            broken.append(f"{s['kind']}: {dead} of {s['count']} sessions died ({how})")
        if s["moved"]:
            broken.append(f"{s['kind']}: {s['moved']} sessions changed their server")
    for b in result["bulk"]:
        if b["checksum_right"] != b["count"]:
            broken.append(f"bulk {b['kind']}: {b['checksum_right']} of {b['count']} "
                          "downloads arrived with the right checksum")
    if result["double_answers"]:
        broken.append(f"{len(result['double_answers'])} ARP or ND questions were answered "
                      "twice")
    broken += blind(result["observed"])
    for kind, b in result["blackouts"].items():
        if b["open"]:
            broken.append(f"{kind}: no answer until the end")
    return broken


def timeline(lab, result, found):
    """(instant, text), in order: the fault, what was seen on the wire, role changes."""
    begin = result["fault_at"]
    events = [(begin, f"fault: {result['text']} ({result['active_before']})")]
    for kind, b in result["blackouts"].items():
        if kind.startswith("udp") and b["from"]:
            events.append((b["from"], f"{kind}: last packet answered before the gap"))
            events.append((b["to"], f"{kind}: first packet answered after "
                                    f"{b['ms']:.0f} ms"))
    for port, tap in found["taps"].items():
        network, node = port.split("-")
        for what, text in (("announcements", "announces itself"),
                           ("adverts", "begins to advertise"),
                           ("answers", "begins to answer ARP/ND")):
            for span in tap[what]:
                if span["from"] > begin - 50 * MS:
                    detail = f" (priority {span['value']})" if what == "adverts" else ""
                    events.append((span["from"], f"{node} {text} on {network}{detail}"))
    for node, router in lab.routers.items():
        for at, role in router.roles():
            if at > begin - 50 * MS:
                events.append((at, f"{node} logs: {role}"))
    if result["recovered_at"]:
        events.append((result["recovered_at"], f"{result['active_before']} is brought back"))
    return sorted(events)
