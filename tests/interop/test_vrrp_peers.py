"""tandem-vrrpd in mode independent beside keepalived and FRR on one segment.

        bridge tdiop-sw --+-- ours   tdiop-a  192.0.2.1   VRID 51, VIP 192.0.2.100
                          +-- theirs tdiop-b  192.0.2.2
                          '-- host   tdiop-h  192.0.2.9   asks and captures
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../netns-lab"))

from tandemlab.host import in_ns, run, wait_for  # noqa: E402
from tandemlab.routers import PREFIX_DIR  # noqa: E402

INSTANCE = "tdiop"
SBIN = os.path.join(PREFIX_DIR, "sbin")
VIRTUAL = "192.0.2.100"
VIRTUAL_MAC = "00:00:5e:00:01:33"


def config(priority, preempt, interval, checksum="yes"):
    return f"""
cluster: interop
nodes:
  - {{ name: a, priority: {priority}, public_key: "rq:rM>}}U?@Lns47E1%kR.o@n%FcmmsL/@{{H8]yf7",
      sync_addresses: [192.0.2.1] }}
  - {{ name: b, priority: 1, public_key: "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{{hID",
      sync_addresses: [192.0.2.250] }}
vrrp:
  mode: independent
  advertisement_interval: {interval}
  preempt: {preempt}
  checksum_pseudo_header: {checksum}
interfaces:
  - name: eth0
    vrid: 51
    addresses: [{VIRTUAL}/24]
"""


class Segment:
    def __init__(self, path):
        self.path = path
        self.ours = self.theirs = None

    def up(self):
        self.down()
        for name in ("sw", "a", "b", "h"):
            run(["ip", "netns", "add", f"tdiop-{name}"])
            run(in_ns(f"tdiop-{name}", ["ip", "link", "set", "lo", "up"]))
        run(in_ns("tdiop-sw", ["ip", "link", "add", "br0", "type", "bridge",
                               "mcast_snooping", "0"]))
        run(in_ns("tdiop-sw", ["ip", "link", "set", "br0", "up"]))
        for name, last in (("a", 1), ("b", 2), ("h", 9)):
            run(in_ns("tdiop-sw", ["ip", "link", "add", f"p{name}", "type", "veth", "peer",
                                   "name", "eth0", "netns", f"tdiop-{name}"]))
            run(in_ns("tdiop-sw", ["ip", "link", "set", f"p{name}", "master", "br0", "up"]))
            run(in_ns(f"tdiop-{name}", ["ip", "addr", "add", f"192.0.2.{last}/24",
                                        "dev", "eth0"]))
            run(in_ns(f"tdiop-{name}", ["ip", "link", "set", "eth0", "up"]))

    def down(self):
        for process in (self.ours, self.theirs):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(8)
                except subprocess.TimeoutExpired:
                    process.kill()
        self.ours = self.theirs = None
        for name in ("a", "b", "h", "sw"):
            run(["ip", "netns", "del", f"tdiop-{name}"], check=False)

    def log(self):
        with open(os.path.join(self.path, "ours.log"), encoding="utf-8") as file:
            return file.read()

    def start_ours(self, priority, preempt="yes", interval="100ms", checksum="yes"):
        file = os.path.join(self.path, "config.yaml")
        with open(file, "w", encoding="utf-8") as out:
            out.write(config(priority, preempt, interval, checksum))
        with open(os.path.join(self.path, "ours.log"), "a", encoding="utf-8") as out:
            self.ours = subprocess.Popen(
                [os.path.join(SBIN, "tandemd"), "--instance", INSTANCE, "--node", "a",
                 "--netns", "tdiop-a", "--config", file, "--users", "root"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def start_keepalived(self, priority, interval="0.1", preempt=True):
        file = os.path.join(self.path, "keepalived.conf")
        with open(file, "w", encoding="utf-8") as out:
            out.write(f"""
global_defs {{ vrrp_version 3
 vrrp_garp_master_refresh 0 }}
