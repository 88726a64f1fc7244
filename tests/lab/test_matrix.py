"""Faults x sessions: what the pair promises, fault by fault.

Counts as in the promise: 200 sessions of each of four kinds, one numbered message per 50 ms;
10 downloads that are 20-80 % through at the fault; UDP echo every 1 ms; an observer that asks
ARP and ND for every virtual address all the time. ROUNDS, SESSIONS and BULK change them.
"""
import os

import pytest

from tandemlab import faults, report
from tandemlab.scenario import run_fault

ROUNDS = int(os.environ.get("ROUNDS", "1"))
SESSIONS = int(os.environ.get("SESSIONS", "200"))
BULK = int(os.environ.get("BULK", "10"))


@pytest.mark.parametrize("round_number", range(1, ROUNDS + 1))
@pytest.mark.parametrize("name", faults.MATRIX)
def test_every_session_lives(make_lab, name, round_number):
    fault = faults.get(name)
    lab = make_lab(first=fault.first)
    result = run_fault(lab, fault, SESSIONS, BULK)
    print(report.result_text(result))
    assert result["failures"] == []
    # the fault was real: the other router took over
    if fault.moves:
        assert result["active_after"] not in (None, result["active_before"])
    # and the downloads were under way
    for bulk in result["bulk"]:
        assert bulk["mark_percent_min"] >= 20 and bulk["mark_percent_max"] <= 80
