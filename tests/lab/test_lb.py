"""The balancer with real packets: L2 roundrobin, L4 source, L6 UDP, L7 weight, L10 source
list, L12 all servers down (docs/balancer.md)."""
import collections
import socket
import struct
import time

import pytest

from router_bench import SILENCE_S, Bench, Wire, tcp_segment, wait_for

CONFIG = """
cluster: bench
nodes:
  - name: r1
    priority: 150
    public_key: "rq:rM>}}U?@Lns47E1%kR.o@n%FcmmsL/@{{H8]yf7"
    sync_addresses: [10.255.0.1]
  - name: r2
    priority: 100
    public_key: "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{{hID"
    sync_addresses: [10.255.0.2]
interfaces:
  - name: wan0
    public: yes
    vrid: 51
    addresses: [203.0.113.1/24, 203.0.113.12/24, 203.0.113.13/24, "2001:db8:1::1/64"]
  - name: lan0
    vrid: 52
    addresses: [10.1.1.1/24, "fd00:1:1::1/64"]
networks:
  - name: net1
    interface: lan0
    cidrs: [10.1.1.0/24, "fd00:1:1::/64"]
    source_nat: [203.0.113.1]
    egress_default: allow
public_addresses:
  - address: 203.0.113.12
    ingress: [ {{ protocol: tcp, ports: 80-82 }}, {{ protocol: udp, ports: 53-54 }} ]
  - address: "2001:db8:1::1"
    ingress: [ {{ protocol: tcp, ports: 80 }} ]
load_balancers:
  - name: web
    protocol: tcp
    algorithm: {algorithm}
    binds: ["203.0.113.12:80", "203.0.113.12:81", "203.0.113.13:80"]
    health: {{ type: {health} }}
    servers:
      - {{ name: s1, endpoint: "10.1.1.11:8080", weight: {weight} }}
      - {{ name: s2, endpoint: "10.1.1.12:8080" }}
      - {{ name: s3, endpoint: "10.1.1.13:8080" }}
  - name: listed
    protocol: tcp
    algorithm: roundrobin
    binds: ["203.0.113.12:82"]
    sources: [198.51.100.0/28]
    health: {{ type: none }}
    servers:
      - {{ name: s1, endpoint: "10.1.1.11:8080" }}
  - name: dns
    protocol: udp
    algorithm: roundrobin
    binds: ["203.0.113.12:53"]
    health: {{ type: none }}
    servers:
      - {{ name: s1, endpoint: "10.1.1.11:5353" }}
      - {{ name: s2, endpoint: "10.1.1.12:5353" }}
  - name: six
    protocol: tcp
    algorithm: roundrobin
    binds: ["[2001:db8:1::1]:80"]
    health: {{ type: none }}
    servers:
      - {{ name: s1, endpoint: "[fd00:1:1::11]:8080" }}
      - {{ name: s3, endpoint: "[fd00:1:1::13]:8080" }}
"""

VIP = "203.0.113.12"


def model(algorithm="roundrobin", weight=1, health="none"):
    return CONFIG.format(algorithm=algorithm, weight=weight, health=health)


@pytest.fixture
def bench():
    b = Bench()
    for s in b.servers:
        b.serve(s, 8080, ("udp", 5353))
    yield b
    b.close()


@pytest.fixture
def router(bench):
    return bench.drive(model())


def shares(bench, count, address=VIP, port=80, **options):
    got = collections.Counter()
    for _ in range(count):
        got[bench.ask("client", address, port, **options)[0]] += 1
    return got


def test_l2_roundrobin_gives_3000_connections_as_1000_each(bench, router):
    got = shares(bench, 3000)
    assert sum(got.values()) == 3000
    assert all(abs(got[s] - 1000) <= 1 for s in bench.servers), got
    counts = router.counts()
    assert all(counts["server_new", "web", s] == got[s] for s in bench.servers)
    assert all(counts["server_in", "web", s] >= 2 * got[s] for s in bench.servers)
    assert all(counts["server_out", "web", s] >= got[s] for s in bench.servers)


def test_l7_weights_are_shares(bench, router):
    bench.apply(router, model(weight=3))
    got = shares(bench, 500)
    assert got == {"s1": 300, "s2": 100, "s3": 100}


def test_l7_weight_0_drains(bench, router):
    stuck = []
    while True:
        s, server, _ = bench.connect("client", VIP, 80)
        stuck.append(s)
        if server == "s1":
            break
    bench.apply(router, model(weight=0))
    assert shares(bench, 60) == {"s2": 30, "s3": 30}
    stuck[-1].sendall(b"still served")
    assert stuck[-1].recv(64) == b"still served"


