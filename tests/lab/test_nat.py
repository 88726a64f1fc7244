"""The ruleset with real packets: S4 source NAT, S5 static NAT, S6 port forwarding, S7
ingress firewall, S8 egress policy, and what an unknown packet meets (docs/nat.md)."""
import select
import socket
import subprocess

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
    addresses: [203.0.113.1/24, 203.0.113.10/24, 203.0.113.11/24, 203.0.113.12/24,
                203.0.113.13/24, "2001:db8:1::1/64"]
  - name: lan0
    vrid: 52
    addresses: [10.1.1.1/24, "fd00:1:1::1/64"]
networks:
  - name: net1
    interface: lan0
    cidrs: [10.1.1.0/24, "fd00:1:1::/64"]
    source_nat: [203.0.113.1]
    egress_default: {egress}
    egress:
      - {{ protocol: tcp, ports: 25, destinations: [0.0.0.0/0] }}
public_addresses:
  - address: 203.0.113.10
    ingress:
      - {{ protocol: tcp, ports: 8000-8010 }}
      - {{ protocol: udp, ports: 8000-8010, sources: [203.0.113.0/24] }}
      - {{ protocol: tcp, ports: 7000-7009, sources: [198.51.100.0/28] }}
  - address: 203.0.113.11
    ingress:
      - {{ protocol: {static} }}
static_nat:
  - {{ public: 203.0.113.11, private: 10.1.1.11 }}
port_forwarding:
  - {{ name: tcp, protocol: tcp, public: 203.0.113.10, public_ports: 8000-8010,
       private: 10.1.1.12, private_ports: 8000-8010 }}
  - {{ name: udp, protocol: udp, public: 203.0.113.10, public_ports: 8000-8010,
       private: 10.1.1.12, private_ports: 9000-9010 }}
  - {{ name: moved, protocol: tcp, public: 203.0.113.10, public_ports: 7000-7009,
       private: 10.1.1.13, private_ports: 9000-9009, sources: [198.51.100.0/29] }}
  - {{ name: closed, protocol: tcp, public: 203.0.113.13, public_ports: 80,
       private: 10.1.1.13, private_ports: 9000 }}
