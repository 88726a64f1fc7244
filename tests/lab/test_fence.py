"""The fence in a real kernel: who may still be heard, and from when on not."""

import os
import signal
import socket
import struct
import time

import pytest

from vrrpnet import (DRIVER, VIP, VIP6, VMAC, Driver, Topology, Wire,
                     answer_deadline_ns, arp, ethernet, icmpv6, inside, ip, ipv4, is_arp_reply,
                     is_na, mac, ns_sh, program_ids, realtime_of_boottime, solicitation, udp,
                     wait_until)

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces"),
    pytest.mark.skipif(not DRIVER.exists(), reason=f"{DRIVER} is not built"),
]

CLIENT = "02:09:01:00:00:0c"
ROUTER = "02:09:01:00:00:0a"
BROADCAST = "ff:ff:ff:ff:ff:ff"
NO_ANSWER_S = 0.15


@pytest.fixture(scope="module")
def net():
    topology = Topology()
    for ns in ("a", "b"):
        add_virtual_devices(ns)
        add_virtual_addresses(ns)
    start_servers()
    yield topology
    topology.close()


def add_virtual_devices(ns):
    for device in ("eth0", "eth1"):
        ns_sh(ns, f"""
            ip link add v{device} link {device} address {VMAC[device]} type macvlan mode private
            ip link set v{device} addrgenmode none
            sysctl -qw net.ipv4.conf.{device}.arp_ignore=1 net.ipv4.conf.{device}.arp_announce=2
            sysctl -qw net.ipv4.conf.v{device}.arp_ignore=1 net.ipv4.conf.v{device}.arp_announce=2
            sysctl -qw net.ipv4.conf.v{device}.rp_filter=0 net.ipv4.conf.v{device}.accept_local=1
            sysctl -qw net.ipv6.conf.v{device}.accept_dad=0""")


def add_virtual_addresses(ns):
    for device in ("eth0", "eth1"):
        ns_sh(ns, f"""
            ip addr replace {VIP[device]}/24 dev v{device}
            ip addr replace {VIP6[device]}/64 dev v{device} nodad
            ip addr replace fe80::1/64 dev v{device} nodad""")


def start_servers():
    """Listening sockets stay in their namespaces as long as this process lives."""
    for ns in ("a", "s"):
        with inside(ns):
            for family in (socket.AF_INET, socket.AF_INET6):
                sock = socket.socket(family, socket.SOCK_STREAM)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", 7777))
                sock.listen(64)
                SERVERS.append(sock)


SERVERS = []


def fence_up(driver, mac_of=VMAC):
    """Members and addresses first, then the programs, then the devices."""
    driver("fence load")
    driver("drop")
    driver("fence new lab")
    fill(driver, mac_of)


def fill(driver, mac_of=VMAC):
    for device in ("eth0", "eth1"):
        own = ns_sh(driver.ns, f"cat /sys/class/net/{device}/address").strip()
        driver(f"fence member {device} {mac_of[device]} {own}")
        for address in (VIP[device], VIP6[device], "fe80::1"):
            driver(f"fence add {device} {address}")
        driver(f"fence attach {device}")


@pytest.fixture
def a(net):
    """Router a fenced, its virtual devices up; the client knows nothing yet."""
    ns_sh("b", "ip link set veth0 down; ip link set veth1 down")
    driver = Driver("a")
    fence_up(driver)
    for device in ("eth0", "eth1"):
        ns_sh("a", f"ip link set v{device} up")
    add_virtual_addresses("a")
    forget()
    yield driver
    if driver.process.poll() is None:
        driver.kill(signal.SIGCONT)
        for device in ("eth0", "eth1"):
            driver(f"fence detach {device}")
    driver.close()
    for device in ("eth0", "eth1"):
        ns_sh("a", f"tc qdisc del dev {device} clsact", check=False)


def forget():
    for ns in ("c", "s"):
        ns_sh(ns, "ip neigh flush all; ip -6 neigh flush all")


# What a client can try. Each returns whether the router answered. ---------------------------

