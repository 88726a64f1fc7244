"""One segment with a router of ours (mode independent, if not told otherwise) and one of
another make.

        bridge sw --+-- ours   a   192.0.2.1  fe80::1   VRID 51
                    +-- theirs b   192.0.2.2  fe80::2   virtual 192.0.2.100,
                    '-- host   h   192.0.2.9  fe80::9           fe80::100 + 2001:db8::100

A capture runs at the port of ours; what tshark says of every advertisement is checked at the
end of each test.
"""
import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../netns-lab"))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lab"))

from tandemlab.host import in_ns, reap, run, wait_for  # noqa: E402
from tandemlab.routers import PREFIX_DIR  # noqa: E402
from vrrpnet import (PREFIX, Wire, arp, ethernet, is_arp_reply, is_na, mac,  # noqa: E402
                     solicitation)

SBIN = os.path.join(PREFIX_DIR, "sbin")
VRID = 51
HOST_MAC = "02:09:0a:00:00:09"
LAST = {"a": 1, "b": 2, "h": 9}


@dataclasses.dataclass(frozen=True)
class Case:
    """How the two routers speak."""
    version: int = 3
    family: int = 4
    virtual_mac: bool = True
    unicast: bool = False

    @property
    def tag(self):
        """In the names of namespaces and instance: several segments may be up at once."""
        return f"{self.version}{self.family}{'vp'[not self.virtual_mac]}{'mu'[self.unicast]}"

    def __str__(self):
        return (f"v{self.version}-ipv{self.family}-{'vmac' if self.virtual_mac else 'plain'}-"
                f"{'unicast' if self.unicast else 'multicast'}")

    @property
    def interval_s(self):
        return 1.0 if self.version == 2 else 0.1

    @property
    def skew_s(self):
        """Of the lowest priority used here, rounded up."""
        return self.interval_s

    @property
    def virtual(self):
        return "192.0.2.100" if self.family == 4 else "2001:db8::100"

    @property
    def addresses(self):
        return ["192.0.2.100/24"] if self.family == 4 else ["fe80::100/64",
                                                           "2001:db8::100/64"]

    @property
    def mac_of_vrid(self):
        return f"00:00:5e:00:0{1 if self.family == 4 else 2}:{VRID:02x}"

    def own(self, name):
        return f"192.0.2.{LAST[name]}" if self.family == 4 else f"fe80::{LAST[name]}"


