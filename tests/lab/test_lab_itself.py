"""The lab leaves nothing behind, whichever way it ends, and judges sessions rightly."""
import os
import signal
import subprocess
import sys
import time

import pytest

from conftest import PREFIX
from tandemlab.agents import REPO, Agent, statuses, wait_alive
from tandemlab.host import MS, LabError, in_ns, pids_in, run, wait_for
from tandemlab.lab import STATE_ROOT, Lab, down
from tandemlab.routers import Server
from tandemlab.scenario import failures
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


# --- the judgement of sessions ----------------------------------------------------------

JUDGED = 22  # two on each of the ports 8000-8010


def seen_by(*observed):
    return {"sessions": [], "bulk": [], "double_answers": [], "blackouts": {},
            "observed": [{"interface": "lan0", "asked": list(asked)} for asked in observed]}


def test_an_observer_that_hears_nothing_has_not_seen_that_all_is_well():
    heard = {"address": "10.1.1.1", "questions": 900, "answers": 871}
    deaf = {"address": "fd00::1", "questions": 900, "answers": 0}
    assert failures(seen_by([heard])) == []
    assert failures(seen_by([heard, deaf])) == \
        ["the observer heard no answer about fd00::1 on lan0"]
    assert failures(seen_by([])) == failures(seen_by()) == ["the observer asked nothing"]


@pytest.fixture
def judged(tmp_path):
    """(topology, server, agent): sessions from s3 to s2 on the LAN, no router between."""
    down(PREFIX)
    topology = Topology(PREFIX)
    agents = []
    try:
        topology.build()
        server = Server(topology, "s2", str(tmp_path))
        server.start()
        agents.append(Agent(topology, "s3", "sessions", kind="judged", dest="10.1.1.12",
                            ports="8000-8010", count=JUDGED))
        assert agents[0].ready()["established"] == JUDGED
        agents[0].command("mark")
        assert wait_alive(agents, 5)
        yield topology, server, agents[0]
    finally:
        for agent in agents:
            agent.process.kill()
            agent.stop()
        down(PREFIX)
        assert_nothing_left(PREFIX)


@pytest.mark.parametrize("question", ["finish", "status"])
def test_an_agent_that_was_late_itself_loses_no_session(judged, question):
    _, _, agent = judged
    os.kill(agent.process.pid, signal.SIGSTOP)
    time.sleep(1.0)
    if question == "finish":
        agent.command("finish")  # read at the same turn that finds the pause
    else:
        asked = agent.ask()
    os.kill(agent.process.pid, signal.SIGCONT)
    found = agent.finish() if question == "finish" else agent.answer(asked)
    # by the age of the last echo alone these would have been lost
    assert found["behind"] > 0
    assert found["alive"] == JUDGED
    result = found if question == "finish" else agent.finish()
    assert result["alive"] == JUDGED and result["hung"] == 0 and result["lost"] == []
    assert result["late_max_ns"] >= 900 * MS


def test_an_agent_that_is_late_after_the_question_loses_no_session(judged):
    """Longer than the sessions may take to answer: only the agent's own time counts."""
    _, _, agent = judged
    agent.command("finish")
    os.kill(agent.process.pid, signal.SIGSTOP)
    time.sleep(6.0)
    os.kill(agent.process.pid, signal.SIGCONT)
    result = agent.finish()
    assert result["alive"] == JUDGED and result["lost"] == []


def test_sessions_on_a_cut_path_are_lost(judged):
    topology, _, agent = judged
    run(in_ns(topology.ns("switch"), ["nft", "-f", "-"]), """
        table bridge judged {
            chain forward {
                type filter hook forward priority 0;
                tcp dport 8003 drop
            }
        }
        """)
    status, = statuses([agent])
    assert status["alive"] == JUDGED - 2 and status["open"] == JUDGED
    assert not wait_alive([agent], 1.0)
    result = agent.finish()
    assert result["alive"] == JUDGED - 2 and result["hung"] == 2 and result["behind"] == 2
    assert len(result["lost"]) == 2
    for lost in result["lost"]:
        assert lost["fate"] == "open" and lost["port"] > 0
        assert lost["echoed"] < lost["asked"] <= lost["sent"]
        assert lost["echo_age_ns"] >= 5000 * MS
        assert lost["silence_ns"] >= lost["echo_age_ns"]
        assert lost["unacked_bytes"] > 0 and lost["unacked"] > 0
        assert lost["retransmits"] > 0 and lost["rto_us"] > 0


def test_sessions_that_ended_say_how(judged):
    _, server, agent = judged
    for pid in server.recorded_pids():
        os.kill(pid, signal.SIGKILL)
    wait_for("every session ended", lambda: statuses([agent])[0]["open"] == 0, 5)
    result = agent.finish()
    assert result["alive"] == 0 and len(result["lost"]) == JUDGED
    assert result["closed"] + result["reset"] == JUDGED
    assert all(lost["port"] > 0 and lost["fate"] in ("closed", "reset")
               for lost in result["lost"])


def test_an_agent_that_says_nothing_is_not_known_to_live(judged):
    _, _, agent = judged
    os.kill(agent.process.pid, signal.SIGSTOP)
    asked = agent.ask()
    assert agent.answer(asked, 0.2) is None
    with pytest.raises(LabError, match="says nothing"):
        agent.status(0.2)
    os.kill(agent.process.pid, signal.SIGCONT)
    assert agent.status()["alive"] == JUDGED
    assert agent.finish()["alive"] == JUDGED
