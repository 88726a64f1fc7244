"""Mode independent on the wire: what the matrix of test_vrrp_matrix.py does not vary, and
advertisements that nobody should send, made by hand and counted by the running daemon."""
import json
import os
import shutil
import struct
import subprocess
import time

import pytest

from segment import HOST_MAC, SBIN, VRID, Case, Segment, missing_program
from tandemlab.host import LabError, in_ns, run, wait_for
from vrrpnet import Wire, checksum, ethernet, ip, ipv4, ipv6, mac

FOUR, SIX, OLD = Case(3, 4), Case(3, 6), Case(2, 4)


@pytest.fixture
def make(tmp_path):
    if (program := missing_program()) is not None:
        pytest.skip(f"{program} is not installed")
    segments = []

    def up(case=FOUR):
        segment = Segment(str(tmp_path), case)
        segments.append(segment)
        segment.up()
        return segment

    yield up
    for segment in segments:
        segment.down()


def table(segment, value, **labels):
    """The sum of a value over the rows that have these labels."""
    said = json.loads(run([os.path.join(SBIN, "tandemctl"), "--instance", segment.instance,
                           "vrrp", "--json"]))
    return sum(row[value] for part in said["tables"] for row in part["rows"]
               if value in row and all(row[k] == v for k, v in labels.items()))


def state(segment, family):
    for name in ("Initialize", "Backup", "Active"):
        if table(segment, "router_state", family=family, state=name) == 1:
            return name
    return None


def message(case, source, destination, priority=200, vrid=VRID, addresses=None, first=None,
            field=None, count=None, plain=False, wrong=False, tail=b""):
    """An advertisement by the drawings of the RFCs; the arguments make it a bad one."""
    packed = b"".join(ip(a.split("/")[0]) for a in addresses or case.addresses)
    if count is None:
        count = len(packed) // (4 if case.family == 4 else 16)
    if field is None:
        field = 1 if case.version == 2 else 10
    head = struct.pack("!BBBBHH", first or case.version << 4 | 1, vrid, priority, count, field, 0)
    body = head + packed + (bytes(8) if case.version == 2 else b"") + tail
    pseudo = ip(source) + ip(destination) + struct.pack("!II", len(body), 112)
    total = checksum(body if plain or case.version == 2 else pseudo + body)
    return body[:6] + struct.pack("!H", total ^ (1 if wrong else 0)) + body[8:]


def frame(case, source=None, destination=None, ttl=255, **bad):
    source = source or case.own("b")
    group = "224.0.0.18" if case.family == 4 else "ff02::12"
    destination = destination or group
    body = message(case, source, destination, **bad)
    if case.family == 4:
        return ethernet("01:00:5e:00:00:12", HOST_MAC, 0x0800,
                        ipv4(source, destination, 112, body, ttl))
    return ethernet("33:33:00:00:00:12", HOST_MAC, 0x86DD,
                    ipv6(source, destination, 112, body, ttl))


# Why each is dropped, and what is wrong with it.
BAD = {
    "ttl": {"ttl": 254},
    "version": {"first": 0x41},
    "type": {"first": 0x32},
    "address_count": {"count": 0},
    "length": {"count": 9},
    "checksum": {"wrong": True},
    "interval": {"field": 0},
    "vrid": {"vrid": VRID + 1},
}
NOISE = [(FOUR, reason, bad) for reason, bad in BAD.items()]
NOISE += [(SIX, reason, bad) for reason, bad in BAD.items()]
NOISE += [(OLD, reason, {"first": 0x22} if reason == "type" else bad)
          for reason, bad in BAD.items()]
NOISE += [
    (FOUR, "destination", {"destination": "192.0.2.1"}),
    (FOUR, "version", {"first": 0x21}),
    (SIX, "checksum", {"plain": True}),
    (SIX, "link_local", {"addresses": ["2001:db8::100", "fe80::100"]}),
    (OLD, "version", {"first": 0x31}),
    (OLD, "auth_type", {"field": 0x0101}),
    (OLD, "auth_type", {"field": 0x0701, "tail": bytes(28)}),  # as CARP fills these bytes
    (OLD, "interval_mismatch", {"field": 2}),
]