"""


def model(egress="allow", static="any"):
    return CONFIG.format(egress=egress, static=static)


@pytest.fixture
def bench():
    b = Bench()
    yield b
    b.close()


@pytest.fixture
def router(bench):
    bench.serve("client", 80, 25, ("udp", 53))
    bench.serve("s1", 80, ("udp", 80))
    bench.serve("s2", 8000, 8005, 8010, 7999, 8011, ("udp", 9000), ("udp", 9010))
    bench.serve("s3", 9000, 9004, 9009)
    return bench.drive(model())


def test_s4_source_nat_is_many_to_one(bench, router):
    assert bench.ask("s2", "203.0.113.254", 80) == ("client", "203.0.113.1")
    assert bench.ask("s3", "203.0.113.254", 80) == ("client", "203.0.113.1")
    assert bench.datagram("s2", "203.0.113.254", 53)[1] == "203.0.113.1"
    assert router.counts()["source_nat", "net1", ""] == 3


def test_s4_the_routers_own_traffic_is_never_translated(bench, router):
    assert bench.ask("router", "203.0.113.254", 80, source="203.0.113.2")[1] == "203.0.113.2"
    assert bench.ask("router", "203.0.113.254", 80, source="10.1.1.2")[1] == "10.1.1.2"
    assert bench.ask("router", "10.1.1.12", 8000, source="10.1.1.2")[1] == "10.1.1.2"
    assert router.counts()["source_nat", "net1", ""] == 0


def test_s4_ipv6_is_routed_outwards_and_closed_inwards(bench, router):
    assert bench.ask("s2", "2001:db8:1::fe", 80)[1] == "fd00:1:1::12"
    assert bench.is_silent("client", "fd00:1:1::12", 8000)
    assert bench.is_silent("client", "10.1.1.12", 8000)


def test_s5_static_nat_works_both_ways(bench, router):
    assert bench.ask("client", "203.0.113.11", 80) == ("s1", "203.0.113.254")
    assert bench.datagram("client", "203.0.113.11", 80)[0] == "s1"
    assert bench.ask("s1", "203.0.113.254", 80)[1] == "203.0.113.11"
    assert bench.datagram("s1", "203.0.113.254", 53)[1] == "203.0.113.11"
    assert bench.ping("client", "203.0.113.11")
    counts = router.counts()
    assert counts["static_nat_in", "203.0.113.11", ""] == 3
    assert counts["static_nat_out", "203.0.113.11", ""] == 2


def test_s5_static_nat_stays_under_the_firewall(bench, router):
    bench.apply(router, model(static="udp"))
    assert bench.is_silent("client", "203.0.113.11", 80)
    assert not bench.ping("client", "203.0.113.11")
    assert bench.datagram("client", "203.0.113.11", 80)[0] == "s1"


def test_s6_port_forward_has_sharp_edges(bench, router):
    for port in (8000, 8005, 8010):
        assert bench.ask("client", "203.0.113.10", port)[0] == "s2"
    for port in (7999, 8011):
        assert bench.is_silent("client", "203.0.113.10", port)
    assert router.counts()["port_forward", "tcp", ""] == 3


def test_s6_port_forward_of_udp_moves_the_range(bench, router):
    assert bench.datagram("client", "203.0.113.10", 8000)[0] == "s2"
    assert bench.datagram("client", "203.0.113.10", 8010)[0] == "s2"
    assert bench.datagram("client", "203.0.113.10", 8000, source="198.51.100.1",
                          timeout=SILENCE_S) is None


def test_s6_moved_range_keeps_each_ports_place(bench, router):
    for public, private in ((7000, 9000), (7004, 9004), (7009, 9009)):
        s, server, _ = bench.connect("client", "203.0.113.10", public, source="198.51.100.1")
        assert server == "s3"
        entry = bench.shell("router", f"conntrack -L -p tcp --orig-port-dst {public} 2>/dev/null")
        assert f"sport={private}" in entry
        s.close()


def test_s6_source_list_of_a_forward(bench, router):
    assert bench.ask("client", "203.0.113.10", 7000, source="198.51.100.7")[0] == "s3"
    assert bench.is_silent("client", "203.0.113.10", 7000, source="198.51.100.8")
    counts = router.counts()
    assert counts["drop", "unserved", ""] > 0  # let in by the firewall, not by the forward


def test_s6_hairpin_from_inside_keeps_working(bench, router):
    assert bench.ask("s1", "203.0.113.10", 8000) == ("s2", "10.1.1.1")
    assert bench.ask("s2", "203.0.113.10", 8000) == ("s2", "10.1.1.1")
    assert bench.ask("s2", "203.0.113.11", 80) == ("s1", "10.1.1.1")


def test_s7_ingress_is_denied_by_default(bench, router):
    assert bench.is_silent("client", "203.0.113.13", 80)  # forwarded, but no rule opens it
    assert bench.is_silent("client", "203.0.113.1", 22)
    assert bench.datagram("client", "203.0.113.1", 53, timeout=SILENCE_S) is None
    assert bench.ping("client", "203.0.113.1")
    assert router.counts()["drop", "ingress", ""] >= 3


def test_s7_ingress_rule_names_ports_and_sources(bench, router):
    assert bench.is_silent("client", "203.0.113.10", 7000, source="198.51.100.20")
    counts = router.counts()
    assert counts["ingress_denied", "203.0.113.10", ""] > 0
    assert counts["drop", "unserved", ""] == 0


def test_s7_an_inside_source_from_outside_is_dropped(bench, router):
    bench.batch("client", "addr add 10.1.1.99/32 dev wan0")
    assert bench.is_silent("client", "203.0.113.10", 8000, source="10.1.1.99")
    assert router.counts()["drop", "spoofed", ""] > 0


def test_s8_egress_allow_policy_denies_the_exceptions(bench, router):
    assert bench.is_silent("s2", "203.0.113.254", 25)
    assert bench.ask("s2", "203.0.113.254", 80)[0] == "client"
    counts = router.counts()
    assert counts["egress", "net1", "0"] > 0
    assert counts["egress_default", "net1", ""] > 0


def test_s8_egress_deny_policy_allows_the_exceptions(bench, router):
    bench.apply(router, model(egress="deny"))
    assert bench.ask("s2", "203.0.113.254", 25)[0] == "client"
    assert bench.is_silent("s2", "203.0.113.254", 80)
    assert bench.is_silent("s2", "2001:db8:1::fe", 80)


def test_s8_replies_of_allowed_ingress_pass_a_deny_policy(bench, router):
    bench.apply(router, model(egress="deny"))
    assert bench.ask("client", "203.0.113.10", 8000)[0] == "s2"
    assert bench.ask("client", "203.0.113.11", 80)[0] == "s1"


@pytest.mark.parametrize("loose", [0, 1])
@pytest.mark.parametrize("flags", ["ACK", "PSH|ACK", "SYN|ACK", "FIN|ACK", "RST"])
def test_an_unknown_packet_to_a_virtual_address_meets_silence(bench, router, loose, flags):
    bench.shell("router", f"sysctl -qw net.netfilter.nf_conntrack_tcp_loose={loose}")
    wire = Wire(bench, "client", "wan0")
    raw = bench.socket("client", kind=socket.SOCK_RAW, proto=socket.IPPROTO_TCP)
    for address in ("203.0.113.1", "203.0.113.10", "203.0.113.11", "203.0.113.12"):
        raw.sendto(tcp_segment("203.0.113.254", address, 40000, 8000, flags), (address, 0))
    assert wire.heard(dport=40000) == []
    counts = router.counts()
    assert counts["drop", "invalid", ""] + counts["drop", "midstream", ""] >= 4
    raw.close()
    wire.close()


def test_an_unknown_packet_to_an_own_address_is_answered(bench, router):
    wire = Wire(bench, "client", "wan0")
    raw = bench.socket("client", kind=socket.SOCK_RAW, proto=socket.IPPROTO_TCP)
    raw.sendto(tcp_segment("203.0.113.254", "203.0.113.2", 40001, 8000, "ACK"),
               ("203.0.113.2", 0))
    assert [p[2] & 4 for p in wire.heard(dport=40001)] == [4]
    raw.close()
    wire.close()


def test_nothing_leaves_untranslated(bench, router):
    bench.shell("router", "sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0")
    wire = Wire(bench, "client", "wan0")
    raw = bench.socket("s2", kind=socket.SOCK_RAW, proto=socket.IPPROTO_TCP)
    for flags in ("ACK", "PSH|ACK", "SYN|ACK", "RST"):
        raw.sendto(tcp_segment("10.1.1.12", "203.0.113.254", 8000, 40002, flags),
                   ("203.0.113.254", 0))
    assert wire.heard(dport=40002) == []
    raw.close()
    wire.close()


def handle(bench):
    return bench.shell("router", "nft -a list tables | grep 'inet tandem'")


def test_the_same_model_changes_nothing(bench, router):
    before = handle(bench)
    bench.ask("client", "203.0.113.10", 8000)
    bench.apply(router, model())
    assert handle(bench) == before
    assert router.counts()["port_forward", "tcp", ""] == 1
    assert router.stats()["unchanged"] == 1


def test_sessions_and_counters_survive_another_model(bench, router):
    inward, _, _ = bench.connect("client", "203.0.113.10", 8000)
    outward, _, _ = bench.connect("s3", "203.0.113.254", 80)
    for egress in ("deny", "allow", "deny"):
        bench.apply(router, model(egress=egress))
        for s in (inward, outward):
            s.sendall(b"still here")
            assert s.recv(64) == b"still here"
    assert router.counts()["port_forward", "tcp", ""] == 1
    assert router.stats()["applied"] == 4


def test_a_table_that_somebody_changed_is_written_again(bench, router):
    bench.ask("client", "203.0.113.10", 8000)
    bench.shell("router", "nft flush chain inet tandem translate_in")
    router.do("maintain")
    assert bench.ask("client", "203.0.113.10", 8000)[0] == "s2"
    bench.shell("router", "nft delete table inet tandem")
    router.do("maintain")
    assert bench.ask("client", "203.0.113.10", 8000)[0] == "s2"
    assert router.stats()["repaired"] == 2


def test_a_table_that_was_changed_while_nobody_watched_is_written_again(bench, router):
    bench.ask("client", "203.0.113.10", 8000)
    bench.shell("router", "nft flush chain inet tandem translate_in")
    router.do(f"restart {bench.configure(model())}")
    assert bench.ask("client", "203.0.113.10", 8000)[0] == "s2"
    assert router.counts()["port_forward", "tcp", ""] == 2


def test_a_foreign_table_is_left_alone(bench, router):
    bench.shell("router", "nft add table inet other; nft add chain inet other c")
    router.do("maintain")
    assert router.stats()["repaired"] == 0
    assert "inet other" in bench.shell("router", "nft list tables")


def test_forwarding_is_opened_after_the_table(bench):
    bench.shell("router", "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0")
    bench.drive(model())
    assert bench.shell("router", "sysctl -n net.ipv4.ip_forward "
                                 "net.ipv6.conf.all.forwarding").split() == ["1", "1"]


def test_mss_is_clamped_to_the_path(bench, router):
    bench.batch("router", "link set wan0 mtu 1400")
    bench.batch("client", "link set wan0 mtu 1400")
    s, _, _ = bench.connect("client", "203.0.113.10", 8000)
    payload = b"x" * 200000
    s.sendall(payload)
    got = b""
    while len(got) < len(payload):
        got += s.recv(65536)
    assert got == payload
    s.close()


def test_a_plain_tcp_flow_makes_two_events(bench, router):
    listener = subprocess.Popen(["ip", "netns", "exec", bench.ns("router"), "conntrack", "-E",
                                 "-p", "tcp", "--orig-port-dst", "8000", "-b", "1048576"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        s = None
        for _ in range(50):  # until the listener listens
            if s:
                s.close()
            s, _, _ = bench.connect("client", "203.0.113.10", 8000)
            if select.select([listener.stdout], [], [], 0.1)[0]:
                break
        line = listener.stdout.readline()
        assert "[UPDATE]" in line and "ESTABLISHED" in line, line
        s.close()
    finally:
        listener.terminate()
        listener.wait()


def test_echo_is_answered_by_virtual_and_own_addresses(bench, router):
    for address in ("203.0.113.1", "203.0.113.2", "203.0.113.10", "2001:db8:1::1"):
        assert wait_for(lambda a=address: bench.ping("client", a), f"echo of {address}")
    assert bench.ping("s1", "10.1.1.1")


EVERYTHING = """
cluster: bench
nodes:
  - { name: r1, priority: 150, public_key: "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
      sync_addresses: [10.255.0.1, "fd00:ffff::1"] }
  - { name: r2, priority: 100, public_key: "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
      sync_addresses: [10.255.0.2, "fd00:ffff::2"] }
