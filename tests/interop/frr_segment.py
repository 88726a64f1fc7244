"""A segment on which the other router is FRR's vrrpd: multicast, with virtual MAC always."""
import json
import os
import shutil
import subprocess
import tempfile

from segment import VRID, Segment
from tandemlab.host import in_ns, run, wait_for

DAEMONS = "/usr/lib/frr"
DEVICE = "vrrp51"


class FrrSegment(Segment):
    def __init__(self, path, case):
        super().__init__(path, case)
        self.their_virtual_mac = True
        self.helper = self.frr_dir = None

    def up(self):
        super().up()
        # Readable for the user that FRR becomes, unlike pytest's own directories.
        self.frr_dir = tempfile.mkdtemp(prefix="tandem-frr-")
        os.chmod(self.frr_dir, 0o777)

    def down(self):
        super().down()
        if self.helper is not None:
            self.helper.kill()
            self.helper.wait()
            self.helper = None
        if self.frr_dir is not None:
            shutil.rmtree(self.frr_dir, ignore_errors=True)

    def daemon(self, name):
        with open(os.path.join(self.path, f"{name}.log"), "a", encoding="utf-8") as out:
            return subprocess.Popen(
                in_ns(self.ns("b"), [
                    os.path.join(DAEMONS, name), "--vty_socket", self.frr_dir,
                    "-i", os.path.join(self.frr_dir, f"{name}.pid"),
                    "-z", os.path.join(self.frr_dir, "zserv.api"),
                    "-f", os.path.join(self.frr_dir, f"{name}.conf"), "-A", "127.0.0.1"]),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def make_device(self):
        """By hand, as FRR wants it: the addresses are on it in both states."""
        inside = self.ns("b")
        run(in_ns(inside, ["ip", "link", "add", DEVICE, "link", "eth0", "address",
                           self.case.mac_of_vrid, "type", "macvlan", "mode", "bridge"]))
        run(in_ns(inside, ["ip", "link", "set", DEVICE, "addrgenmode", "none"]))
        if self.case.family == 6:
            # It sends from a link-local address of the device that is its own.
            run(in_ns(inside, ["ip", "addr", "add", self.case.own("b") + "b/64", "dev", DEVICE,
                               "nodad"]))
        for address in self.case.addresses:
            run(in_ns(inside, ["ip", "addr", "add", address, "dev", DEVICE,
                               *(["nodad"] if ":" in address else [])]))
        for device in ("eth0", DEVICE):
            run(in_ns(inside, ["sysctl", "-qw", f"net.ipv4.conf.{device}.arp_ignore=1",
                               f"net.ipv4.conf.{device}.rp_filter=0"]))
        run(in_ns(inside, ["ip", "link", "set", DEVICE, "up"]))

    def start_theirs(self, priority, interval=None, preempt=True):
        case = self.case
        self.make_device()
        with open(os.path.join(self.frr_dir, "vrrpd.conf"), "w", encoding="utf-8") as out:
            out.write(f"""interface eth0
 vrrp {VRID} version {case.version}
 vrrp {VRID} priority {priority}
 vrrp {VRID} advertisement-interval {round(1000 * (interval or case.interval_s))}
 {'' if preempt else 'no '}vrrp {VRID} preempt
""")
            for address in case.addresses:
                word = "ip" if case.family == 4 else "ipv6"
                out.write(f" vrrp {VRID} {word} {address.split('/')[0]}\n")
        with open(os.path.join(self.frr_dir, "zebra.conf"), "w", encoding="utf-8"):
            pass
        self.helper = self.daemon("zebra")
        wait_for("zebra listens",
                 lambda: os.path.exists(os.path.join(self.frr_dir, "zserv.api")), 5)
        self.theirs = self.daemon("vrrpd")

    def their_router(self):
        said = run(in_ns(self.ns("b"), ["vtysh", "--vty_socket", self.frr_dir, "-c",
                                        f"show vrrp {VRID} json"]), check=False)
        try:
            return json.loads(said)[0][f"v{self.case.family}"]
        except (ValueError, LookupError):
            return {}

    def their_state(self):
        return self.their_router().get("status")

    def wait_theirs_listens(self, seconds=8):
        wait_for("FRR listens", lambda: self.their_state() in ("Backup", "Master"), seconds)

    def has_virtual(self, name):
        if name == "a":
            return super().has_virtual("a")
        if self.theirs is None:
            return False
        # Until zebra has told it the address that its device got, it says nothing, and
        # yields to every router that does.
        router = self.their_router()
        return router.get("status") == "Master" and \
            router.get("primaryAddress") not in (None, "", "::", "0.0.0.0")
