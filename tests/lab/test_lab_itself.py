"""The lab leaves nothing behind, whichever way it ends."""
import os
import signal
import subprocess
import sys

import pytest

from conftest import PREFIX
from tandemlab.agents import REPO
from tandemlab.host import LabError, pids_in, run, wait_for
from tandemlab.lab import STATE_ROOT, Lab, down
from tandemlab.topology import Topology


def assert_nothing_left(prefix):
    assert Topology(prefix).existing() == []
    assert not os.path.exists(os.path.join(STATE_ROOT, prefix))
    for node in ("r1", "r2"):
        assert not os.path.exists(f"/run/tandem/{prefix}-{node}")
        assert not os.path.exists(f"/var/lib/tandem/{prefix}-{node}")
    listing = run(["ps", "-eo", "args"])
    left = [line for line in listing.splitlines()
            if f"/{prefix}/" in line or f"/run/netns/{prefix}-" in line]
    assert left == []


def test_down_leaves_nothing():
    lab = Lab(PREFIX, classic=True)
    lab.up()
    assert pids_in(lab.topology.ns("r1"))
    assert down(PREFIX)
    assert_nothing_left(PREFIX)


@pytest.mark.parametrize("who, signo", [
    ("group", signal.SIGINT), ("lab", signal.SIGTERM), ("worker", signal.SIGKILL)])
def test_an_ended_demo_leaves_nothing(who, signo):
    demo = subprocess.Popen(
        [os.path.join(REPO, "netns-lab/lab"), "demo", "--classic", "--sessions", "5",
         "--bulk", "0"], env=dict(os.environ, LAB_PREFIX=PREFIX), start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        topology = Topology(PREFIX)
        wait_for("the demo's routers run", lambda: pids_in(topology.ns("r2")), 60)
        if who == "group":
            os.killpg(demo.pid, signo)
        elif who == "lab":
            os.kill(demo.pid, signo)
        else:
            workers = run(["pgrep", "-P", str(demo.pid), "-f", "tandemlab.cli"]).split()
            assert len(workers) == 1
            os.kill(int(workers[0]), signo)
        output, _ = demo.communicate(timeout=30)
        sys.stdout.write(output)
        assert demo.returncode != 0
        assert_nothing_left(PREFIX)
    finally:
        if demo.poll() is None:
            demo.kill()
        down(PREFIX)


def test_help_and_nonsense_need_no_lab():
    lab = os.path.join(REPO, "netns-lab/lab")
    assert "lab demo" in run([lab, "--help"])
    done = subprocess.run([lab, "dance"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "lab demo" in done.stderr


def lab_command(*words):
    """What `lab WORDS` prints; the lab named PREFIX is up."""
    return run([os.path.join(REPO, "netns-lab/lab"), *words],
               env=dict(os.environ, LAB_PREFIX=PREFIX))


def test_a_fault_by_hand_is_undone_where_it_was_done():
    with Lab(PREFIX) as lab:
        lab.up()
        assert "(r1)" in lab_command("fault", "node-loss")
        lab.wait_active("r2", 10)
        on_r2 = lab.routers["r2"].pids()
        assert "Active" in lab_command("exec", "r2", "tandemctl", "status")
        assert "node-loss of r1 undone" in lab_command("fault", "node-loss", "--undo")
        lab.wait_protected(20)
        assert lab.active() == "r2"
        assert lab.routers["r2"].pids() == on_r2
        with pytest.raises(LabError, match="node-loss was not done"):
            lab_command("fault", "node-loss", "--undo")