def test_l4_source_keeps_a_client_with_its_server(bench, router):
    bench.apply(router, model(algorithm="source"))
    home = {}
    for host in range(1, 33):
        source = f"198.51.100.{host}"
        got = shares(bench, 4, source=source)
        assert len(got) == 1, (source, got)
        home[source] = next(iter(got))
    assert set(home.values()) == set(bench.servers)
    # Its server gone, a client moves; those of the others stay.
    router.do("down web s2")
    for source, server in home.items():
        now = bench.ask("client", VIP, 80, source=source)[0]
        assert now != "s2"
        if server != "s2":
            assert now == server
    router.do("up web s2")
    assert all(bench.ask("client", VIP, 80, source=a)[0] == s for a, s in home.items())


def test_l4_source_is_the_same_on_both_nodes(bench, router):
    """Another process that computes everything anew, as the peer does."""
    bench.apply(router, model(algorithm="source"))
    sources = [f"198.51.100.{host}" for host in range(1, 33)]
    one = [bench.ask("client", VIP, 80, source=a)[0] for a in sources]
    router.close()
    bench.drivers.remove(router)
    bench.shell("router", "tc qdisc del dev wan0 clsact; tc qdisc del dev lan0 clsact; "
                          "nft delete table inet tandem")
    bench.drive(model(algorithm="source"))
    assert [bench.ask("client", VIP, 80, source=a)[0] for a in sources] == one


def test_l9_every_bind_answers(bench, router):
    assert shares(bench, 3, port=80) == shares(bench, 3, port=81)


def test_s7_a_bind_without_a_firewall_rule_is_unreachable(bench, router):
    assert bench.is_silent("client", "203.0.113.13", 80)
    assert router.counts()["drop", "ingress", ""] > 0


def test_l10_others_than_the_source_list_are_refused_silently(bench, router):
    assert bench.ask("client", VIP, 82, source="198.51.100.3")[0] == "s1"
    assert bench.is_silent("client", VIP, 82, source="198.51.100.30")
    assert router.counts()["balancer_denied", "listed", ""] > 0


def test_the_server_sees_the_client(bench, router):
    assert bench.ask("client", VIP, 80, source="198.51.100.9")[1] == "198.51.100.9"


def test_a_client_in_the_servers_network_is_seen_as_the_gateway(bench, router):
    got = {bench.ask("s1", VIP, 80) for _ in range(3)}
    assert got == {(s, "10.1.1.1") for s in bench.servers}


def test_a_down_server_gets_nothing_new_and_keeps_what_it_has(bench, router):
    held = {}
    for _ in range(3):
        s, server, _ = bench.connect("client", VIP, 80)
        held[server] = s
    router.do("down web s2")
    assert shares(bench, 40) == {"s1": 20, "s3": 20}
    held["s2"].sendall(b"old session")
    assert held["s2"].recv(64) == b"old session"
    router.do("up web s2")
    assert shares(bench, 30) == {"s1": 10, "s2": 10, "s3": 10}


def test_a_restart_does_not_raise_the_dead(bench, router):
    text = model(health="tcp")
    bench.apply(router, text)
    router.do("down web s2")
    # Another order: services are found by their binds, not by their place.
    head, balancers = text.split("load_balancers:")
    parts = balancers.split("  - name: ")
    turned = head + "load_balancers:" + "  - name: ".join(parts[:1] + parts[:0:-1])
    router.do(f"restart {bench.configure(turned)}")
    assert shares(bench, 20) == {"s1": 10, "s3": 10}
    assert bench.datagram("client", VIP, 53) is not None
    assert router.stats()["unchanged"] + router.stats()["applied"] == 1
    router.do("up web s2")
    assert shares(bench, 30) == {"s1": 10, "s2": 10, "s3": 10}


def test_l12_all_down_is_silence_and_counted(bench, router):
    for s in bench.servers:
        router.do(f"down web {s}")
    assert bench.is_silent("client", VIP, 80)
    assert router.counts()["drop", "no_server", ""] > 0
    assert bench.datagram("client", VIP, 53) is not None  # another balancer goes on
    router.do("up web s3")
    assert bench.ask("client", VIP, 80)[0] == "s3"


