"""Mode independent beside keepalived and FRR: {version 2 IPv4, version 3 IPv4, version 3 IPv6}
x {virtual MAC, none} x {multicast, unicast}, each through the events of two routers' lives. FRR
knows no unicast and has a virtual MAC always; there ours varies.

A test is one event in one protocol; its ways of speaking run at the same time, each on a
segment of its own. It ends with tshark's judgement of all our advertisements (segment.py).
"""
import functools
import itertools
import os
import signal
import threading
import time
import traceback

import pytest

from frr_segment import DAEMONS, FrrSegment
from segment import Case, Segment, dropped, missing_program
from tandemlab.host import wait_for

PEERS = {"keepalived": Segment, "frr": FrrSegment}
PROTOCOLS = ((2, 4), (3, 4), (3, 6))
HIGH, LOW = 150, 100


def live(peer, case, event, silent, path, failures):
    segment = PEERS[peer](path, case)
    try:
        segment.up()
        event(segment)
        segment.stop_capture()
        assert (segment.check_our_adverts() == 0) == silent
    except Exception:  # of a thread: told by the test
        failures.append(f"{case}: {traceback.format_exc()}")
    finally:
        segment.down()


def each_way(event=None, silent=False):
    """The event in all four ways; silent: ours never advertises, not even priority 0."""
    if event is None:
        return functools.partial(each_way, silent=silent)

    @pytest.mark.parametrize("version, family", PROTOCOLS,
                             ids=[f"v{v}-ipv{f}" for v, f in PROTOCOLS])
    @pytest.mark.parametrize("peer", PEERS)
    def test(peer, version, family, tmp_path):
        if (program := missing_program()) is not None:
            pytest.skip(f"{program} is not installed")
        if peer == "frr" and not os.path.exists(f"{DAEMONS}/vrrpd"):
            pytest.skip("frr is not installed")
        failures, threads = [], []
        for virtual_mac, unicast in itertools.product((True, False), (False, True)):
            case = Case(version, family, virtual_mac, unicast)
            if peer == "frr" and unicast:
                continue
            (tmp_path / str(case)).mkdir()
            threads.append(threading.Thread(target=live, args=(
                peer, case, event, silent, str(tmp_path / str(case)), failures)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, "\n".join(failures)

    test.__name__, test.__doc__ = event.__name__, event.__doc__
    return test


def start(segment, ours, theirs, first="ours"):
    """Both routers; who is first is Active before the other one starts."""
    if first == "ours":
        segment.start_ours(ours)
        segment.wait_owner("a")
        segment.start_theirs(theirs)
        segment.wait_theirs_listens()
    else:
        segment.start_theirs(theirs)
        segment.wait_owner("b")
        segment.start_ours(ours)
        segment.wait_ours_speaks()


def stays(segment, name, intervals=6):
    """So long that a router which hears nobody would have taken over."""
    deadline = time.monotonic() + intervals * segment.case.interval_s
    while time.monotonic() < deadline:
        assert segment.owners() == [name]
        time.sleep(segment.case.interval_s / 4)


# Boot order -----------------------------------------------------------------------------------

@each_way
def test_ours_first_and_higher_keeps_the_role(segment):
    start(segment, HIGH, LOW)
    stays(segment, "a")
    segment.wait_only_answer("a")


@each_way
def test_theirs_first_and_lower_is_preempted(segment):
    start(segment, HIGH, LOW, first="theirs")
    segment.wait_owner("a")
    segment.wait_only_answer("a")


@each_way
def test_ours_first_and_lower_is_preempted(segment):
    start(segment, LOW, HIGH)
    segment.wait_owner("b")
    segment.wait_only_answer("b")


@each_way(silent=True)
def test_theirs_first_and_higher_keeps_the_role(segment):
    start(segment, LOW, HIGH, first="theirs")
    stays(segment, "b")
    segment.wait_only_answer("b")


# Ends -----------------------------------------------------------------------------------------

@each_way
def test_graceful_stop_of_ours_hands_over(segment):
    start(segment, HIGH, LOW)
    segment.stop("ours")
    took = segment.wait_owner("b")
    assert segment.adverts("a")[-1]["vrrp.prio"] == "0"
    # Skew_Time, not Active_Down_Interval.
    assert took < segment.case.skew_s + 1
    segment.wait_only_answer("b")


@each_way
def test_graceful_stop_of_theirs_hands_over(segment):
    start(segment, LOW, HIGH, first="theirs")
    segment.stop("theirs")
    assert segment.wait_owner("a") < segment.case.skew_s + 1
    segment.wait_only_answer("a")


@each_way
def test_sigkill_of_ours(segment):
    start(segment, HIGH, LOW)
    segment.kill("ours")
    wait_for("keepalived has the address", lambda: segment.has_virtual("b"),
             4 * segment.case.interval_s + 2)
    # What is left on the dead node is fenced: one answer, theirs.
    segment.wait_only_answer("b", 4 * segment.case.interval_s + 2)


@each_way
def test_sigkill_of_theirs(segment):
    start(segment, LOW, HIGH, first="theirs")
    segment.kill("theirs")
    wait_for("ours has the address", lambda: segment.has_virtual("a"),
             4 * segment.case.interval_s + 2)


# Faults ---------------------------------------------------------------------------------------

def both_active(segment):
    wait_for("both are Active", lambda: segment.owners() == ["a", "b"],
             5 * segment.case.interval_s + 3)


@each_way
def test_ours_frozen_and_thawed(segment):
    """Silent while frozen, whatever is left in its kernel; then by the letter: preemption."""
    start(segment, HIGH, LOW)
    segment.signal("ours", signal.SIGSTOP)
    wait_for("theirs took over", lambda: segment.has_virtual("b"),
             4 * segment.case.interval_s + 2)
    segment.wait_only_answer("b", 4 * segment.case.interval_s + 2)
    segment.signal("ours", signal.SIGCONT)
    wait_for("ours listened first", lambda: "Active -> Initialize" in segment.log(), 3)
    segment.wait_owner("a")
    segment.wait_only_answer("a")


@each_way
def test_link_of_ours_down_and_up(segment):
    start(segment, HIGH, LOW)
    segment.link("a", "down")
    segment.wait_owner("b")
    segment.wait_only_answer("b")
    segment.link("a", "up")
    segment.wait_owner("a")
    segment.wait_only_answer("a")


@each_way
def test_link_of_theirs_down_and_up(segment):
    start(segment, LOW, HIGH, first="theirs")
    segment.link("b", "down")
    wait_for("ours took over", lambda: segment.has_virtual("a"),
             4 * segment.case.interval_s + 2)
    segment.wait_only_answer("a")
    segment.link("b", "up")
    segment.wait_owner("b")
    segment.wait_only_answer("b")


@each_way
def test_theirs_is_deaf_for_a_while(segment):
    """One-way loss: both are Active, which VRRP cannot know; healed, ours stays."""
    start(segment, HIGH, LOW)
    segment.deaf("b")
    both_active(segment)
    segment.deaf("b", False)
    segment.wait_owner("a")
    segment.wait_only_answer("a")


@each_way
def test_ours_is_deaf_for_a_while(segment):
    start(segment, LOW, HIGH, first="theirs")
    segment.deaf("a")
    both_active(segment)
    segment.deaf("a", False)
    segment.wait_owner("b")
    segment.wait_only_answer("b")


# Ties and preemption --------------------------------------------------------------------------

@each_way
def test_equal_priority_does_not_preempt(segment):
    start(segment, HIGH, HIGH)
    stays(segment, "a")


@each_way(silent=True)
def test_equal_priority_of_ours_does_not_preempt(segment):
    start(segment, HIGH, HIGH, first="theirs")
    stays(segment, "b")


@each_way
def test_split_and_heal_with_equal_priority_the_higher_address_stays(segment):
    start(segment, HIGH, HIGH)
    segment.cut("b")
    both_active(segment)
    segment.cut("b", joined=True)
    segment.wait_owner("b")
    segment.wait_only_answer("b")


@each_way
def test_split_and_heal_with_higher_priority_ours_stays(segment):
    start(segment, HIGH, LOW)
    segment.cut("b")
    both_active(segment)
    segment.cut("b", joined=True)
    segment.wait_owner("a")
    segment.wait_only_answer("a")


@each_way(silent=True)
def test_without_preemption_ours_waits(segment):
    segment.start_theirs(LOW)
    segment.wait_owner("b")
    segment.start_ours(HIGH, preempt="no")
    segment.wait_ours_speaks()
    stays(segment, "b")


@each_way
def test_without_preemption_theirs_waits(segment):
    segment.start_ours(LOW)
    segment.wait_owner("a")
    segment.start_theirs(HIGH, preempt=False)
    segment.wait_theirs_listens()
    stays(segment, "a")


# The interval ---------------------------------------------------------------------------------

@each_way
def test_another_interval_of_theirs(segment):
    """Version 3 learns it; version 2 must not obey such a router at all."""
    interval = segment.case.interval_s
    segment.start_theirs(HIGH, interval=4 * interval)
    segment.wait_owner("b", 20 * interval + 5)
    if segment.case.version == 2:
        # so that its next word falls into our listening: keepalived says no more after ours
        time.sleep(1.5 * interval)
    segment.start_ours(LOW, interval=interval)
    segment.wait_ours_speaks()
    if segment.case.version == 2:
        wait_for("ours is Active too", lambda: segment.has_virtual("a"), 10)
        wait_for("theirs was heard", lambda: dropped(segment, "interval_mismatch"),
                 5 * interval)
        return
    stays(segment, "b", intervals=16)
    begun = time.monotonic()
    segment.kill("theirs")
    wait_for("ours has the address", lambda: segment.has_virtual("a"), 10)
    # Three learned intervals, less the age of the last advertisement.
    assert time.monotonic() - begun > 7 * interval