@pytest.mark.parametrize("case", (FOUR, SIX, OLD), ids=("ipv4", "ipv6", "version2"))
def test_noise_is_counted_by_reason_and_disturbs_nobody(make, case):
    segment = make(case)
    segment.start_ours(100)
    segment.wait_owner("a")
    wire = Wire(f"{case.tag}h", "eth0")
    expected = {}
    for other, reason, bad in NOISE:
        if other == case:
            wire.send(frame(case, **bad))
            expected[reason] = expected.get(reason, 0) + 1
    for reason, count in expected.items():
        wait_for(f"{reason} counted", lambda r=reason, c=count: table(
            segment, "adverts_dropped_total", reason=r) == c, 3)
    assert table(segment, "adverts_received_total") == 0
    assert segment.owners() == ["a"]
    # And one that is as it should be: a router of higher priority.
    wire.send(frame(case))
    wait_for("obeyed", lambda: state(segment, f"ipv{case.family}") == "Backup", 3)
    wire.close()


@pytest.mark.parametrize("case, reason", ((FOUR, "version"), (OLD, "length")),
                         ids=("version3", "version2"))
def test_carp_with_the_same_number_is_noise(make, case, reason):
    if shutil.which("ucarp") is None:
        pytest.skip("ucarp is not installed")
    segment = make(case)
    segment.start_ours(100)
    segment.wait_owner("a")
    with subprocess.Popen(in_ns(segment.ns("h"), [
            "ucarp", "-i", "eth0", "-s", "192.0.2.9", "-v", str(VRID), "-p", "secret", "-a",
            "192.0.2.200", "-P"]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as ucarp:
        try:
            wait_for("its frames are counted", lambda: table(
                segment, "adverts_dropped_total", reason=reason) >= 2, 10)
        finally:
            ucarp.kill()
    assert segment.owners() == ["a"]
    assert table(segment, "adverts_received_total") == 0


def test_an_advertisement_is_obeyed_whatever_only_deserves_a_remark(make):
    """Reserved bits, another list, another interval, the checksum of the RFC's letter."""
    segment = make(FOUR)
    segment.start_ours(100)
    segment.wait_owner("a")
    wire = Wire(f"{FOUR.tag}h", "eth0")
    wire.send(frame(FOUR, field=0xF000 | 20, plain=True,
                    addresses=["192.0.2.100", "192.0.2.101"]))
    wait_for("obeyed", lambda: state(segment, "ipv4") == "Backup", 3)
    wire.close()
    for counted in ("adverts_message_only_checksum_total", "adverts_other_addresses_total",
                    "adverts_other_interval_total", "adverts_received_total"):
        assert table(segment, counted) == 1, counted
    assert "another list of 2 addresses" in segment.log()
    assert "advertises every 200 ms" in segment.log()


@pytest.mark.parametrize("case", (Case(3, 4, unicast=True), Case(3, 6, unicast=True)),
                         ids=("ipv4", "ipv6"))
def test_unicast_obeys_the_peer_alone_and_no_multicast(make, case):
    segment = make(case)
    segment.start_ours(100)
    segment.wait_owner("a")
    wire = Wire(f"{case.tag}h", "eth0")
    stranger = "192.0.2.77" if case.family == 4 else "fe80::77"
    wire.send(frame(case, source=stranger, destination=case.own("a")))
    wire.send(frame(case))
    for reason in ("source", "destination"):
        wait_for(f"{reason} counted", lambda r=reason: table(
            segment, "adverts_dropped_total", reason=r) == 1, 3)
    assert segment.owners() == ["a"]
    wire.send(frame(case, destination=case.own("a")))
    wait_for("obeyed", lambda: state(segment, f"ipv{case.family}") == "Backup", 3)
    wire.close()


def test_multicast_with_configured_addresses_obeys_no_stranger(make):
    segment = make(FOUR)
    segment.start_ours(100, interface='node_addresses: [192.0.2.1, 192.0.2.2]')
    segment.wait_owner("a")
    wire = Wire(f"{FOUR.tag}h", "eth0")
    wire.send(frame(FOUR, source="192.0.2.77"))
    wait_for("counted", lambda: table(segment, "adverts_dropped_total", reason="source") == 1, 3)
    wire.close()
    assert segment.owners() == ["a"]


def test_the_families_of_an_interface_are_two_routers(make):
    """keepalived has the IPv4 one alone, with the higher priority."""
    segment = make(FOUR)
    segment.start_ours(100, addresses=["192.0.2.100/24", "fe80::100/64", "2001:db8::100/64"],
                       extra="keepalived_names: yes")
    segment.wait_owner("a")
    for name in ("eth0", "eth0-v6"):
        wait_for(name, lambda n=name: f"({n}) Entering MASTER STATE" in segment.log(), 3)
    assert (state(segment, "ipv4"), state(segment, "ipv6")) == ("Active", "Active")
    segment.start_theirs(150)
    segment.wait_owner("b")
    segment.wait_only_answer("b")
    assert (state(segment, "ipv4"), state(segment, "ipv6")) == ("Backup", "Active")
    links = run(in_ns(segment.ns("a"), ["ip", "-6", "addr", "show", "td51v6-eth0"]))
    assert "2001:db8::100/64" in links
    segment.stop("theirs")
    segment.wait_owner("a")
    # The IPv4 router alone is bound to the fence's IPv4 lease: both answer now.
    segment.wait_only_answer("a")


def test_an_owner_takes_its_addresses_at_once_and_keeps_them(make):
    segment = make(FOUR)
    segment.start_theirs(254)
    segment.wait_owner("b")
    segment.start_ours(255, preempt="no")
    wait_for("Active from the start", lambda: "Initialize -> Active" in segment.log(), 3)
    segment.wait_owner("a")
    time.sleep(6 * FOUR.interval_s)
    assert segment.owners() == ["a"]
    assert "Active -> Backup" not in segment.log()
    assert {p["vrrp.prio"] for p in segment.adverts("a")} == {"255"}


def test_an_owner_without_any_other_address(make):
    segment = make(FOUR)
    run(in_ns(segment.ns("a"), ["ip", "addr", "del", "192.0.2.1/24", "dev", "eth0"]))
    segment.start_ours(255)
    segment.wait_only_answer("a", 5)
    wire = Wire(f"{FOUR.tag}h", "eth0")
    assert wire.wait_for(lambda f: f[23] == 112 and f[26:30] == ip("192.0.2.100"), 1)
    wire.close()


def test_preempt_delay_bears_a_lower_router_for_a_while(make):
    segment = make(FOUR)
    segment.start_theirs(100)
    segment.wait_owner("b")
    segment.start_ours(150, extra="preempt_delay: 2s")
    segment.wait_ours_speaks()
    begun = time.monotonic()
    while time.monotonic() < begun + 1.7:
        assert segment.owners() == ["b"]
        time.sleep(0.05)
    segment.wait_owner("a", 2)


def ping(segment):
    said = run(in_ns(segment.ns("h"), ["ping", "-c", "1", "-W", "1", segment.case.virtual]),
               check=False)
    return " 0% packet loss" in said


@pytest.mark.parametrize("case", (FOUR, SIX), ids=("ipv4", "ipv6"))
def test_without_accept_the_address_resolves_and_does_nothing_else(make, case):
    segment = make(case)
    segment.start_ours(150)
    segment.wait_only_answer("a", 5)
    wait_for("ping", lambda: ping(segment), 5)
    segment.stop("ours")
    segment.start_ours(150, extra="accept: no")
    segment.wait_only_answer("a", 5)
    wait_for("rules are in force", lambda: not ping(segment), 5)
    # Answered out of turn as well, when a neighbour asks with a unicast.
    segment.wait_only_answer("a")


def test_the_checksum_of_the_letter_is_sent_when_asked_for(make):
    segment = make(FOUR)
    segment.start_ours(150, extra="checksum_pseudo_header: no")
    segment.wait_owner("a")
    time.sleep(3 * FOUR.interval_s)
    segment.stop_capture()
    plain = segment.adverts("a", plain=True)
    assert plain and all(p["vrrp.checksum.status"] in ("1", "Good") for p in plain)
    assert not any(p["vrrp.checksum.status"] in ("1", "Good") for p in segment.adverts("a"))


def test_unicast_over_ipv6_with_the_hop_limit_of_the_system_is_none(make):
    """What keepalived 2.2.7 sends unless its system's hop limit is 255."""
    segment = make(Case(3, 6, unicast=True))
    run(in_ns(segment.ns("b"), ["sysctl", "-qw", "net.ipv6.conf.eth0.hop_limit=64"]))
    segment.start_theirs(150)
    segment.wait_owner("b")
    segment.start_ours(100)
    segment.wait_ours_speaks()
    wait_for("counted", lambda: table(segment, "adverts_dropped_total", reason="ttl") > 2, 5)


def test_the_group_is_joined_where_a_bridge_snoops(make):
    """A bridge with an MLD querier passes ff02::12 on to those alone who reported it."""
    segment = make(SIX)
    run(in_ns(segment.ns("sw"), ["ip", "link", "set", "br0", "type", "bridge",
                                 "mcast_snooping", "1", "mcast_querier", "1",
                                 "mcast_startup_query_interval", "20"]))
    segment.start_theirs(150)
    segment.wait_owner("b")
    segment.start_ours(100)
    segment.wait_ours_speaks()
    groups = run(in_ns(segment.ns("a"), ["ip", "-6", "maddr", "show", "dev", "eth0"]))
    assert "ff02::12" in groups
    begun = time.monotonic()
    while time.monotonic() < begun + 2:
        assert segment.owners() == ["b"]
        time.sleep(0.05)
    with pytest.raises(LabError):
        wait_for("a takeover", lambda: "-> Active" in segment.log(), 0.1)


@pytest.mark.parametrize("case", (FOUR, SIX, OLD), ids=("ipv4", "ipv6", "version2"))
def test_a_lower_rival_that_is_heard_makes_ours_announce_again(make, case):
    """As after a split: whoever learned the rival's MAC learns ours. Version 3, and it alone,
    also answers with an advertisement at once."""
    segment = make(case)
    segment.start_ours(150, extra="garp_repeat: 0\ngarp_refresh: 0s")
    segment.wait_owner("a")
    sent = table(segment, "announcements_sent_total")
    assert sent == len(case.addresses)
    wire = Wire(f"{case.tag}h", "eth0")
    at = 23 if case.family == 4 else 20  # protocol, next header
    wire.drain()
    assert wire.wait_for(lambda f: f[at] == 112, 2)
    wire.send(frame(case, priority=100))
    answer = wire.wait_for(lambda f: f[at] == 112, case.interval_s / 2)
    assert (answer is not None) == (case.version == 3)
    wire.close()
    wait_for("announced again",
             lambda: table(segment, "announcements_sent_total") == 2 * sent, 3)
    assert segment.owners() == ["a"]


@pytest.mark.parametrize("case", (FOUR, SIX), ids=("ipv4", "ipv6"))
def test_nothing_leaves_a_backup_from_the_virtual_mac(make, case):
    """Not even what its kernel says by itself: IGMP, MLD, neighbour discovery."""
    segment = make(case)
    segment.start_theirs(200)
    segment.wait_owner("b")
    wire = Wire(f"{case.tag}sw", "pa")  # what comes in there is what a sends
    segment.start_ours(100)
    segment.wait_ours_speaks()
    time.sleep(3)
    frames = [frame for _, frame in wire.drain() if frame[6:12] == mac(case.mac_of_vrid)]
    wire.close()
    assert segment.owners() == ["b"]
    assert frames == []


def test_unicast_over_ipv6_begins_with_an_address_that_is_still_tentative(make):
    """As at boot: duplicate address detection takes a second, and its end tells nobody."""
    segment = make(Case(3, 6, unicast=True))
    inside = segment.ns("a")
    run(in_ns(inside, ["ip", "addr", "del", "fe80::1/64", "dev", "eth0"]))
    run(in_ns(inside, ["sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=1",
                       "net.ipv6.conf.eth0.dad_transmits=3"]))
    segment.start_theirs(150)
    segment.wait_owner("b")
    run(in_ns(inside, ["ip", "addr", "add", "fe80::1/64", "dev", "eth0"]))
    segment.start_ours(100)
    segment.wait_ours_speaks(2)
    assert "tentative" in run(in_ns(inside, ["ip", "addr", "show", "dev", "eth0"]))
    segment.stop("theirs")
    segment.wait_owner("a")
