"""Mode node advertises over IPv6: alone, and beside IPv4 as one election for both."""
import time

import pytest

from segment import Case, Segment, missing_program
from tandemlab.host import in_ns, run, wait_for

SIX, FOUR = Case(3, 6), Case(3, 4)
BOTH = ["192.0.2.100/24", *SIX.addresses]
VMAC4 = "00:00:5e:00:01:33"


@pytest.fixture
def make(tmp_path):
    if (program := missing_program()) is not None:
        pytest.skip(f"{program} is not installed")
    segments = []

    def up(case):
        segment = Segment(str(tmp_path), case)
        segments.append(segment)
        segment.up()
        return segment

    yield up
    for segment in segments:
        segment.down()


def test_a_member_with_ipv6_alone(make):
    segment = make(SIX)
    segment.start_ours(150, mode="node")
    segment.wait_owner("a")
    segment.start_theirs(100)
    segment.wait_theirs_listens()
    time.sleep(6 * SIX.interval_s)
    assert segment.owners() == ["a"]
    segment.wait_only_answer("a")  # from 00-00-5e-00-02-33
    segment.kill("ours")
    wait_for("keepalived has the address", lambda: segment.has_virtual("b"), 3)
    segment.wait_only_answer("b")
    segment.stop_capture()
    assert segment.check_our_adverts() > 6


def test_a_member_with_ipv6_alone_obeys_and_takes_over(make):
    segment = make(SIX)
    segment.start_theirs(200)
    segment.wait_owner("b")
    segment.start_ours(150, mode="node")
    segment.wait_ours_speaks()
    time.sleep(10 * SIX.interval_s)
    assert segment.owners() == ["b"]
    segment.kill("theirs")
    wait_for("ours has the address", lambda: segment.has_virtual("a"), 3)


@pytest.mark.parametrize("case", (FOUR, SIX), ids=("ipv4", "ipv6"))
def test_what_is_heard_in_one_family_counts_for_both(make, case):
    """keepalived knows one family; a higher priority there takes the node's role."""
    segment = make(case)
    segment.start_ours(150, mode="node", addresses=BOTH)
    segment.wait_owner("a")

    def addresses():
        return run(in_ns(segment.ns("a"), ["ip", "addr", "show", "dev", "td51-eth0"]))

    wait_for("both families", lambda: "192.0.2.100/24" in addresses() and
             "2001:db8::100/64" in addresses(), 3)
    segment.start_theirs(200)
    segment.wait_owner("b")
    wait_for("neither family", lambda: "192.0.2.100/24" not in addresses() and
             "2001:db8::100/64" not in addresses(), 3)
    segment.kill("theirs")
    wait_for("both again", lambda: "192.0.2.100/24" in addresses() and
             "2001:db8::100/64" in addresses(), 3)


def test_both_families_are_advertised_from_the_mac_that_has_the_addresses(make):
    segment = make(SIX)
    segment.start_ours(150, mode="node", addresses=BOTH)
    segment.wait_owner("a")
    time.sleep(5 * SIX.interval_s)
    segment.stop("ours")
    segment.stop_capture()
    six, segment.case = segment.adverts("a"), FOUR
    four = segment.adverts("a")
    for packets, listed in ((six, "fe80::100,2001:db8::100"), (four, "192.0.2.100")):
        assert len(packets) > 4 and packets[-1]["vrrp.prio"] == "0"
        for packet in packets:
            assert packet["eth.src"] == VMAC4, packet
            assert (packet["vrrp.ip_addr"] or packet["vrrp.ipv6_addr"]) == listed, packet
            assert packet["vrrp.checksum.status"] in ("1", "Good"), packet
            assert packet["_ws.expert.message"] == "", packet
    segment.case = SIX


def test_a_family_comes_and_goes_without_a_transition(make):
    """Applied to the running Active: it advertises over IPv6 as long as it has addresses."""
    segment = make(FOUR)

    def six():
        segment.case = SIX
        try:
            return [p["vrrp.prio"] for p in segment.adverts("a")]
        finally:
            segment.case = FOUR

    segment.start_ours(150, mode="node")
    segment.wait_owner("a")
    assert six() == []
    segment.reconfigure(150, mode="node", addresses=BOTH)
    wait_for("adverts over IPv6", lambda: len(six()) > 3, 5)
    segment.reconfigure(150, mode="node")
    wait_for("the last one", lambda: six()[-1] == "0", 5)
    last = len(six())
    time.sleep(5 * FOUR.interval_s)
    assert len(six()) == last
    assert segment.log().count(" -> ") == 2, "Initialize, Backup, Active"
    assert segment.owners() == ["a"]
