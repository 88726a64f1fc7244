"""A node that comes back must hold the whole state before it may take over again."""
import json
import os
import time

from tandemlab import faults
from tandemlab.agents import wait_alive
from tandemlab.host import progress, wait_for
from tandemlab.scenario import Load, failures

FAILOVERS = int(os.environ.get("FAILOVERS", "20"))


def kept(found):
    """The broken promises of a load that saw more than one fault."""
    return failures({**found, "blackouts": {}})


def flows(lab, node):
    """Entries of the kernel's table in one router's namespace."""
    from tandemlab.host import in_ns, run
    text = run(in_ns(lab.topology.ns(node), ["conntrack", "-L", "-o", "extended"]),
               check=False)
    return [line for line in text.splitlines() if " src=" in line]


def test_killed_node_preempts_only_with_the_whole_state(make_lab):
    lab = make_lab(edit=lambda text: text.replace("preempt: no", "preempt: yes"))
    load = Load(lab, sessions=200, bulk=0)
    try:
        load.mark()
        kill = faults.get("sigkill-all")
        kill.inject(lab, "r1")
        lab.wait_active("r2", 5)
        time.sleep(2.0)
        lab.routers["r1"].start()
        # higher priority and preempt: it takes over again, and loses nobody by it
        lab.wait_active("r1", 30)
        assert len(flows(lab, "r1")) >= 800
        time.sleep(3.0)
        wait_alive(load.sessions, 10)
        found = load.finish()
    finally:
        load.stop()
    assert kept(found) == []


def test_a_returned_node_holds_the_flows_before_it_is_in_sync(make_lab):
    lab = make_lab()
    load = Load(lab, sessions=200, bulk=0)
    try:
        faults.get("sigkill-all").inject(lab, "r1")
        lab.wait_active("r2", 5)
        lab.routers["r1"].start()
        wait_for("r1 in sync", lab.routers["r1"].in_sync, 20)
        assert len(flows(lab, "r1")) >= 800
        assert lab.active() == "r2"
        found = load.finish()
    finally:
        load.stop()
    assert kept(found) == []


def lost(load):
    """The sessions that are gone for good, per kind."""
    states = {agent.kind: agent.status() for agent in load.sessions}
    return {kind: state["count"] - state["open"] for kind, state in states.items()
            if state["open"] != state["count"]}


def keep_evidence(lab, load, turn):
    """What tells why sessions were lost, among the logs that a failed test leaves behind."""
    for node in lab.routers:
        path = os.path.join(lab.run_dir, f"flows-{node}-turn-{turn}")
        with open(path, "w", encoding="ascii") as f:
            f.write("\n".join(flows(lab, node)) + "\n")
    with open(os.path.join(lab.run_dir, f"sessions-turn-{turn}"), "w", encoding="ascii") as f:
        json.dump([agent.status() for agent in load.sessions], f, indent=1)


def fail_over(lab, load, fault, turn):
    """One fault of the Active router; when this returns, the other one serves everybody."""
    node = lab.active()
    assert node is not None
    peer = lab.standby_of(node)
    begin = time.monotonic()
    fault.inject(lab, node)
    lab.wait_active(peer, 5)
    alone = time.monotonic() - begin
    time.sleep(0.6)  # a session counts as alive for half a second after its last echo
    everybody = wait_alive(load.sessions, 10)
    fault.recover(lab, node)
    lab.wait_protected(20)
    assert lab.active() == peer
    gone = lost(load)
    progress(f"turn {turn:2} of {FAILOVERS}: {fault.name:11} {node} -> {peer}, alone Active "
             f"after {alone:.2f} s, protected after {time.monotonic() - begin:.1f} s; lost: "
             f"{gone or 'none'}")
    if gone or not everybody:
        keep_evidence(lab, load, turn)
    assert everybody and gone == {}


def test_failovers_and_failbacks_in_a_row(make_lab):
    """800 sessions live through all of it: a turn is a failover by a kill, the killed node's
    return and the failback to it. Every second failback is a kill as well, the others are
    switchovers."""
    lab = make_lab()
    load = Load(lab, sessions=200, bulk=0)
    try:
        load.mark()
        for turn in range(1, FAILOVERS + 1):
            first = lab.active()
            fail_over(lab, load, faults.get("sigkill-all"), turn)
            fail_over(lab, load, faults.get("sigkill-all" if turn % 2 == 0 else "switchover"),
                      turn)
            assert lab.active() == first
        found = load.finish()
    finally:
        load.stop()
    assert all(s["count"] == 200 for s in found["sessions"])
    assert kept(found) == []
