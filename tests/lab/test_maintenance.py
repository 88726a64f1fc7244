"""Maintenance of a real pair: the node steps back without loss, and serves when nobody else can."""
import pytest

from tandemlab import faults
from tandemlab.host import LabError, wait_for
from tandemlab.scenario import Load, failures


def alarms(lab, node):
    return [a["alarm"] for a in lab.routers[node].status()["alarms"]]


def test_a_node_in_maintenance_steps_back_and_serves_when_nobody_else_can(make_lab):
    lab = make_lab()
    r1, r2 = lab.routers["r1"], lab.routers["r2"]
    load = Load(lab, sessions=50, bulk=0)
    try:
        load.mark()
        r1.ctl("maintenance", "on")
        lab.wait_active("r2", 5)
        assert "maintenance" in alarms(lab, "r1")
        wait_for("r2 knows", lambda: r2.status()["peer"]["maintenance"], 5)
        with pytest.raises(LabError, match="the peer is in maintenance"):
            r2.ctl("switchover")
        lab.wait_protected(20)
        # it is kept over a restart of everything
        r1.stop()
        r1.start()
        lab.wait_protected(20)
        assert r1.status()["maintenance"] and lab.active() == "r2"
        # nobody else is there: it serves
        faults.get("sigkill-all").inject(lab, "r2")
        lab.wait_active("r1", 5)
        assert r1.status()["maintenance"]
        # and hands over again by itself when the peer holds every session
        r2.start()
        lab.wait_active("r2", 30)
        assert r1.status()["reason"] == "maintenance"
        lab.wait_protected(20)
        r1.ctl("maintenance", "off")
        assert not r1.status()["maintenance"] and "maintenance" not in alarms(lab, "r1")
        assert lab.active() == "r2"
        r2.switchover()
        lab.wait_active("r1", 5)
        found = load.finish()
    finally:
        load.stop()
    assert failures({**found, "blackouts": {}}) == []