vrrp_instance i {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int {interval}
    {"" if preempt else "nopreempt"}
    virtual_ipaddress {{ {VIRTUAL}/24 }}
}}
""")
        with open(os.path.join(self.path, "keepalived.log"), "a", encoding="utf-8") as out:
            self.theirs = subprocess.Popen(
                in_ns("tdiop-b", ["keepalived", "-n", "-l", "-D", "-P", "-f", file,
                                  "-p", os.path.join(self.path, "ka.pid"),
                                  "-r", os.path.join(self.path, "ka-vrrp.pid")]),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def stop(self, which):
        process = getattr(self, which)
        process.terminate()
        process.wait(8)
        setattr(self, which, None)

    def has_virtual(self, name):
        return VIRTUAL in run(in_ns(f"tdiop-{name}", ["ip", "-4", "addr"]))

    def owners(self):
        return [name for name in ("a", "b") if self.has_virtual(name)]

    def wait_owner(self, name, seconds=6):
        wait_for(f"{name} alone has the virtual address",
                 lambda: self.owners() == [name], seconds)

    def answers(self):
        """The MACs that answer for the virtual address."""
        said = run(in_ns("tdiop-h", ["arping", "-c", "2", "-w", "2", "-I", "eth0", VIRTUAL]),
                   check=False)
        return {mac.lower() for mac in re.findall(r"\[([0-9A-Fa-f:]{17})\]", said)}


@pytest.fixture
def segment(tmp_path):
    for program in ("keepalived", "arping"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    key = os.path.join("/var/lib/tandem", INSTANCE)
    run([os.path.join(SBIN, "tandemctl"), "--instance", INSTANCE, "keygen", "--force"])
    seg = Segment(str(tmp_path))
    try:
        seg.up()
        yield seg
    finally:
        seg.down()
        shutil.rmtree(key, ignore_errors=True)


def test_higher_priority_of_ours_preempts_keepalived(segment):
    segment.start_keepalived(100)
    segment.wait_owner("b")
    segment.start_ours(150)
    segment.wait_owner("a")
    assert segment.answers() == {VIRTUAL_MAC}


def test_we_obey_a_keepalived_of_higher_priority(segment):
    segment.start_ours(100)
    segment.wait_owner("a")
    segment.start_keepalived(150)
    segment.wait_owner("b")
    assert VIRTUAL_MAC not in segment.answers()


def test_without_preemption_we_wait_for_a_lower_keepalived(segment):
    segment.start_keepalived(100)
    segment.wait_owner("b")
    segment.start_ours(150, preempt="no")
    wait_for("ours is Backup", lambda: "Initialize -> Backup" in segment.log(), 5)
    time.sleep(1)  # ten intervals in which nothing may happen
    assert segment.owners() == ["b"]
    segment.stop("theirs")
    segment.wait_owner("a")


def test_a_graceful_stop_of_ours_hands_over_by_priority_0(segment):
    segment.start_ours(150, interval="1s")
    segment.wait_owner("a", 8)
    segment.start_keepalived(100, interval="1")
    time.sleep(2)  # keepalived has heard us and is Backup
    segment.stop("ours")
    started = time.monotonic()
    segment.wait_owner("b")
    # Skew_Time of priority 100 is 0.61 s; Active_Down_Interval would be 3.6 s.
    assert time.monotonic() - started < 2


def test_our_death_is_noticed_by_keepalived(segment):
    segment.start_ours(150)
    segment.wait_owner("a")
    segment.start_keepalived(100)
    time.sleep(1)
    segment.ours.send_signal(signal.SIGKILL)
    wait_for("keepalived has the address", lambda: segment.has_virtual("b"), 5)
    wait_for("only keepalived answers",
             lambda: segment.answers() and VIRTUAL_MAC not in segment.answers(), 5)


def test_tshark_finds_nothing_wrong_with_our_advertisements(segment):
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    segment.start_ours(150)
    segment.wait_owner("a")
    fields = run(in_ns("tdiop-h", [
        "tshark", "-i", "eth0", "-f", "ip proto 112", "-a", "duration:2", "-T", "fields",
        "-o", "vrrp.v3_checksum_as_in_v2:FALSE",
        "-e", "eth.src", "-e", "ip.ttl", "-e", "vrrp.version", "-e", "vrrp.prio",
        "-e", "vrrp.checksum.status", "-e", "vrrp.ip_addr"]), check=False)
    lines = set(fields.split("\n")) - {""}
    assert lines == {f"{VIRTUAL_MAC}\t255\t3\t150\t1\t{VIRTUAL}"}
