"""Faults beside the matrix: one-way cuts, a pair that is parted, single parts that die."""
import os

import pytest

from tandemlab import faults, report
from tandemlab.scenario import run_fault

SESSIONS = int(os.environ.get("SESSIONS", "50"))
NAMES = [name for name in faults.FAULTS if name not in faults.MATRIX]


@pytest.mark.parametrize("name", NAMES)
def test_every_session_lives(make_lab, name):
    fault = faults.get(name)
    lab = make_lab(first=fault.first)
    result = run_fault(lab, fault, SESSIONS, bulk=0)
    print(report.result_text(result))
    assert result["failures"] == []
    if not fault.moves:
        assert result["active_after"] == result["active_before"]


@pytest.mark.parametrize("heal_after_s", [0.2, 0.35, 0.5, 0.8, 1.3])
@pytest.mark.parametrize("name", ["partition", "partition-lower"])
def test_a_short_partition_answers_nothing_twice(make_lab, name, heal_after_s):
    fault = faults.get(name)
    result = run_fault(make_lab(first=fault.first), fault, SESSIONS, bulk=0,
                       heal_after_s=heal_after_s)
    print(report.result_text(result))
    assert result["failures"] == []


@pytest.mark.parametrize("heal_after_s", [0.35, 0.8, 5.0])
def test_a_router_that_was_cut_off_does_not_take_over(make_lab, heal_after_s):
    fault = faults.get("standby-cut-higher")
    lab = make_lab(first=fault.first)
    result = run_fault(lab, fault, SESSIONS, bulk=0, heal_after_s=heal_after_s)
    print(report.result_text(result))
    assert result["failures"] == []
    assert result["active_after"] == result["active_before"] == "r2"
    assert lab.routers["r2"].status()["term"] == lab.routers["r1"].status()["term"]


def test_a_segment_without_own_addresses(make_lab):
    """`adverts: none`: the routers have no address of their own on the WAN."""
    lab = make_lab(adverts_none=True)
    for node in ("r1", "r2"):
        assert not lab.topology.holds(node, {"r1": "203.0.113.2", "r2": "203.0.113.3"}[node])
    result = run_fault(lab, faults.get("node-loss"), SESSIONS, bulk=0)
    print(report.result_text(result))
    assert result["failures"] == []
    assert result["active_after"] == "r2"