# An RST leaves an entry in CLOSE, a FIN one in TIME_WAIT; the client remembers neither.
@pytest.mark.parametrize("state", ["CLOSE", "TIME_WAIT"])
@pytest.mark.parametrize("address", [VIP, "2001:db8:1::1"])
def test_a_port_used_again_while_the_old_flow_is_remembered(bench, router, state, address):
    """The kernel replaces an ended flow at the SYN of its successor, which is a new one."""
    bench.shell("client", "sysctl -qw net.ipv4.tcp_max_tw_buckets=0")
    family = "-f ipv6 " if ":" in address else ""
    bench.ask("client", address, 80)  # the neighbours are known
    seen = collections.Counter()
    for _ in range(30):
        begin = time.monotonic()
        s, server, _ = bench.connect("client", address, 80, source_port=41000)
        assert time.monotonic() - begin < 0.9  # no SYN was lost and repeated
        seen[server] += 1
        if state == "CLOSE":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            s.shutdown(socket.SHUT_WR)
            assert s.recv(64) == b""
        s.close()
        wait_for(lambda: state in bench.shell(
            "router", f"conntrack -L {family}-p tcp --orig-port-src 41000 2>/dev/null").split(),
                 f"an entry in {state}")
    assert set(seen.values()) == {30 // len(seen)}, seen
    assert router.counts()["drop", "lost_mark", ""] == 0


def test_a_syn_that_conntrack_leaves_with_an_ended_flow_goes_the_old_way_unmarked(bench, router):
    """After an RST of the server conntrack tries the client's next SYN on the old entry."""
    bench.shell("router", "nft add table inet user; nft add counter inet user left; "
                          "nft 'add chain inet user c { type filter hook forward priority 0; }'; "
                          "nft 'add rule inet user c meta mark != 0 counter name left'")
    s, server, _ = bench.connect("client", VIP, 80, source_port=41000)
    s.sendall(b"reset")
    with pytest.raises(ConnectionResetError):
        s.recv(64)
    s.close()
    assert "CLOSE" in bench.shell("router", "conntrack -L -p tcp --orig-port-src 41000")
    begin = time.monotonic()
    assert bench.ask("client", VIP, 80, source_port=41000)[0] == server
    assert time.monotonic() - begin < 0.9
    assert "packets 0 " in bench.shell("router", "nft list counter inet user left")


@pytest.mark.parametrize("live", ["SYN_SENT", "ESTABLISHED"])
def test_a_syn_of_a_live_flow_is_not_scheduled(bench, router, live):
    """Repeated, or out of place: it goes where the flow goes and takes nobody's turn."""
    if live == "SYN_SENT":
        for server in bench.servers:
            bench.shell(server, "nft add table ip mute; nft 'add chain ip mute i { type filter "
                                "hook input priority 0; policy drop; }'")
        s = bench.socket("client")
        s.bind(("", 41000))
        s.setblocking(False)
        s.connect_ex((VIP, 80))
    else:
        s, _, _ = bench.connect("client", VIP, 80, source_port=41000)
    entry = "conntrack -L -p tcp --orig-port-src 41000 -o id 2>/dev/null"
    wait_for(lambda: live in bench.shell("router", entry), f"an entry in {live}")

    def identity():
        fields = bench.shell("router", entry).split()
        return [f for f in fields if f.startswith(("src=", "id=", "mark="))]

    before, scheduled = identity(), router.counts()
    raw = bench.socket("client", kind=socket.SOCK_RAW, proto=socket.IPPROTO_TCP)
    known = router.stats()["scheduler_3"]
    for _ in range(4):
        raw.sendto(tcp_segment("203.0.113.254", VIP, 41000, 80, "SYN"), (VIP, 0))
    wait_for(lambda: router.stats()["scheduler_3"] >= known + 4, "four known packets")
    assert identity() == before
    assert {k: n for k, n in router.counts().items() if k[0] == "server_new"} == {
        k: n for k, n in scheduled.items() if k[0] == "server_new"}
    raw.close()
    if live == "ESTABLISHED":
        s.sendall(b"still here")
        assert s.recv(64) == b"still here"
    s.close()


def test_l6_udp_stays_with_its_server_for_the_flow(bench, router):
    seen = collections.Counter()
    for _ in range(10):
        s = bench.socket("client", kind=socket.SOCK_DGRAM)
        s.connect((VIP, 53))
        flow = {bench.datagram("client", VIP, 53, s=s)[0] for _ in range(5)}
        s.close()
        assert len(flow) == 1
        seen.update(flow)
    assert seen == {"s1": 5, "s2": 5}


def test_l6_fragmented_datagrams_arrive(bench, router):
    for _ in range(4):
        assert bench.datagram("client", VIP, 53, data=b"x" * 6000)[2] == 6000


def test_ip_options_do_not_hide_the_ports(bench, router):
    s = bench.socket("client", kind=socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x01" * 12)
    s.connect((VIP, 53))
    assert bench.datagram("client", VIP, 53, s=s) is not None
    s.close()


def test_ipv6_is_balanced(bench, router):
    got = shares(bench, 10, address="2001:db8:1::1")
    assert got == {"s1": 5, "s3": 5}
    assert bench.ask("client", "2001:db8:1::1", 80)[1] == "2001:db8:1::fe"


@pytest.mark.parametrize("loose", [0, 1])
@pytest.mark.parametrize("flags", ["ACK", "PSH|ACK", "SYN|ACK", "FIN|ACK", "RST"])
def test_an_unknown_midstream_packet_meets_silence(bench, router, loose, flags):
    bench.shell("router", f"sysctl -qw net.netfilter.nf_conntrack_tcp_loose={loose}")
    wire = Wire(bench, "client", "wan0")
    raw = bench.socket("client", kind=socket.SOCK_RAW, proto=socket.IPPROTO_TCP)
    raw.sendto(tcp_segment("203.0.113.254", VIP, 40000, 80, flags, payload=b"data"), (VIP, 0))
    assert wire.heard(dport=40000) == []
    assert sum(n for k, n in router.counts().items() if k[0] == "server_new") == 0
    raw.close()
    wire.close()


def test_the_conntrack_mark_carries_the_server_and_nothing_else(bench, router):
    bench.shell("router", "nft add table inet user; nft 'add chain inet user c { type filter "
                          "hook prerouting priority -180; }'; nft 'add rule inet user c ct state "
                          "new ct mark set 0xab000000'")
    s, server, _ = bench.connect("client", VIP, 80)
    entry = bench.shell("router", "conntrack -L -p tcp --orig-port-dst 80 2>/dev/null")
    mark = int(entry.split("mark=")[1].split()[0])
    assert mark >> 12 == 0xab000
    assert 1 <= mark & 0xfff <= 4094
    other, second, _ = bench.connect("client", VIP, 80)
    assert second != server
    s.close()
    other.close()


def test_the_packet_mark_is_given_back(bench, router):
    bench.shell("router", "nft add table inet user; nft add counter inet user left; "
                          "nft 'add chain inet user c { type filter hook forward priority 0; }'; "
                          "nft 'add rule inet user c meta mark != 0 counter name left'")
    assert bench.ask("client", VIP, 80)[0] in bench.servers
    assert "packets 0 " in bench.shell("router", "nft list counter inet user left")


def test_a_detached_scheduler_is_attached_again(bench, router):
    bench.shell("router", "tc filter del dev wan0 ingress")
    assert bench.is_silent("client", VIP, 80)
    router.do("maintain")
    assert bench.ask("client", VIP, 80)[0] in bench.servers


def test_without_a_scheduler_a_bind_is_silent(bench, router):
    bench.shell("router", "tc qdisc del dev wan0 clsact")
    assert bench.is_silent("client", VIP, 80)
    assert bench.datagram("client", VIP, 53, timeout=SILENCE_S) is None


def test_a_balancer_can_go_and_come_back_under_load(bench, router):
    text = model()
    head, web = text.split("load_balancers:")
    s, _, _ = bench.connect("client", VIP, 80)
    bench.apply(router, head)
    assert bench.is_silent("client", VIP, 80)
    s.sendall(b"still here")
    assert s.recv(64) == b"still here"
    bench.apply(router, head + "load_balancers:" + web)
    assert shares(bench, 3) == {"s1": 1, "s2": 1, "s3": 1}
    s.close()


def test_a_refused_configuration_leaves_the_old_one_in_force(bench, router):
    head, _ = model().split("load_balancers:")
    many = "load_balancers:" + "".join(
        f'''
  - name: lb{i}
    protocol: tcp
    algorithm: roundrobin
    binds: ["203.0.113.13:{1000 + i}"]
    health: {{ type: none }}
    servers: [ {{ name: s, endpoint: "10.1.1.11:8080" }} ]''' for i in range(257))
    status, _ = router.say(f"apply {bench.configure(head + many)}")
    assert status == "error 7"  # E2BIG
    assert shares(bench, 3) == {"s1": 1, "s2": 1, "s3": 1}
    assert router.stats()["applied"] == 1