class Segment:
    """Theirs is keepalived."""

    def __init__(self, path, case=Case()):
        self.path = path
        self.case = case
        self.instance = f"{os.environ.get('LAB_PREFIX', 'td')}{case.tag}"
        self.public_key = None
        self.their_virtual_mac = case.virtual_mac
        self.ours = self.theirs = self.capture = None
        self.capture_file = os.path.join(path, "segment.pcap")

    def ns(self, name):
        return f"{PREFIX}{self.case.tag}{name}"

    def up(self):
        self.down()
        said = run([os.path.join(SBIN, "tandemctl"), "--instance", self.instance, "keygen",
                    "--force"])
        self.public_key = said.split()[-1].strip('"')
        for name in ("sw", "a", "b", "h"):
            run(["ip", "netns", "add", self.ns(name)])
            run(in_ns(self.ns(name), ["ip", "link", "set", "lo", "up"]))
        run(in_ns(self.ns("sw"), ["ip", "link", "add", "br0", "type", "bridge",
                             "mcast_snooping", "0"]))
        run(in_ns(self.ns("sw"), ["ip", "link", "set", "br0", "up"]))
        for name, last in LAST.items():
            inside = self.ns(name)
            run(in_ns(inside, ["sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"]))
            run(in_ns(self.ns("sw"), ["ip", "link", "add", f"p{name}", "type", "veth", "peer",
                                 "name", "eth0", "netns", inside]))
            run(in_ns(self.ns("sw"), ["ip", "link", "set", f"p{name}", "master", "br0", "up"]))
            run(in_ns(inside, ["ip", "link", "set", "eth0", "address",
                               f"02:09:0a:00:00:{last:02x}", "addrgenmode", "none"]))
            run(in_ns(inside, ["ip", "link", "set", "eth0", "up"]))
            for address in (f"192.0.2.{last}/24", f"fe80::{last}/64",
                            f"2001:db8::{last}/64"):
                run(in_ns(inside, ["ip", "addr", "add", address, "dev", "eth0",
                                   *(["nodad"] if ":" in address else [])]))
        if self.case.unicast and self.case.family == 6:
            # keepalived 2.2.7 leaves the hop limit of these to the system: 64, which is
            # no advertisement (RFC 9568 section 5.1.2.3).
            run(in_ns(self.ns("b"), ["sysctl", "-qw", "net.ipv6.conf.eth0.hop_limit=255"]))
        self.capture = subprocess.Popen(
            in_ns(self.ns("sw"), ["tcpdump", "-U", "--immediate-mode", "-i", "pa", "-w",
                             self.capture_file, "proto 112 or arp or icmp6"]),
            stderr=subprocess.PIPE)
        assert b"listening" in self.capture.stderr.readline()

    def down(self):
        for process in (self.ours, self.theirs):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(8)
                except subprocess.TimeoutExpired:
                    process.kill()
        self.ours = self.theirs = None
        self.stop_capture()
        for name in ("a", "b", "h", "sw"):
            run(["ip", "netns", "del", self.ns(name)], check=False)
        shutil.rmtree(os.path.join("/var/lib/tandem", self.instance), ignore_errors=True)

    def stop_capture(self):
        if self.capture is not None:
            self.capture.send_signal(signal.SIGINT)
            self.capture.wait()
            self.capture.stderr.close()
            self.capture = None

    # ---- ours

    def config(self, priority, preempt, interval, extra, interface, addresses, mode):
        case = self.case
        unicast = ""
        if case.unicast:
            unicast = f"""
    adverts: unicast
    node_addresses: ["{case.own('a')}", "{case.own('b')}"]"""
        return f"""
cluster: interop
nodes:
  - {{ name: a, priority: {priority}, public_key: "{self.public_key}",
      sync_addresses: [192.0.2.1] }}
  - {{ name: b, priority: 1, public_key: "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{{hID",
      sync_addresses: [192.0.2.250] }}
vrrp:
  mode: {mode}
  version: {case.version}
  advertisement_interval: {round(interval * 1000)}ms
  preempt: {preempt}
{extra}
interfaces:
  - name: eth0
    vrid: {VRID}
    virtual_mac: {'yes' if case.virtual_mac else 'no'}{unicast}
    addresses: [{', '.join(f'"{a}"' for a in addresses or case.addresses)}]
    {interface}
"""

    def start_ours(self, priority, preempt="yes", interval=None, extra="", interface="",
                   addresses=None, mode="independent"):
        """extra: more keys of vrrp; interface: of the interface; addresses: instead of the
        case's."""
        file = os.path.join(self.path, "config.yaml")
        with open(file, "w", encoding="utf-8") as out:
            out.write(self.config(priority, preempt, interval or self.case.interval_s,
                                  "".join(f"  {line}\n" for line in extra.splitlines()),
                                  interface, addresses, mode))
        if self.ours is not None:
            self.ours.send_signal(signal.SIGHUP)
            return
        with open(os.path.join(self.path, "ours.log"), "a", encoding="utf-8") as out:
            self.ours = subprocess.Popen(
                [os.path.join(SBIN, "tandemd"), "--instance", self.instance, "--node", "a",
                 "--netns", self.ns("a"), "--config", file, "--users", "root"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def reconfigure(self, priority, **options):
        """The same, while it runs."""
        assert self.ours is not None
        applied = self.log().count(" applied")
        self.start_ours(priority, **options)
        wait_for("ours has applied it", lambda: self.log().count(" applied") > applied, 5)

    def log(self):
        try:
            with open(os.path.join(self.path, "ours.log"), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def wait_ours_speaks(self, seconds=5):
        """Ours has become Backup at least: it listens."""
        wait_for("ours listens", lambda: "Initialize -> " in self.log(), seconds)

    # ---- theirs

    def start_theirs(self, priority, interval=None, preempt=True):
        case = self.case
        file = os.path.join(self.path, "keepalived.conf")
        options = []
        if not preempt:
            options.append("nopreempt")
        if case.virtual_mac:
            options.append("use_vmac")
        if case.unicast:
            options += [f"unicast_src_ip {case.own('b')}",
                        f"unicast_peer {{\n {case.own('a')}\n }}"]
            if case.virtual_mac:
                options.append("vmac_xmit_base")
        with open(file, "w", encoding="utf-8") as out:
            out.write(f"""
global_defs {{
    vrrp_version {case.version}
    vrrp_garp_master_refresh 0
}}
vrrp_instance i {{
    state BACKUP
    interface eth0
    virtual_router_id {VRID}
    priority {priority}
    advert_int {interval or case.interval_s:g}
    {chr(10).join(options)}
    virtual_ipaddress {{
        {chr(10).join(case.addresses)}
    }}
}}
""")
        with open(os.path.join(self.path, "keepalived.log"), "a", encoding="utf-8") as out:
            self.theirs = subprocess.Popen(
                in_ns(self.ns("b"), ["keepalived", "-n", "-l", "-D", "-P", "-f", file,
                                "-p", os.path.join(self.path, "ka.pid"),
                                "-r", os.path.join(self.path, "ka-vrrp.pid")]),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def their_log(self):
        with open(os.path.join(self.path, "keepalived.log"), encoding="utf-8") as file:
            return file.read()

    def wait_theirs_listens(self, seconds=5):
        wait_for("keepalived is Backup",
                 lambda: "Entering BACKUP STATE" in self.their_log(), seconds)

    # ---- both

    def stop(self, which):
        process = getattr(self, which)
        process.terminate()
        process.wait(8)
        setattr(self, which, None)

    def signal(self, which, signo):
        """To every process of the router."""
        pids = [getattr(self, which).pid]
        for pid in pids:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                    pids += [int(child) for child in file.read().split()]
        for pid in pids:
            os.kill(pid, signo)

    def kill(self, which):
        """Every process of the router at once."""
        process = getattr(self, which)
        # A child of keepalived that saw its parent die would still say goodbye.
        self.signal(which, signal.SIGSTOP)
        self.signal(which, signal.SIGKILL)
        process.wait(5)
        reap()
        setattr(self, which, None)

    def cut(self, name, joined=False):
        """The cable stays, the frames do not."""
        run(in_ns(self.ns("sw"), ["ip", "link", "set", f"p{name}",
                             *(["master", "br0"] if joined else ["nomaster"])]))

    def link(self, name, state):
        """Carrier of a router's interface, at the switch."""
        run(in_ns(self.ns("sw"), ["ip", "link", "set", f"p{name}", state]))

    def deaf(self, name, yes=True):
        """What the switch has for a router is lost; what the router says is not."""
        table = f"table bridge deaf_{name}"
        chain = (f"{table} {{\n chain c {{\n type filter hook postrouting priority 300;\n"
                 f" oifname p{name} drop\n }}\n}}\n")
        run(in_ns(self.ns("sw"), ["nft", "-f", "-"]), chain if yes else f"delete {table}\n")

    def has_virtual(self, name):
        return f" {self.case.virtual}/" in run(in_ns(self.ns(name), ["ip", "addr"]))

    def owners(self):
        return [name for name in ("a", "b") if self.has_virtual(name)]

    def wait_owner(self, name, seconds=None):
        """Returns how long it took."""
        begun = time.monotonic()
        wait_for(f"{name} alone has the virtual address", lambda: self.owners() == [name],
                 seconds or 6 * self.case.interval_s + 5)
        return time.monotonic() - begun

    def answers(self, seconds=0.25):
        """The MACs that answer for the virtual address: in what they say and as its sender."""
        virtual, wire = self.case.virtual, Wire(f"{self.case.tag}h", "eth0")
        if self.case.family == 4:
            wire.send(ethernet("ff:ff:ff:ff:ff:ff", HOST_MAC, 0x0806,
                               arp(1, HOST_MAC, "192.0.2.9", "00:00:00:00:00:00", virtual)))
        else:
            wire.send(solicitation(HOST_MAC, "2001:db8::9", virtual))
        found, deadline = set(), time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            got = wire.receive(left)
            if got is None:
                break
            frame = got[1]
            if self.case.family == 4 and is_arp_reply(frame, virtual):
                found |= {frame[22:28], frame[6:12]}
            elif self.case.family == 6 and is_na(frame, virtual) and frame[:6] == mac(HOST_MAC):
                found |= {frame[80:86], frame[6:12]}
        wire.close()
        return {":".join(f"{byte:02x}" for byte in found_mac) for found_mac in found}

    def mac_of(self, name):
        """With which MAC a router must answer."""
        if self.case.virtual_mac if name == "a" else self.their_virtual_mac:
            return self.case.mac_of_vrid
        return f"02:09:0a:00:00:{LAST[name]:02x}"

    def wait_only_answer(self, name, seconds=3):
        wait_for(f"{name} alone answers", lambda: self.answers() == {self.mac_of(name)}, seconds)

    # ---- the wire

    FIELDS = ("frame.time_relative", "eth.src", "eth.dst", "ip.src", "ipv6.src", "ip.dst",
              "ipv6.dst", "ip.ttl", "ipv6.hlim", "vrrp.version", "vrrp.virt_rtr_id", "vrrp.prio",
              "vrrp.checksum.status", "vrrp.ip_addr", "vrrp.ipv6_addr", "vrrp.auth_type",
              "_ws.expert.message")

    def adverts(self, name, plain=False):
        """The advertisements of one router so far, as dictionaries; plain: judged by the
        checksum without pseudo-header."""
        command = ["tshark", "-r", self.capture_file, "-Y", "vrrp", "-T", "fields", "-E",
                   "separator=|", "-o",
                   f"vrrp.v3_checksum_as_in_v2:{'TRUE' if plain else 'FALSE'}"]
        for field in self.FIELDS:
            command += ["-e", field]
        packets = [dict(zip(self.FIELDS, line.split("|")))
                   for line in run(command).splitlines()]
        own = self.case.own(name)
        return [p for p in packets if own in (p["ip.src"], p["ipv6.src"])]

    def check_our_adverts(self):
        """tshark accepts every packet of ours, and each is what the RFC draws."""
        case = self.case
        group = "224.0.0.18" if case.family == 4 else "ff02::12"
        for packet in (ours := self.adverts("a")):
            assert packet["_ws.expert.message"] == "", packet
            assert packet["vrrp.checksum.status"] in ("1", "Good"), packet
            assert packet["vrrp.version"] == str(case.version), packet
            assert packet["vrrp.virt_rtr_id"] == str(VRID), packet
            assert (packet["ip.ttl"] or packet["ipv6.hlim"]) == "255", packet
            assert (packet["ip.dst"] or packet["ipv6.dst"]) == (
                case.own("b") if case.unicast else group), packet
            assert (packet["vrrp.ip_addr"] or packet["vrrp.ipv6_addr"]) == ",".join(
                a.split("/")[0] for a in case.addresses), packet
            if not case.unicast:
                assert packet["eth.src"] == self.mac_of("a"), packet
        return len(ours)


def dropped(segment, reason):
    """Ours has logged that it dropped an advertisement for that reason."""
    return re.search(rf"dropped reason={reason}\b", segment.log()) is not None


def missing_program(*more):
    for program in ("keepalived", "tshark", "tcpdump", *more):
        if shutil.which(program) is None:
            return program
    return None