def question_arp(address=VIP["eth0"], dst=BROADCAST, tags=()):
    wire = Wire("c", "eth0")
    wire.send(ethernet(dst, CLIENT, 0x0806, arp(1, CLIENT, "10.9.1.100", "00:" * 5 + "00",
                                                address), tags))
    got = wire.wait_for(lambda f: is_arp_reply(f, address), NO_ANSWER_S)
    wire.close()
    return got is not None


def question_nd(address=VIP6["eth0"]):
    wire = Wire("c", "eth0")
    wire.send(solicitation(CLIENT, "fd09:1::64", address))
    got = wire.wait_for(lambda f: is_na(f, address), NO_ANSWER_S)
    wire.close()
    return got is not None


def learn(address, hardware):
    """As a client that resolved the address before the fault."""
    ns_sh("c", f"ip neigh replace {address} lladdr {hardware} dev eth0 nud permanent")


def echo(address, hardware):
    """One echo request straight to a MAC."""
    wire = Wire("c", "eth0")
    body = struct.pack("!HH", 77, 1) + b"tandem"
    if ":" in address:
        frame = ethernet(hardware, CLIENT, 0x86DD, icmpv6("fd09:1::64", address, 128, body))
        ns_sh("c", f"ip neigh replace {address} lladdr {hardware} dev eth0")

        def match(f):
            return f[12:14] == b"\x86\xdd" and f[54] == 129 and f[22:38] == ip(address)
    else:
        raw = b"\x08\0\0\0" + body
        total = sum(struct.unpack(f"!{len(raw) // 2}H", raw))
        total = (total & 0xFFFF) + (total >> 16)
        raw = raw[:2] + struct.pack("!H", ~total & 0xFFFF) + raw[4:]
        frame = ethernet(hardware, CLIENT, 0x0800, ipv4("10.9.1.100", address, 1, raw))

        def match(f):
            return f[12:14] == b"\x08\0" and f[23] == 1 and f[34] == 0 and f[26:30] == ip(address)
    wire.send(frame)
    got = wire.wait_for(match, NO_ANSWER_S)
    wire.close()
    return got is not None


def tcp(address, hardware):
    learn(address, hardware)
    with inside("c"):
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock.settimeout(NO_ANSWER_S)
    try:
        sock.connect((address, 7777))
        return True
    except OSError:
        return False
    finally:
        sock.close()
        ns_sh("c", f"ip neigh del {address} dev eth0")


def transit(family=4):
    """A packet through the router, sent to the virtual MAC; the frame that arrived, if any."""
    wire_s, wire_c = Wire("s", "eth1"), Wire("c", "eth0")
    mark = os.urandom(8)
    if family == 4:
        payload = ipv4("10.9.1.100", "10.9.2.100", 17, udp(9, 9, mark))
        frame = ethernet(VMAC["eth0"], CLIENT, 0x0800, payload)
    else:
        body = struct.pack("!HH", 7, 7) + mark
        frame = ethernet(VMAC["eth0"], CLIENT, 0x86DD,
                         icmpv6("fd09:1::64", "fd09:2::64", 128, body))
    wire_c.send(frame)
    got = wire_s.wait_for(lambda f: mark in f, NO_ANSWER_S)
    wire_s.close()
    wire_c.close()
    return got[1] if got else None


def emission(device="veth0", source=None, frame=None):
    """A raw frame from the virtual device, seen by the client?"""
    wire, sender = Wire("c", "eth0"), Wire("a", device)
    mark = os.urandom(16)
    if frame is None:
        frame = ethernet(BROADCAST, source or VMAC["eth0"], 0x88B5, mark)
    else:
        mark = frame[-16:]
    try:
        sender.send(frame)
    except OSError:
        pass
    got = wire.wait_for(lambda f: mark in f, NO_ANSWER_S)
    wire.close()
    sender.close()
    return got is not None