interfaces:
  - { name: wan0, public: yes, vrid: 51, addresses: [203.0.113.1/24, 203.0.113.10/24,
      203.0.113.11/24, "2001:db8:1::1/64", "2001:db8:1::10/64", "2001:db8:1::11/64"] }
  - { name: a-name-too-long, public: yes, vrid: 53, addresses: [192.0.2.1/24] }
  - { name: lan0, vrid: 52, addresses: [10.1.1.1/24, 10.1.2.1/24, "fd00:1:1::1/64"] }
  - { name: lan1, vrid: 54, addresses: [10.2.1.1/24] }
networks:
  - name: net1
    interface: lan0
    cidrs: [10.1.1.0/24, 10.1.2.0/24, "fd00:1:1::/64"]
    source_nat: [203.0.113.1, "2001:db8:1::1"]
    egress_default: deny
    egress:
      - { protocol: icmp }
      - { protocol: any, destinations: [198.51.100.0/24, "2001:db8:2::/48"] }
      - { protocol: udp, ports: 53 }
      - { protocol: tcp, ports: 1-65535, sources: [10.1.1.7, 10.1.1.8],
          destinations: [198.18.0.0/24, 198.18.1.0/24, 198.18.2.0/24, 198.18.3.0/24,
                         198.18.4.0/24, 198.18.5.0/24, 198.18.6.0/24, 198.18.7.0/24,
                         198.18.8.0/24, 198.18.8.128/25] }
  - { name: net2, interface: lan1, cidrs: [10.2.1.0/24], egress_default: allow }
