"""A node that comes back must hold the whole state before it may take over again."""
import os
import time

from tandemlab import faults
from tandemlab.agents import wait_alive
from tandemlab.host import wait_for
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


def test_failovers_and_failbacks_in_a_row(make_lab):
    """Every second one is a kill, the others are switchovers; the sessions stay the same."""
    lab = make_lab()
    load = Load(lab, sessions=50, bulk=0)
    try:
        load.mark()
        for turn in range(FAILOVERS):
            node = lab.active()
            assert node is not None
            fault = faults.get("sigkill-all" if turn % 2 == 0 else "switchover")
            fault.inject(lab, node)
            lab.wait_active(lab.standby_of(node), 5)
            fault.recover(lab, node)
            lab.wait_protected(20)
            assert lab.active() == lab.standby_of(node)
        wait_alive(load.sessions, 20)
        found = load.finish()
    finally:
        load.stop()
    assert kept(found) == []