QUESTIONS = {
    "ARP question for the virtual address": question_arp,
    "ARP question sent to the virtual MAC": lambda: question_arp(dst=VMAC["eth0"]),
    "ARP question with a priority tag": lambda: question_arp(tags=[(0x8100, 0)]),
    "neighbour solicitation": question_nd,
    "neighbour solicitation for the link-local address": lambda: question_nd("fe80::1"),
    "IPv4 echo to the virtual MAC": lambda: echo(VIP["eth0"], VMAC["eth0"]),
    "IPv4 echo to the physical MAC": lambda: echo(VIP["eth0"], ROUTER),
    "IPv6 echo to the virtual MAC": lambda: echo(VIP6["eth0"], VMAC["eth0"]),
    "TCP over IPv4": lambda: tcp(VIP["eth0"], VMAC["eth0"]),
    "TCP over IPv6": lambda: tcp(VIP6["eth0"], VMAC["eth0"]),
    "IPv4 transit": lambda: transit(4) is not None,
    "IPv6 transit": lambda: transit(6) is not None,
    "raw frame from the virtual MAC device": emission,
    "raw frame from the parent with the virtual MAC": lambda: emission("eth0"),
    "gratuitous ARP with the virtual address from the physical MAC": lambda: emission(
        "eth0", frame=ethernet(BROADCAST, ROUTER, 0x0806,
                               arp(1, ROUTER, VIP["eth0"], BROADCAST, VIP["eth0"]))),
    "neighbour advertisement for it from the own address and MAC": lambda: emission(
        "eth0", frame=ethernet("33:33:00:00:00:01", ROUTER, 0x86DD, icmpv6(
            "fd09:1::2", "ff02::1", 136, struct.pack("!I", 0x20000000) + ip(VIP6["eth0"])
            + b"\2\1" + mac(ROUTER)))),
}


def advert_comes_in():
    with inside("a"):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                       struct.pack("4s4si", ip("224.0.0.18"), bytes(4),
                                   socket.if_nametoindex("eth0")))
    raw.settimeout(NO_ANSWER_S)
    wire = Wire("c", "eth0")
    wire.send(ethernet("01:00:5e:00:00:12", CLIENT, 0x0800,
                       ipv4("10.9.1.100", "224.0.0.18", 112, b"advert" * 4, 255)))
    try:
        return b"advert" in raw.recv(2048)
    except OSError:
        return False
    finally:
        raw.close()
        wire.close()


def advert_goes_out():
    return emission(frame=ethernet("01:00:5e:00:00:12", VMAC["eth0"], 0x0800,
                                   ipv4("10.9.1.2", "224.0.0.18", 112, os.urandom(20), 255)))