public_addresses:
  - address: 203.0.113.10
    ingress: [ { protocol: any }, { protocol: icmp }, { protocol: tcp, ports: 80 } ]
  - address: "2001:db8:1::10"
    ingress: [ { protocol: icmp, sources: ["2001:db8:3::/48", "::/0"] },
               { protocol: udp, ports: 80-90, sources: ["2001:db8:3::/48"] } ]
static_nat:
  - { public: "2001:db8:1::11", private: "fd00:1:1::11" }
  - { public: 203.0.113.11, private: 10.1.1.11 }
port_forwarding:
  - { name: long6, protocol: udp, public: "2001:db8:1::10", public_ports: 8000-8020,
      private: "fd00:1:1::12", private_ports: 9000-9020, sources: ["2001:db8:3::/48"] }
  - { name: short6, protocol: tcp, public: "2001:db8:1::10", public_ports: 8000-8002,
      private: "fd00:1:1::12", private_ports: 9000-9002 }
  - { name: same6, protocol: tcp, public: "2001:db8:1::10", public_ports: 22,
      private: "fd00:1:1::12", private_ports: 22 }
load_balancers:
  - name: six
    protocol: udp
    algorithm: source
    binds: ["[2001:db8:1::10]:53", "[2001:db8:1::1]:53"]
    sources: ["2001:db8:3::/48", "2001:db8:4::/48"]
    health: { type: none }
    servers: [ { name: s1, endpoint: "[fd00:1:1::11]:5353", weight: 0 } ]
"""


def test_every_form_of_rule_is_taken_by_the_kernel(bench):
    driver = bench.drive(EVERYTHING)
    path = bench.configure(EVERYTHING)
    driver.do(f"apply {path}")
    assert driver.stats()["unchanged"] == 1
    rules = bench.shell("router", "nft list table inet tandem")
    for words in ("snat ip6 to 2001:db8:1::1", "dnat ip6 to fd00:1:1::11",
                  "dnat ip6 to [fd00:1:1::12]:9002", "198.18.0.0-198.18.8.255"):
        assert words in rules, words
