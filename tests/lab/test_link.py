"""Virtual MAC devices, addresses, routes, announcements and probes in a real kernel."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from vrrpnet import (DRIVER, VIP, VIP6, VMAC, VRID, Driver, Topology, Wire, inside, ip,
                     mac, ns_sh, wait_until)

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces"),
    pytest.mark.skipif(not DRIVER.exists(), reason=f"{DRIVER} is not built"),
]

OWN = "02:09:01:00:00:0a"
GATEWAY = "10.9.2.100"
MEMBERS = {
    "eth0": f"eth0 {VRID['eth0']} mac {VIP['eth0']}/24 10.9.1.10/24 {VIP6['eth0']}/64",
    "eth1": f"eth1 {VRID['eth1']} mac {VIP['eth1']}/24 {VIP6['eth1']}/64 "
            f"via 0.0.0.0/0 {GATEWAY} via ::/0 fd09:2::64 via 192.0.2.0/24 {GATEWAY}",
}
LL = {"eth0": "fe80::200:5eff:fe00:133", "eth1": "fe80::200:5eff:fe00:134"}
DEVICE = {"eth0": "td51-eth0", "eth1": "td52-eth1"}


@pytest.fixture
def net():
    topology = Topology()
    yield topology
    topology.close()


def fence_up(driver, lease_ms):
    driver("fence load")
    driver("fence new lab")
    for device in ("eth0", "eth1"):
        own = ns_sh(driver.ns, f"cat /sys/class/net/{device}/address").strip()
        driver(f"fence member {device} {VMAC[device]} {own}")
        for address in (VIP[device], VIP6[device], LL[device]):
            driver(f"fence add {device} {address}")
        driver(f"fence attach {device}")
    if lease_ms:
        driver(f"fence renew {lease_ms}")


@pytest.fixture
def a(net):
    driver = Driver("a")
    fence_up(driver, 600000)
    # The driver opens it without privileges, which pytest's own directories refuse.
    driver.state_dir = Path(tempfile.mkdtemp(prefix="tandem-test-"))
    driver.state_dir.chmod(0o777)
    driver("drop")
    driver(f"link new lab {driver.state_dir}")
    yield driver
    driver.close()
    shutil.rmtree(driver.state_dir)


def open_members(driver, restore=True):
    for device in MEMBERS:
        driver(f"link open {MEMBERS[device]}")
    driver(f"link reconcile {' '.join(MEMBERS)}")
    for device in MEMBERS:
        if restore:
            driver(f"link restore {device}")


def addresses(ns, device):
    found = json.loads(ns_sh(ns, f"ip -j addr show dev {device}", check=False) or "[]")
    return {f"{a['local']}/{a['prefixlen']}" for link in found for a in link.get("addr_info", [])
            if "local" in a}


def address_flags(ns, device):
    found = json.loads(ns_sh(ns, f"ip -j addr show dev {device}"))
    return [a for link in found for a in link.get("addr_info", []) if "local" in a]


def routes(ns, family=4):
    return [(r["dst"], r.get("gateway"), r.get("dev"), r.get("prefsrc"))
            for r in json.loads(ns_sh(ns, f"ip -{family} -j route show proto 112") or "[]")]


def sysctl(ns, name):
    return int(ns_sh(ns, f"cat /proc/sys/net/{name}"))


def facts(driver, device):
    return dict(pair.split("=", 1) for pair in driver(f"link facts {device}").split())


EXPECTED = {"eth0": {"10.9.1.1/24", "10.9.1.10/24", "fd09:1::1/64", LL["eth0"] + "/64"},
            "eth1": {"10.9.2.1/24", "fd09:2::1/64", LL["eth1"] + "/64"}}


def test_a_restored_member_is_up_private_tagged_and_empty(a):
    open_members(a)
    for device in MEMBERS:
        link = json.loads(ns_sh("a", f"ip -j -d link show dev {DEVICE[device]}"))[0]
        assert link["linkinfo"]["info_kind"] == "macvlan"
        assert link["linkinfo"]["info_data"]["mode"] == "private"
        assert link["address"] == VMAC[device]
        assert link["link"] == device
        assert link["ifalias"] == f"tandem:lab:{device}"
        assert link["inet6_addr_gen_mode"] == "none"
        assert "UP" in link["flags"]
        assert addresses("a", DEVICE[device]) == set()
        assert facts(a, device)["device"].startswith(DEVICE[device] + ":")
    for key, value in {"arp_ignore": 1, "arp_announce": 2, "rp_filter": 0, "accept_local": 1,
                       "promote_secondaries": 1}.items():
        assert sysctl("a", f"ipv4/conf/td51-eth0/{key}") == value, key
    assert sysctl("a", "ipv6/conf/td51-eth0/accept_dad") == 0
    assert sysctl("a", "ipv4/conf/eth0/arp_ignore") == 1
    assert sysctl("a", "ipv4/conf/eth0/arp_announce") == 2


def test_nothing_leaves_a_backups_virtual_mac(net):
    """From the creation of the device on, with the lease closed: no IGMP, MLD, RS, ND."""
    wires = {"eth0": Wire("c", "eth0"), "eth1": Wire("s", "eth1")}
    driver = Driver("a")
    fence_up(driver, 0)
    driver("link new lab")
    open_members(driver)
    # What a device says of itself comes within seconds of it being up; force it twice more.
    for _ in range(2):
        for device in DEVICE.values():
            ns_sh("a", f"ip link set {device} down; ip link set {device} up")
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            driver.read_line(0.1)
    for device, wire in wires.items():
        heard = [frame.hex() for _, frame in wire.drain() if frame[6:12] == mac(VMAC[device])]
        assert heard == [], device
        wire.close()
    counters = dict(p.split("=") for p in driver("fence counters").split())
    assert int(counters["out_mac"]) > 0, "the kernel tried, so the capture could have seen it"
    driver.close()


def test_promotion_and_demotion(a):
    open_members(a)
    for _ in range(3):
        for device in MEMBERS:
            a(f"link promote {device}")
            assert addresses("a", DEVICE[device]) == EXPECTED[device]
        for entry in address_flags("a", "td51-eth0"):
            assert entry.get("tentative") is None and entry.get("dadfailed") is None
            assert entry.get("protocol") in ("112", 112, None)
        assert set(routes("a")) == {
            ("default", GATEWAY, "td52-eth1", "10.9.2.2"),
            ("192.0.2.0/24", GATEWAY, "td52-eth1", "10.9.2.2")}
        assert [r[:3] for r in routes("a", 6)] == [("default", "fd09:2::64", "td52-eth1")]
        for device in MEMBERS:
            a(f"link promote {device}")  # again: nothing to do, no error
            a(f"link demote {device}")
            assert addresses("a", DEVICE[device]) == set()
        assert routes("a") == [] and routes("a", 6) == []
        assert addresses("a", "eth0") >= {"10.9.1.2/24", "fd09:1::2/64"}


def test_an_administrators_default_route_comes_back_after_demotion(a):
    ns_sh("a", "ip route add default via 10.9.2.50 dev eth1")
    open_members(a)
    a("link promote eth1")
    assert "via 10.9.2.100 dev td52-eth1" in ns_sh("a", "ip route get 198.51.100.1")
    a("link demote eth1")
    assert "via 10.9.2.50 dev eth1" in ns_sh("a", "ip route get 198.51.100.1")


def test_clients_reach_the_virtual_addresses_and_through_them(a):
    open_members(a)
    for device in MEMBERS:
        a(f"link promote {device}")
    for target in (VIP["eth0"], VIP6["eth0"], "10.9.2.100", "fd09:2::64", "10.9.1.10"):
        assert " 0% packet loss" in ns_sh("c", f"ping -c2 -i0.1 -W1 {target}"), target
    assert VMAC["eth0"] in ns_sh("c", f"ip neigh show {VIP['eth0']}")
    assert VMAC["eth0"] in ns_sh("c", f"ip -6 neigh show {VIP6['eth0']}")
    for device in MEMBERS:
        a(f"link demote {device}")
    ns_sh("c", "ip neigh flush all")
    assert "100% packet loss" in ns_sh("c", f"ping -c1 -W1 {VIP['eth0']}", check=False)


def test_the_routers_own_questions_do_not_name_a_virtual_address(a):
    """Else clients cache the physical MAC for it."""
    open_members(a)
    for device in MEMBERS:
        a(f"link promote {device}")
    wire = Wire("c", "eth0")
    ns_sh("a", "ip neigh flush all; ping -c1 -W1 10.9.1.100 >/dev/null; "
               f"ping -c1 -W1 -I {VIP['eth0']} 10.9.1.100 >/dev/null || true; "
               "ip neigh flush dev eth0; ping -c1 -W1 10.9.1.100 >/dev/null")
    wrong = [f.hex() for _, f in wire.drain() if f[12:14] == b"\x08\x06"
             and f[28:32] == ip(VIP["eth0"]) and f[22:28] != mac(VMAC["eth0"])]
    wire.close()
    assert wrong == []


def test_a_member_without_own_address(a):
    """adverts: none on a public segment: everything goes by the virtual MAC device."""
    ns_sh("a", "ip addr flush dev eth1")
    open_members(a)
    assert facts(a, "eth1")["own4"] == "-"
    for device in MEMBERS:
        a(f"link promote {device}")
    assert (("default", GATEWAY, "td52-eth1", None) in routes("a"))
    assert " 0% packet loss" in ns_sh("c", "ping -c2 -i0.1 -W1 10.9.2.100")
    assert " 0% packet loss" in ns_sh("c", "ping -c2 -i0.1 -W1 fd09:2::64")


def test_without_virtual_mac_the_parent_carries_the_addresses(a):
    a(f"link open eth0 51 nomac {VIP['eth0']}/24 {VIP6['eth0']}/64")
    a("link restore eth0")
    assert facts(a, "eth0")["device"].startswith("eth0:")
    a("link promote eth0")
    assert addresses("a", "eth0") >= {"10.9.1.1/24", "10.9.1.2/24", "fd09:1::1/64"}
    a("link demote eth0")
    assert not addresses("a", "eth0") & {"10.9.1.1/24", "fd09:1::1/64"}
    assert "10.9.1.2/24" in addresses("a", "eth0")


def test_a_removed_address_is_put_back_while_active(a):
    open_members(a)
    a("link promote eth0")
    ns_sh("a", f"ip addr del {VIP['eth0']}/24 dev td51-eth0")
    a.wait_event(f"repaired eth0 {VIP['eth0']}")
    assert addresses("a", "td51-eth0") == EXPECTED["eth0"]
    ns_sh("a", "ip -6 addr flush dev td51-eth0")
    a.wait_event(f"repaired eth0 {VIP6['eth0']}")
    assert addresses("a", "td51-eth0") == EXPECTED["eth0"]


def test_a_removed_route_is_put_back_while_active(a):
    open_members(a)
    a("link promote eth1")
    ns_sh("a", "ip route del default dev td52-eth1")
    a.wait_event("repaired eth1 route")
    assert ("default", GATEWAY, "td52-eth1", "10.9.2.2") in routes("a")


def test_routes_survive_the_loss_of_the_own_address(a):
    open_members(a)
    a("link promote eth1")
    ns_sh("a", "ip addr del 10.9.2.2/24 dev eth1")
    wait_until(lambda: ("default", GATEWAY, "td52-eth1", None) in routes("a"),
               what="default route without a source")


def test_a_backup_does_not_put_addresses_back(a):
    open_members(a)
    a("link promote eth0")
    a("link demote eth0")
    a("link facts eth0")
    assert a.read_line(0.3) is None or not any("repaired" in e for e in a.events)
    assert addresses("a", "td51-eth0") == set()


def test_a_device_set_down_comes_up_again_with_everything(a):
    open_members(a)
    for device in MEMBERS:
        a(f"link promote {device}")
    ns_sh("a", "ip link set td52-eth1 down")
    a.wait_event("repaired eth1")
    wait_until(lambda: addresses("a", "td52-eth1") == EXPECTED["eth1"]
               and ("default", GATEWAY, "td52-eth1", "10.9.2.2") in routes("a"),
               what="addresses and routes")


def test_carrier_loss_is_reported_at_once(a):
    open_members(a)
    begun = time.monotonic()
    ns_sh("lan", "ip link set a-eth0 down")
    a.wait_event("carrier eth0 down")
    assert time.monotonic() - begun < 1.0
    assert facts(a, "eth0")["carrier"] == "0"
    ns_sh("lan", "ip link set a-eth0 up")
    a.wait_event("carrier eth0 up")


def test_a_deleted_virtual_mac_device_can_be_restored(a):
    open_members(a)
    a("link promote eth0")
    ns_sh("a", "ip link del td51-eth0")
    a.wait_event("gone eth0")
    a.wait_event("back eth0")
    a("link restore eth0")
    a("link promote eth0")
    assert addresses("a", "td51-eth0") == EXPECTED["eth0"]


def test_a_parent_that_disappears_and_returns(a, net):
    open_members(a)
    ns_sh("a", "ip link del eth0")
    a.wait_event("gone eth0")
    assert facts(a, "eth0")["parent"].endswith(":0")
    assert a.try_("link restore eth0")[0] == 19  # ENODEV, and not worse
    net.cable("a", "eth0", "lan", OWN)
    a.wait_event("back eth0")
    a("link restore eth0")
    a("link promote eth0")
    assert addresses("a", "td51-eth0") == EXPECTED["eth0"]


def test_a_member_may_open_before_its_interface_exists(a, net):
    a("link open eth7 60 mac 10.9.7.1/24")
    assert facts(a, "eth7")["parent"] == "eth7:0"
    net.cable("a", "eth7", "lan", "02:09:07:00:00:0a")
    a.wait_event("back eth7")
    a("link restore eth7")
    assert json.loads(ns_sh("a", "ip -j link show dev td60-eth7"))


def test_a_long_interface_name_gives_a_short_device_name(a, net):
    net.cable("a", "enp130s0f1np1", "lan", "02:09:07:00:00:0b")
    a("link open enp130s0f1np1 200 mac 10.9.7.1/24")
    a("link restore enp130s0f1np1")
    f = facts(a, "enp130s0f1np1")
    index = f["parent"].split(":")[1]
    assert f["device"].startswith(f"td200-{index}:")


def test_mac_and_address_changes_of_the_parent_are_told(a):
    open_members(a)
    ns_sh("a", "ip addr add 10.9.1.77/32 dev eth0; ip addr del 10.9.1.2/24 dev eth0")
    a.wait_event("changed eth0")
    wait_until(lambda: facts(a, "eth0")["own4"] == "10.9.1.77", what="new own address")
    ns_sh("a", "ip link set eth0 address 02:09:01:00:00:aa")
    a.wait_event("changed eth0")


def test_a_killed_life_is_cleaned_up_by_the_next(a):
    open_members(a)
    for device in MEMBERS:
        a(f"link promote {device}")
    assert sysctl("a", "ipv4/conf/eth0/arp_ignore") == 1
    a.kill()
    assert addresses("a", "td51-eth0") == EXPECTED["eth0"], "a dead process removes nothing"
    second = Driver("a")
    second(f"link new lab {a.state_dir}")
    # The second member left the configuration meanwhile.
    second(f"link open {MEMBERS['eth0']}")
    second("link reconcile eth0")
    assert addresses("a", "td51-eth0") == set()
    assert ns_sh("a", "ip link show td52-eth1", check=False) == ""
    before = ns_sh("a", "cat /sys/class/net/td51-eth0/ifindex")
    second("link restore eth0")
    assert ns_sh("a", "cat /sys/class/net/td51-eth0/ifindex") == before, "adopted"
    second("link promote eth0")
    assert addresses("a", "td51-eth0") == EXPECTED["eth0"]
    second("link free")
    assert ns_sh("a", "ip link show td51-eth0", check=False) == ""
    for device in MEMBERS:
        assert sysctl("a", f"ipv4/conf/{device}/arp_ignore") == 0, "as the first life found it"
    assert not (a.state_dir / "sysctl").exists()
    second.close()


def test_leftovers_on_a_parent_without_virtual_mac(a):
    a(f"link open eth1 52 nomac {VIP['eth1']}/24 via 192.0.2.0/24 {GATEWAY}")
    a("link restore eth1")
    a("link promote eth1")
    a.kill()
    second = Driver("a")
    second("link new lab")
    second("link open eth1 52 nomac 10.9.2.1/24")
    second("link reconcile eth1")
    assert addresses("a", "eth1") & {"10.9.2.1/24"} == set()
    assert "10.9.2.2/24" in addresses("a", "eth1")
    assert routes("a") == []
    second.close()


def test_strangers_of_another_instance_are_left_alone(a):
    open_members(a)
    other = Driver("a")
    other("link new other")
    other("link reconcile")
    assert ns_sh("a", "ip link show td51-eth0")
    other.close()


def test_a_changed_vrid_replaces_the_device(a):
    open_members(a)
    a.kill()
    ns_sh("a", "ip link set td51-eth0 down; ip link set td51-eth0 address 00:00:5e:00:01:99")
    second = Driver("a")
    second("link new lab")
    second(f"link open {MEMBERS['eth0']}")
    second("link restore eth0")
    assert VMAC["eth0"] in ns_sh("a", "ip link show td51-eth0")
    second.close()


def test_a_configuration_change_is_applied_by_difference(a):
    open_members(a)
    a("link promote eth1")
    with inside("a"):
        monitor = subprocess.Popen(["ip", "monitor", "address", "dev", "td52-eth1"],
                                   stdout=subprocess.PIPE)
    os.set_blocking(monitor.stdout.fileno(), False)
    seen = b""

    def heard(what):
        nonlocal seen
        seen += monitor.stdout.read() or b""
        return what in seen
    try:
        # The monitor listens once it tells of an address that is not ours.
        def listening():
            ns_sh("a", "ip addr add 10.9.2.201/32 dev td52-eth1")
            ns_sh("a", "ip addr del 10.9.2.201/32 dev td52-eth1")
            return heard(b"10.9.2.201")
        wait_until(listening, what="the monitor")
        wait_until(lambda: heard(b"Deleted"), what="the end of it")
        time_of = len(seen)
        a(f"link update eth1 {VRID['eth1']} mac {VIP['eth1']}/24 10.9.2.20/24 "
          f"{VIP6['eth1']}/64 via 0.0.0.0/0 {GATEWAY}")
        wait_until(lambda: heard(b"10.9.2.20/24"), what="the new one")
    finally:
        monitor.kill()
        monitor.wait()
    told = seen[time_of:]
    assert b"10.9.2.1/24" not in told and b"fd09:2::1" not in told, "the others stay untouched"
    assert addresses("a", "td52-eth1") == EXPECTED["eth1"] | {"10.9.2.20/24"}
    assert {r[0] for r in routes("a")} == {"default"} and routes("a", 6) == []
    assert a.try_(f"link update eth1 99 mac {VIP['eth1']}/24")[0] == 22


def test_what_the_kernel_refuses_is_named_and_the_rest_goes_on(a):
    a("link open eth0 51 mac 10.9.1.1/24 ff02::5/64 10.9.1.10/24")
    a("link restore eth0")
    error, text = a.try_("link promote eth0")
    assert error != 0 and "td51-eth0" in text and "ff02::5/64" in text
    assert addresses("a", "td51-eth0") >= {"10.9.1.1/24", "10.9.1.10/24"}


def test_strict_reverse_path_filter_of_all_is_pushed_down(a):
    ns_sh("a", "sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth1.rp_filter=0")
    a(f"link open {MEMBERS['eth0']}")
    a("link restore eth0")
    assert sysctl("a", "ipv4/conf/all/rp_filter") == 0
    assert sysctl("a", "ipv4/conf/td51-eth0/rp_filter") == 0
    assert sysctl("a", "ipv4/conf/eth0/rp_filter") == 2
    assert sysctl("a", "ipv4/conf/eth1/rp_filter") == 1
    a("link free")
    assert sysctl("a", "ipv4/conf/all/rp_filter") == 1
    assert sysctl("a", "ipv4/conf/eth1/rp_filter") == 0


@pytest.mark.parametrize("family", [4, 6])
def test_promotion_of_a_hundred_addresses_does_not_delay_adverts(a, family):
    if family == 4:
        many = " ".join(f"10.9.1.{n}/24" for n in range(101, 201))
    else:
        many = " ".join(f"fd09:1::1:{n:x}/64" for n in range(1, 101))
    a(f"link open eth0 51 mac {many} via 192.0.2.0/24 10.9.1.100")
    a("link restore eth0")
    device = "td51-eth0" if family == 4 else "td51v6-eth0"
    inside_call, complete, removed = [], [], []
    for _ in range(7):
        begun = time.monotonic()
        inside_call.append(int(a("link promote eth0").split("=")[1]))
        wait_until(lambda: len(routes("a")) == 1, what="the route, which comes last")
        complete.append(round((time.monotonic() - begun) * 1e6))
        assert len(addresses("a", device)) == (100 if family == 4 else 101)
        removed.append(int(a("link demote eth0").split("=")[1]))
        assert addresses("a", device) == set()
    print(f"IPv{family}, 100 addresses, us: promotion {sorted(inside_call)}, "
          f"complete (and seen by ip) {sorted(complete)}, demotion {sorted(removed)}")
    assert sorted(inside_call)[3] < 5000 and sorted(removed)[3] < 10000, "medians"


def test_a_demotion_ends_a_promotion_that_is_still_going_on(a):
    many = " ".join(f"fd09:1::1:{n:x}/64" for n in range(1, 251))
    a(f"link open eth0 51 mac {many}")
    a("link restore eth0")
    # One write: both commands are read before the loop's next turn.
    a.process.stdin.write(b"link promote eth0\nlink demote eth0\nlink facts eth0\n")
    for _ in range(3):
        assert a.read_line().startswith("ok")
    a("link facts eth0")
    assert "td51v6-eth0" in ns_sh("a", "ip link show")
    assert addresses("a", "td51v6-eth0") == set()


FOUR = f"eth0 51 mac {VIP['eth0']}/24"
SIX = f"six=eth0 51 mac {VIP6['eth0']}/64"
SIX_LL = "fe80::200:5eff:fe00:233/64"


def test_two_routers_on_one_parent_have_a_device_and_a_mac_each(a):
    a(f"link open {FOUR}")
    a(f"link open {SIX}")
    a("link reconcile eth0 six")
    for member in ("eth0", "six"):
        a(f"link restore {member}")
        a(f"link promote {member}")
    assert "00:00:5e:00:01:33" in ns_sh("a", "ip link show td51-eth0")
    assert "00:00:5e:00:02:33" in ns_sh("a", "ip link show td51v6-eth0")
    assert addresses("a", "td51-eth0") == {f"{VIP['eth0']}/24"}
    assert addresses("a", "td51v6-eth0") == {f"{VIP6['eth0']}/64", SIX_LL}
    a("link demote eth0")
    assert addresses("a", "td51-eth0") == set()
    assert addresses("a", "td51v6-eth0") == {f"{VIP6['eth0']}/64", SIX_LL}
    # What happens to the parent, or to one device, is told to whom it concerns.
    ns_sh("a", "ip link set eth0 down")
    for _ in range(2):
        a.wait_event("carrier eth0")
    ns_sh("a", "ip link set eth0 up")
    for _ in range(2):
        a.wait_event("carrier eth0")
    ns_sh("a", f"ip -6 addr del {VIP6['eth0']}/64 dev td51v6-eth0")
    wait_until(lambda: addresses("a", "td51v6-eth0") == {f"{VIP6['eth0']}/64", SIX_LL},
               what="the address put back")


def test_the_device_of_a_family_that_left_the_configuration_goes(a):
    a(f"link open {FOUR}")
    a(f"link open {SIX}")
    for member in ("eth0", "six"):
        a(f"link restore {member}")
    a.kill()
    second = Driver("a")
    second("link new lab")
    second(f"link open {FOUR}")
    second("link reconcile eth0")
    assert ns_sh("a", "ip link show td51-eth0")
    assert ns_sh("a", "ip link show td51v6-eth0", check=False) == ""
    second.close()


def test_announcements_first_of_every_address_at_once(a):
    a("link free")
    a("link new lab2")
    many = " ".join(f"10.9.1.{n}/24" for n in range(101, 201))
    a(f"link open eth0 51 mac {many} {VIP6['eth0']}/64")
    a("link restore eth0")
    a("link promote eth0")
    wire = Wire("c", "eth0")
    a("announce bind eth0 2 0")
    begun = a("announce start eth0")
    print("first round:", begun)
    arps, nas = {}, {}
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        # The loop of the driver runs between commands: repeats come by themselves.
        got = wire.receive(0.05)
        if got is None:
            continue
        stamp, frame = got
        if frame[12:14] == b"\x08\x06" and frame[28:32] == frame[38:42]:
            arps.setdefault(frame[38:42], []).append((stamp, frame))
        elif frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 136:
            nas.setdefault(frame[62:78], []).append((stamp, frame))
    wire.close()
    assert len(arps) == 100 and len(nas) == 2
    for target, seen in list(arps.items()) + list(nas.items()):
        assert len(seen) == 3, "one, and two repeats"
    first = sorted(seen[0][0] for seen in arps.values())
    assert first[-1] - first[0] < 0.02, "the first round at once"
    second = sorted(seen[1][0] for seen in arps.values())
    assert second[-1] - second[0] > 0.08, "repeats spread out"
    assert second[0] > first[-1], "no repeat before everyone had the first"
    for _, frame in (seen[0] for seen in arps.values()):
        assert frame[0:6] == b"\xff" * 6 and frame[6:12] == mac(VMAC["eth0"])
        assert frame[20:22] == b"\0\1", "request form"
        assert frame[22:28] == frame[32:38] == mac(VMAC["eth0"]), "both MACs are virtual"


def test_announcements_as_scapy_reads_them(a):
    from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
    from scapy.layers.l2 import ARP, Ether

    open_members(a)
    a("link promote eth0")
    wire = Wire("c", "eth0")
    a("announce bind eth0 0 0")
    a("announce start eth0")
    frames = []
    while (got := wire.receive(0.2)) is not None:
        frames.append(Ether(got[1]))
    wire.close()
    garp = next(f for f in frames if ARP in f and f[ARP].pdst == VIP["eth0"])
    assert (garp[ARP].op, garp[ARP].psrc, garp[ARP].hwsrc, garp[ARP].hwdst) == (
        1, VIP["eth0"], VMAC["eth0"], VMAC["eth0"])
    na = next(f for f in frames if ICMPv6ND_NA in f and f[ICMPv6ND_NA].tgt == VIP6["eth0"])
    assert (na[ICMPv6ND_NA].R, na[ICMPv6ND_NA].S, na[ICMPv6ND_NA].O) == (1, 0, 1)
    assert na[IPv6].dst == "ff02::1" and na[IPv6].hlim == 255
    assert na[ICMPv6NDOptDstLLAddr].lladdr == VMAC["eth0"]
    sent = na[ICMPv6ND_NA].cksum
    del na[ICMPv6ND_NA].cksum
    assert Ether(bytes(na))[ICMPv6ND_NA].cksum == sent


def test_clients_believe_an_announcement(a):
    open_members(a)
    a("link promote eth0")
    ns_sh("c", f"ip neigh replace {VIP['eth0']} lladdr 02:de:ad:00:00:01 dev eth0 nud stale; "
               f"ip neigh replace {VIP6['eth0']} lladdr 02:de:ad:00:00:01 dev eth0 nud stale")
    a("announce bind eth0 0 0")
    a("announce start eth0")
    wait_until(lambda: VMAC["eth0"] in ns_sh("c", f"ip neigh show {VIP['eth0']}")
               and VMAC["eth0"] in ns_sh("c", f"ip -6 neigh show {VIP6['eth0']}"),
               what="both families updated")


def test_a_closed_fence_lets_no_announcement_out(a):
    open_members(a)
    a("link promote eth0")
    a("fence close")
    wire = Wire("c", "eth0")
    a("announce bind eth0 0 0")
    a("announce start eth0")
    assert wire.wait_for(lambda f: f[6:12] == mac(VMAC["eth0"]), 0.3) is None
    wire.close()


def test_a_burst_is_not_repeated_within_20_ms(a):
    open_members(a)
    a("link promote eth0")
    a("announce bind eth0 0 0")
    a("announce start eth0")
    a("announce burst eth0")
    assert "rounds=1" in a("announce burst eth0")
    wait_until(lambda: "rounds=2" in a("announce burst eth0"), what="a burst later")


def probe_event(driver):
    return dict(p.split("=", 1) for p in driver.wait_event("probe").split()[3:])


def test_a_probe_finds_a_known_neighbour(a):
    open_members(a)
    ns_sh("a", "ping -c1 -W1 10.9.1.100")
    a("probe neighbours eth0 500")
    result = probe_event(a)
    assert result["first"] == "10.9.1.100" and result["mac"] == "02:09:01:00:00:0c"
    assert int(result["delay_us"]) < 100000


def test_a_probe_finds_an_ipv6_neighbour(a):
    open_members(a)
    ns_sh("a", "ip neigh flush all; ip -6 neigh flush all")
    a("probe neighbours eth0 500 fd09:1::64")
    assert probe_event(a)["first"] == "fd09:1::64"


def test_a_probe_on_a_cut_segment_ends_at_its_deadline(a):
    open_members(a)
    ns_sh("a", "ping -c1 -W1 10.9.1.100")
    # Cut at the switch: the carrier stays.
    ns_sh("lan", "bridge link set dev a-eth0 state 0")
    begun = time.monotonic()
    a("probe neighbours eth0 200")
    assert probe_event(a)["answered"] == "0"
    assert 0.19 < time.monotonic() - begun < 0.6


def test_a_probe_with_nobody_to_ask_says_so(a):
    open_members(a)
    ns_sh("a", "ip neigh flush all; ip -6 neigh flush all")
    assert a.try_("probe neighbours eth0 200")[0] == 2


def test_the_other_router_is_nobody_to_ask(a):
    """Nor is what it serves: when it is dead, its silence says nothing about our cables."""
    open_members(a)
    ns_sh("a", "ip neigh flush all; ip -6 neigh flush all; "
               "ip neigh replace 10.9.1.2 lladdr 02:09:01:00:00:0b dev eth0 nud stale; "
               "ip -6 neigh replace fd09:1::b lladdr 02:09:01:00:00:0b dev eth0 nud stale; "
               f"ip neigh replace {VIP['eth0']} lladdr {VMAC['eth0']} dev eth0 nud stale; "
               f"ip -6 neigh replace fe80::7 lladdr {VMAC['eth0']} dev eth0 nud stale")
    assert a.try_("probe neighbours eth0 200 peer=10.9.1.2")[0] == 2
    ns_sh("a", "ip neigh replace 10.9.1.100 lladdr 02:09:01:00:00:0c dev eth0 nud stale")
    a("probe neighbours eth0 500 peer=10.9.1.2")
    result = probe_event(a)
    assert result["asked"] == "1" and result["first"] == "10.9.1.100"


@pytest.mark.parametrize("address", [VIP["eth0"], VIP6["eth0"]])
@pytest.mark.parametrize("own", [True, False], ids=["own address", "no own address"])
def test_a_backup_learns_that_the_active_serves_an_address(a, address, own):
    b = Driver("b")
    b("link new lab")
    b(f"link open {MEMBERS['eth0']}")
    b("link restore eth0")
    b("link promote eth0")
    if not own:
        ns_sh("a", "ip addr flush dev eth0")
    open_members(a)
    a("fence close")
    a(f"probe address eth0 500 {address}")
    result = probe_event(a)
    assert result["first"] == address and result["virtual"] == "1"
    b("link demote eth0")
    a(f"probe address eth0 100 {address}")
    assert probe_event(a)["answered"] == "0"
    b.close()