ALWAYS = {
    "ARP question for its own address": lambda: question_arp("10.9.1.2"),
    "neighbour solicitation for its own address": lambda: question_nd("fd09:1::2"),
    "echo to its own address": lambda: echo("10.9.1.2", ROUTER),
    "IPv6 echo to its own address": lambda: echo("fd09:1::2", ROUTER),
    "TCP to its own address": lambda: tcp("10.9.1.2", ROUTER),
    "advertisement coming in": advert_comes_in,
    "advertisement going out from the virtual MAC": advert_goes_out,
    "frame of another VLAN with the virtual MAC": lambda: emission(
        "eth0", frame=mac(BROADCAST) + mac(VMAC["eth0"])
        + struct.pack("!HHH", 0x8100, 100, 0x88B5) + os.urandom(16)),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_open_answers_closed_is_silent(a, name):
    ask = QUESTIONS[name]
    a("fence renew 60000")
    assert ask(), f"open: {name}"
    a("fence close")
    assert not ask(), f"closed: {name}"
    a("fence renew 60000")
    assert ask(), f"open again: {name}"


SIX_MAC = "00:00:5e:00:02:33"


@pytest.fixture
def six(a):
    """A second virtual router on eth0, for IPv6, with a device and a lease of its own."""
    a(f"fence member eth0 {VMAC['eth0']} {ROUTER} 4 0")
    a(f"fence member eth0 {SIX_MAC} {ROUTER} 6 1")
    for address in (VIP6["eth0"], "fe80::1"):
        a(f"fence add eth0 {address} 1")
    ns_sh("a", f"""
        ip link add six0 link eth0 address {SIX_MAC} type macvlan mode private
        ip link set six0 addrgenmode none
        sysctl -qw net.ipv6.conf.six0.accept_dad=0
        ip -6 addr flush dev veth0; ip link set six0 up
        ip addr add {VIP6['eth0']}/64 dev six0 nodad; ip addr add fe80::1/64 dev six0 nodad""")
    yield a
    ns_sh("a", "ip link del six0")


def test_two_routers_on_one_parent_have_a_lease_each(six):
    for four, other in ((60000, 0), (0, 60000), (60000, 60000), (0, 0)):
        six(f"fence renew {four} 0")
        six(f"fence renew {other} 1")
        assert question_arp() == bool(four), (four, other)
        assert emission("eth0") == bool(four), (four, other)
        assert question_nd() == bool(other), (four, other)
        assert emission("eth0", source=SIX_MAC) == bool(other), (four, other)


@pytest.mark.parametrize("name", ALWAYS)
def test_what_a_closed_fence_lets_through(a, name):
    a("fence close")
    assert ALWAYS[name](), name


def count_answers(stop_after_s, act=None, act_at=0.0, every_s=0.0005):
    """ARP questions for the virtual address, steadily; times of the answers."""
    wire = Wire("c", "eth0")
    question = ethernet(BROADCAST, CLIENT, 0x0806,
                        arp(1, CLIENT, "10.9.1.100", "00:" * 5 + "00", VIP["eth0"]))
    begin, answers, asked = time.monotonic(), [], 0
    while (now := time.monotonic() - begin) < stop_after_s:
        if act is not None and now >= act_at:
            act()
            act = None
        wire.send(question)
        asked += 1
        got = wire.receive(every_s)
        while got is not None:
            if is_arp_reply(got[1], VIP["eth0"]):
                answers.append(got[0])
            got = wire.receive()
    wire.close()
    return asked, answers


@pytest.mark.parametrize("signo", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_silent_when_the_lease_is_over_and_nothing_runs(a, signo):
    a("fence keep 300 50")
    asked, answers = count_answers(1.0, lambda: a.kill(signo), 0.3)
    deadline = realtime_of_boottime(answer_deadline_ns("a", "eth0"))
    assert len(answers) > 50 and asked > len(answers) + 50
    late_ms = (answers[-1] - deadline) * 1e3
    print(f"last answer {late_ms:+.3f} ms from the end of the lease, "
          f"{len(answers)} of {asked} answered")
    assert late_ms < 1.0
    assert not question_arp()


def test_a_woken_writer_does_not_open_it_with_an_old_date(a):
    a("fence renew -5000")
    assert not question_arp()


def test_drain_passes_transit_and_answers_nothing(a):
    a("fence renew 60000")
    assert transit(4) and transit(6)
    a("fence drain 60000")
    for family in (4, 6):
        frame = transit(family)
        assert frame is not None, f"IPv{family} transit drains"
        assert frame[6:12] != mac(VMAC["eth1"]), "switches are not pulled back"
    for name in ("ARP question for the virtual address", "neighbour solicitation",
                 "IPv4 echo to the virtual MAC", "TCP over IPv4",
                 "raw frame from the virtual MAC device"):
        assert not QUESTIONS[name](), name
    assert "drained=0 " not in a("fence counters")
    a("fence drain 1")
    wait_until(lambda: transit(4) is None, what="the forward right ends")


def test_drained_transit_leaves_with_the_parents_mac(a):
    """The route points to the virtual MAC device, as it does without an own address."""
    ns_sh("a", "ip route add 10.9.2.100/32 dev veth1")
    try:
        a("fence renew 60000")
        assert transit(4)[6:12] == mac(VMAC["eth1"])
        a("fence drain 60000")
        assert transit(4)[6:12] == mac("02:09:02:00:00:0a")
    finally:
        ns_sh("a", "ip route del 10.9.2.100/32 dev veth1")


def test_a_backup_reaches_the_active(a):
    """b holds the addresses behind an open fence, a has them too but is fenced."""
    b = Driver("b")
    try:
        fence_up(b)
        ns_sh("b", "ip link set veth0 up; ip link set veth1 up")
        add_virtual_addresses("b")
        b("fence renew 60000")
        a("fence close")
        for device in ("eth0", "eth1"):
            ns_sh("a", f"ip addr flush dev v{device}; ip link set v{device} up")
        ns_sh("a", "ip neigh flush all; ip -6 neigh flush all")
        wait_until(lambda: "1 received" in ns_sh("a", "ping -c1 -W1 10.9.1.1", check=False),
                   what="IPv4 to the Active")
        wait_until(lambda: "1 received" in ns_sh("a", "ping -6 -c1 -W1 fd09:1::1",
                                                 check=False), what="IPv6 to the Active")
        assert VMAC["eth0"] in ns_sh("a", "ip neigh show 10.9.1.1")
    finally:
        for device in ("eth0", "eth1"):
            b(f"fence detach {device}")
        b.close()
        ns_sh("b", "ip link set veth0 down; ip link set veth1 down")


def test_a_backup_learns_from_the_announcement_of_another_active(a):
    """Without a virtual MAC the address moves to another MAC: a Backup must hear of it."""
    ns_sh("a", f"ip addr del {VIP['eth0']}/24 dev veth0")
    a("fence close")
    ns_sh("a", f"ip neigh replace {VIP['eth0']} lladdr 02:de:ad:00:00:01 dev eth0 nud stale")
    wire = Wire("c", "eth0")

    def learned():
        wire.send(ethernet(BROADCAST, CLIENT, 0x0806,
                           arp(1, CLIENT, VIP["eth0"], CLIENT, VIP["eth0"])))
        return CLIENT in ns_sh("a", f"ip neigh show {VIP['eth0']} dev eth0")
    wait_until(learned, what="the new MAC")
    wire.close()


def test_no_window_when_a_new_life_takes_over_the_attachment(a):
    """vrrpd restarts ten times with the descriptors kept by the supervisor."""
    a("fence close")
    before = program_ids("a", "eth0")

    def restart():
        for _ in range(10):
            a("fence reopen lab")
            fill(a)
            a("fence prune")

    asked, answers = count_answers(0.8, restart, 0.1)
    assert asked > 100 and answers == []
    assert program_ids("a", "eth0") == before


def test_no_window_when_new_programs_replace_old_ones(a):
    """The supervisor restarted too: other programs, other maps, the same handle."""
    a("fence close")
    before = program_ids("a", "eth0")
    a.kill()
    second = Driver("a")
    try:
        asked, answers = count_answers(1.5, lambda: fence_up(second), 0.1)
        assert asked > 100 and answers == []
        after = program_ids("a", "eth0")
        assert after["ingress"] and after["ingress"] != before["ingress"]
        assert after["egress"] and after["egress"] != before["egress"]
        filters = ns_sh("a", "tc filter show dev eth0 ingress")
        assert filters.count("direct-action") == 1
        second("fence renew 60000")
        assert question_arp()
    finally:
        for device in ("eth0", "eth1"):
            second(f"fence detach {device}")
        second.close()


def test_a_detached_program_is_noticed_and_put_back(a):
    assert a.try_("fence check eth0")[0] == 0
    ns_sh("a", "tc filter del dev eth0 egress pref 1")
    assert os.strerror(a.try_("fence check eth0")[0]) == os.strerror(2)
    a("fence attach eth0")
    assert a.try_("fence check eth0")[0] == 0
    ns_sh("a", "tc qdisc del dev eth0 clsact")
    assert a.try_("fence check eth0")[0] == 2
    a("fence attach eth0")
    assert a.try_("fence check eth0")[0] == 0
    a("fence close")
    assert not question_arp()


def test_two_instances_on_one_device_keep_their_programs(a):
    other = Driver("a")
    try:
        other("fence load")
        other("fence new other")
        other("fence member eth0 00:00:5e:00:01:99 " + ROUTER)
        other("fence attach eth0")
        assert ns_sh("a", "tc filter show dev eth0 ingress").count("direct-action") == 2
        a("fence renew 60000")
        assert question_arp(), "the other instance's closed fence is not ours"
        other(f"fence add eth0 {VIP['eth0']}")
        assert not question_arp(), "an open fence passes on to the filters behind it"
        other("fence renew 60000")
        assert question_arp()
        other("fence detach eth0")
        assert a.try_("fence check eth0")[0] == 0
    finally:
        other.close()


def test_addresses_of_an_earlier_life_stay_fenced_until_pruned(a):
    a("fence reopen lab")
    for device in ("eth0", "eth1"):
        a(f"fence member {device} {VMAC[device]} {ROUTER}")
    a(f"fence add eth0 {VIP6['eth0']}")
    assert not echo(VIP["eth0"], ROUTER)
    a("fence prune")
    assert echo(VIP["eth0"], ROUTER), "no longer one of ours"
    assert not question_nd()


def test_members_of_an_earlier_life_are_detached_when_pruned(a):
    a("fence reopen lab")
    a(f"fence member eth0 {VMAC['eth0']} {ROUTER}")
    a("fence prune")
    assert program_ids("a", "eth1") == {"ingress": None, "egress": None}
    assert program_ids("a", "eth0")["ingress"] is not None


def test_the_supervisor_revokes(a):
    a("fence renew 60000")
    assert question_arp()
    a("fence revoke")
    assert not question_arp()


def test_the_last_frame_of_a_member_is_known(a):
    wire = Wire("c", "eth0")
    wire.send(ethernet(ROUTER, CLIENT, 0x88B5, bytes(46)))
    wire.close()

    def fresh():
        last, now = map(int, a("fence last eth0").split())
        return 0 < last <= now and now - last < 1e9
    wait_until(fresh, what="a frame on eth0 in the last second")


def test_truncated_frames_pass_the_program_and_harm_nobody(a):
    a("fence close")
    wire = Wire("c", "eth0")
    whole = [ethernet(VMAC["eth0"], CLIENT, 0x0800,
                      ipv4("10.9.1.100", VIP["eth0"], 17, udp(1, 2, b"x"))),
             ethernet(BROADCAST, CLIENT, 0x0806,
                      arp(1, CLIENT, "10.9.1.100", "00:" * 5 + "00", VIP["eth0"])),
             solicitation(CLIENT, "fd09:1::64", VIP6["eth0"]),
             ethernet(BROADCAST, CLIENT, 0x0806, b"", [(0x8100, 0), (0x88A8, 0), (0x8100, 0)])]
    for frame in whole:
        for length in range(14, len(frame)):
            wire.send(frame[:length])
    seen = [f for _, f in wire.drain() if f[6:12] == mac(VMAC["eth0"])
            or is_arp_reply(f, VIP["eth0"]) or is_na(f, VIP6["eth0"])]
    wire.close()
    assert seen == []
    assert question_arp("10.9.1.2")


def test_without_virtual_mac_the_addresses_alone_are_fenced(a):
    """The address stands on the parent, which answers for it with its own MAC."""
    a("fence reopen lab")
    a(f"fence member eth0 none {ROUTER}")
    a(f"fence add eth0 {VIP['eth0']}")
    a("fence prune")
    ns_sh("a", f"ip link set veth0 down; ip addr flush dev veth0; ip addr add {VIP['eth0']}/24 dev eth0")
    try:
        a("fence renew 60000")
        assert question_arp() and echo(VIP["eth0"], ROUTER)
        a("fence close")
        assert not question_arp() and not echo(VIP["eth0"], ROUTER)
        assert question_arp("10.9.1.2") and echo("10.9.1.2", ROUTER)
    finally:
        ns_sh("a", f"ip addr del {VIP['eth0']}/24 dev eth0")
