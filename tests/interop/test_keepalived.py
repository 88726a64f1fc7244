"""Tandem and keepalived 2.2.7 as the two routers of one network.

In node mode with a stranger as the peer there is no witness and no replication: what is left
is plain VRRP on both members, which must hold.
"""
import shutil
import time

import pytest

from conftest import Capture, handover_s
from tandemlab.host import wait_for

pytestmark = pytest.mark.skipif(shutil.which("keepalived") is None,
                                reason="keepalived is not installed")

VMACS = {"wan0": "00:00:5E:00:01:33", "lan0": "00:00:5E:00:01:34"}
ADVERT_S = 0.1
# Active_Down_Interval at 100 ms is 0.3 s and a skew below 0.1 s; the rest is this machine.
DOWN_S = 0.4
SLACK_S = 0.8


def within(what, condition, seconds):
    begun = time.monotonic()
    wait_for(what, condition, seconds)
    return time.monotonic() - begun


def one_answer(lab, mac_of):
    """Exactly one MAC answers for the virtual addresses, on both segments."""
    for interface, address in (("lan0", "10.1.1.1"), ("wan0", "203.0.113.1")):
        assert lab.answers(address, interface) == {mac_of(interface)}, interface


def tandem_mac(interface):
    return VMACS[interface]


def keepalived_mac(lab):
    return lambda interface: lab.own_mac("r2", interface).upper()


def start_tandem(lab, active=True):
    lab.tandem.start()
    if active:
        wait_for("Tandem Active", lab.tandem_active, 10)


def test_a_lower_keepalived_stays_backup_and_takes_over_when_tandem_dies(mixed):
    lab = mixed()
    start_tandem(lab)
    lab.keepalived.start(priority=100)
    time.sleep(10 * ADVERT_S)
    assert lab.tandem_active() and lab.keepalived.holds_none()
    one_answer(lab, tandem_mac)

    lab.kill(lab.tandem)
    took = within("keepalived MASTER", lab.keepalived.holds_all, 5)
    print(f"SIGKILL of Tandem: keepalived after {took * 1e3:.0f} ms")
    assert took < DOWN_S + SLACK_S
    # The dead node still has the addresses; its fence keeps it silent.
    assert lab.tandem_active()
    one_answer(lab, keepalived_mac(lab))


def test_tandem_takes_over_from_a_killed_keepalived(mixed):
    lab = mixed()
    lab.keepalived.start(priority=200)
    wait_for("keepalived MASTER", lab.keepalived.holds_all, 5)
    start_tandem(lab, active=False)
    wait_for("Tandem speaks", lambda: lab.tandem.status(), 10)
    time.sleep(10 * ADVERT_S)
    assert lab.tandem_silent()
    one_answer(lab, keepalived_mac(lab))

    lab.kill(lab.keepalived)
    took = within("Tandem Active", lab.tandem_active, 5)
    print(f"SIGKILL of keepalived: Tandem after {took * 1e3:.0f} ms")
    assert took < DOWN_S + SLACK_S

    # keepalived leaves its addresses behind on the interfaces of a killed router.
    lab.keepalived.forget_addresses()
    lab.keepalived.start(priority=200)
    time.sleep(10 * ADVERT_S)
    assert lab.tandem_active() and lab.keepalived.holds_none(), \
        "a new Active advertises more than the one it replaced"
    one_answer(lab, tandem_mac)


def test_graceful_stop_of_tandem_hands_over_at_once(mixed):
    lab = mixed()
    start_tandem(lab)
    lab.keepalived.start(priority=100)
    captures = [Capture(lab, interface) for interface in ("lan0", "wan0")]
    lab.stop_tandem()
    wait_for("keepalived MASTER", lab.keepalived.holds_all, 5)
    assert lab.tandem_silent(), "nothing is left on a stopped node"
    one_answer(lab, keepalived_mac(lab))
    for capture in captures:
        gap = handover_s(capture.stop(), ".2", ".3")
        print(f"Tandem's priority 0 to keepalived's first advertisement: {gap * 1e3:.0f} ms")
        assert gap < ADVERT_S + SLACK_S


