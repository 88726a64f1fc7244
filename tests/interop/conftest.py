"""A lab whose second router is keepalived instead of Tandem."""
import json
import os
import re
import signal
import subprocess
import sys

import pytest

if worker := os.environ.get("PYTEST_XDIST_WORKER", "")[2:]:
    # namespaces of its own for each; before anything reads it
    os.environ["LAB_PREFIX"] = os.environ.get("LAB_PREFIX", "tdinterop") + worker

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../netns-lab"))

from tandemlab.host import in_ns, reap, run, signal_all, wait_for  # noqa: E402
from tandemlab.lab import Lab, down  # noqa: E402
from tandemlab.routers import Router  # noqa: E402

PREFIX = os.environ.get("LAB_PREFIX", "tdinterop")

CONFIG = """
global_defs {{
	router_id {node}
	vrrp_version 3
}}
vrrp_sync_group pair {{
	group {{
		wan
		lan
	}}
}}
vrrp_instance wan {{
	state BACKUP
	interface wan0
	virtual_router_id 51
	priority {priority}
	advert_int {advert_s}
	{options}
	virtual_ipaddress {{
		203.0.113.1/24
		203.0.113.10/24
		203.0.113.11/24
		203.0.113.12/24
	}}
}}
vrrp_instance lan {{
	state BACKUP
	interface lan0
	virtual_router_id 52
	priority {priority}
	advert_int {advert_s}
	{options}
	virtual_ipaddress {{
		10.1.1.1/24
	}}
}}
"""


class KeepalivedRouter(Router):
    """keepalived in a sync group; it knows nothing of the sync link."""

    kind = "keepalived"

    def start(self, priority=100, advert_s=0.1, options=""):
        path = os.path.join(self.run_dir, "keepalived.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write(CONFIG.format(node=self.node, priority=priority, advert_s=advert_s,
                                  options=options))
        self.spawn("keepalived", in_ns(self.namespace, [
            "keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp",
            "--use-file", path, "--pid", os.path.join(self.run_dir, "ka.pidfile"),
            "--vrrp_pid", os.path.join(self.run_dir, "vrrp.pidfile")]))
        wait_for("keepalived listens", lambda: "Entering BACKUP STATE" in
                 self.log_text("keepalived"), 5)

    def holds_all(self):
        return all(self.topology.holds(self.node, a) for a in ("10.1.1.1", "203.0.113.1"))

    def holds_none(self):
        return not any(self.topology.holds(self.node, a) for a in ("10.1.1.1", "203.0.113.1"))


class MixedLab(Lab):
    """r1 is Tandem, r2 is keepalived; neither runs yet."""

    def build(self):
        down(self.prefix)
        os.makedirs(self.run_dir)
        self.topology.build()
        self._make_routers()
        self._write_config()
        self.tandem = self.routers["r1"]
        self.keepalived = KeepalivedRouter(self.topology, "r2", self.run_dir)
        self.routers["r2"] = self.keepalived
        return self

    def tandem_active(self):
        return all(self.topology.holds("r1", a) for a in ("10.1.1.1", "203.0.113.1"))

    def tandem_silent(self):
        return not any(self.topology.holds("r1", a) for a in ("10.1.1.1", "203.0.113.1"))

    def stop_tandem(self):
        """As systemd stops it: the supervisor is told, nobody else."""
        signal_all(self.tandem.recorded_pids(), signal.SIGTERM)
        wait_for("Tandem has ended", lambda: (reap(), not self.tandem.recorded_pids())[1], 5)

    def kill(self, router):
        # all at one stroke: a supervisor that is hit last would still resign
        signal_all(router.pids(), signal.SIGSTOP)
        signal_all(router.pids(), signal.SIGKILL)

    def own_mac(self, node, interface):
        link = run(in_ns(self.topology.ns(node), ["ip", "-j", "link", "show", interface]))
        return json.loads(link)[0]["address"]

    def answers(self, address, interface, seconds=0.3):
        """MACs that answer one ARP question of the observer."""
        text = run(in_ns(self.topology.ns("obs"), ["arping", "-I", interface, "-c", "1", "-w",
                                                   str(max(1, int(seconds))), address]),
                   check=False)
        return set(re.findall(r"\[([0-9A-F:]{17})\]", text.upper()))


class Capture:
    """tshark at the observer's port, as fields of VRRP packets."""

    FIELDS = ("frame.time_relative", "eth.src", "ip.src", "ip.dst", "ip.ttl", "vrrp.version",
              "vrrp.virt_rtr_id", "vrrp.prio", "vrrp.adver_int", "vrrp.short_adver_int",
              "vrrp.checksum.status", "vrrp.addr_count", "_ws.expert.message")

    def __init__(self, lab, interface):
        self.file = os.path.join(lab.run_dir, f"{interface}.pcap")
        self.process = subprocess.Popen(
            in_ns(lab.topology.ns("obs"), ["tcpdump", "-U", "--immediate-mode", "-i",
                                           interface, "-w", self.file, "ip proto 112"]),
            stderr=subprocess.PIPE)
        assert b"listening" in self.process.stderr.readline()

    def stop(self):
        """Packets as dictionaries."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        command = ["tshark", "-r", self.file, "-T", "fields", "-E", "separator=|",
                   "-o", "vrrp.v3_checksum_as_in_v2:FALSE"]
        for field in self.FIELDS:
            command += ["-e", field]
        return [dict(zip(self.FIELDS, line.split("|"))) for line in run(command).splitlines()]


def handover_s(packets, old, new):
    """From the priority 0 of one sender to the first advertisement of the other."""
    zero = [float(p["frame.time_relative"]) for p in packets
            if p["vrrp.prio"] == "0" and p["ip.src"].endswith(old)]
    assert zero, f"{old} did not resign"
    after = [float(p["frame.time_relative"]) for p in packets
             if p["vrrp.prio"] != "0" and p["ip.src"].endswith(new)]
    return min(t for t in after if t > zero[0]) - zero[0]


@pytest.fixture
def mixed(request):
    labs = []

    def make(**options):
        lab = MixedLab(PREFIX, **options)
        labs.append(lab)
        return lab.build()

    yield make
    for lab in labs:
        down(lab.prefix)