def test_graceful_stop_of_keepalived_hands_over_at_once(mixed):
    lab = mixed()
    lab.keepalived.start(priority=200)
    wait_for("keepalived MASTER", lab.keepalived.holds_all, 5)
    start_tandem(lab, active=False)
    wait_for("Tandem speaks", lambda: lab.tandem.status(), 10)
    time.sleep(5 * ADVERT_S)
    captures = [Capture(lab, interface) for interface in ("lan0", "wan0")]
    lab.keepalived.stop()
    wait_for("Tandem Active", lab.tandem_active, 5)
    one_answer(lab, tandem_mac)
    for capture in captures:
        gap = handover_s(capture.stop(), ".3", ".2")
        print(f"keepalived's priority 0 to Tandem's first advertisement: {gap * 1e3:.0f} ms")
        assert gap < ADVERT_S + SLACK_S


def test_a_higher_keepalived_preempts_and_tandem_yields_on_both_members(mixed):
    lab = mixed()
    start_tandem(lab)
    lab.keepalived.start(priority=200)
    wait_for("keepalived MASTER", lab.keepalived.holds_all, 5)
    wait_for("Tandem yields", lab.tandem_silent, 5)
    one_answer(lab, keepalived_mac(lab))


def test_a_keepalived_with_virtual_mac(mixed):
    lab = mixed()
    start_tandem(lab)
    lab.keepalived.start(priority=100, options="use_vmac")
    time.sleep(10 * ADVERT_S)
    assert lab.tandem_active()
    lab.kill(lab.tandem)
    took = within("keepalived MASTER", lab.keepalived.holds_all, 5)
    print(f"SIGKILL of Tandem, keepalived with use_vmac: after {took * 1e3:.0f} ms")
    assert took < DOWN_S + SLACK_S
    one_answer(lab, tandem_mac)  # the same virtual MAC, now keepalived's


def test_another_interval_of_the_active_is_learned(mixed):
    """keepalived sends every 500 ms: Tandem waits three of those before it takes over."""
    lab = mixed()
    lab.keepalived.start(priority=200, advert_s=0.5)
    wait_for("keepalived MASTER", lab.keepalived.holds_all, 10)
    start_tandem(lab, active=False)
    wait_for("Tandem speaks", lambda: lab.tandem.status(), 10)
    for _ in range(30):
        time.sleep(0.1)
        assert lab.tandem_silent(), "a slow Active is no dead one"
    lab.kill(lab.keepalived)
    took = within("Tandem Active", lab.tandem_active, 5)
    print(f"SIGKILL of keepalived with 500 ms: Tandem after {took * 1e3:.0f} ms")
    assert took > 0.9, "three intervals of 500 ms, less the age of the last one"


def test_tshark_accepts_our_packets(mixed):
    lab = mixed()
    captures = {interface: Capture(lab, interface) for interface in ("lan0", "wan0")}
    start_tandem(lab)
    time.sleep(10 * ADVERT_S)
    lab.stop_tandem()
    for interface, capture in captures.items():
        packets = capture.stop()
        assert len(packets) > 5
        assert packets[-1]["vrrp.prio"] == "0"
        times = [float(p["frame.time_relative"]) for p in packets]
        print(f"{interface}: {len(packets)} packets, longest gap "
              f"{max(b - a for a, b in zip(times, times[1:])) * 1e3:.0f} ms")
        for packet in packets:
            assert packet["eth.src"].upper() == VMACS[interface]
            assert (packet["ip.dst"], packet["ip.ttl"]) == ("224.0.0.18", "255")
            assert packet["vrrp.version"] == "3"
            assert packet["vrrp.virt_rtr_id"] == ("52" if interface == "lan0" else "51")
            assert packet["vrrp.short_adver_int"] == "10" or packet["vrrp.adver_int"] == "10"
            assert packet["vrrp.checksum.status"] in ("1", "Good"), packet
            assert packet["_ws.expert.message"] == "", packet
