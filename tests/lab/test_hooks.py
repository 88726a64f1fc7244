"""Hooks: what is run when the role changes, at the worst moments.

tandemd, tandem-mgmtd and tandem-hookd are the real ones; fake_room plays the election and
changes its role on SIGURG (test_processes.py). The hooks write a line per run.
"""
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tandemlab import faults, report
from tandemlab.scenario import run_fault
from test_processes import SBIN, alive, make, sh, wait_for  # noqa: F401

USER = pwd.getpwnam("tandem-hookd")
LINE = 'echo "$TANDEM_HOOK $* $TANDEM_OLD_ROLE>$TANDEM_ROLE $TANDEM_TERM" >>log\n'


class Hooks:
    """A directory that only root can change, with a place where the hooks may write."""

    def __init__(self):
        # not below /tmp: others can write there, and the hooks would be refused
        self.directory = Path(tempfile.mkdtemp(prefix="tandem-hooks-", dir="/run"))
        self.directory.chmod(0o755)
        self.out = self.directory / "out"
        self.out.mkdir()
        os.chown(self.out, USER.pw_uid, USER.pw_gid)

    def put(self, name, body=LINE):
        path = self.directory / name
        path.write_text(f"#!/bin/sh\ncd {self.out}\n{body}")
        path.chmod(0o755)
        return path

    def lines(self):
        with contextlib.suppress(FileNotFoundError):
            return (self.out / "log").read_text().splitlines()
        return []

    def number(self, name):
        """A number that a hook wrote."""
        text = wait_for(lambda: (self.out / name).exists() and (self.out / name).read_text(),
                        name)
        return int(text)


@pytest.fixture
def hooks():
    it = Hooks()
    yield it
    shutil.rmtree(it.directory)


@pytest.fixture
def instance(make):  # noqa: F811
    return make("h")


def put(path, text):
    path.write_text(text)
    return path


def configure(instance, settings):
    text = instance.config.read_text()
    lines = "".join(f"  {key}: {value}\n" for key, value in settings.items())
    instance.config.write_text(text + "\nhooks:\n" + lines)


def flip(instance, times=1):
    pid = instance.pid("vrrpd")
    for _ in range(times):
        done = instance.count("role changed")
        os.kill(pid, signal.SIGURG)  # the next one after it: signals do not queue
        wait_for(lambda: instance.count("role changed") > done, "a change of role")


def runs(instance, hook, result):
    return instance.metric(f'tandem_hook_runs_total{{instance="{instance.name}",'
                           f'hook="{hook}",result="{result}"}}')


def alarms(instance):
    return [a["alarm"] for a in instance.status()["alarms"]]


def test_arguments_environment_order_and_the_user(instance, hooks):
    configure(instance, {"active": hooks.put("active"), "backup": hooks.put("backup"),
                         "stop": hooks.put("stop"),
                         "notify": hooks.put("notify", LINE + "id -un >user; env >env\n")})
    instance.start()
    wait_for(lambda: len(hooks.lines()) == 2, "Active is told")
    flip(instance)
    wait_for(lambda: runs(instance, "notify", "ok") == 2, "Backup is told")
    name = instance.name
    assert hooks.lines() == [f"active GROUP {name} MASTER 150 none>Active 7",
                             f"notify GROUP {name} MASTER 150 none>Active 7",
                             f"backup GROUP {name} BACKUP 150 Active>Backup 7",
                             f"notify GROUP {name} BACKUP 150 Active>Backup 7"]
    environment = (hooks.out / "env").read_text().splitlines()
    assert {"TANDEM_NODE=r1", "TANDEM_CLUSTER=lab", f"TANDEM_INSTANCE={name}",
            "TANDEM_REASON=fake", "TANDEM_PRIORITY=150"} <= set(environment)
    assert not [line for line in environment if line.startswith("NOTIFY_SOCKET")]
    assert (hooks.out / "user").read_text() == "tandem-hookd\n"
    assert "hooks       active ok (Active), backup ok (Backup), stop not run yet, " \
        "notify ok (Backup)\n" in instance.ctl("status").stdout
    assert "HOOK RUNS" in instance.ctl("vrrp").stdout
    instance.stop()
    assert hooks.lines()[4:] == [f"stop GROUP {name} STOP 0 Backup>Stop 7",
                                 f"notify GROUP {name} STOP 0 Backup>Stop 7"]


def test_a_hook_that_hangs_is_ended_with_all_it_started_and_the_next_one_runs(instance, hooks):
    configure(instance, {
        "active": hooks.put("active", "trap '' TERM; (trap '' TERM; exec sleep 60) &\n"
                                      "echo $! >child; echo $$ >self; wait\n"),
        "backup": hooks.put("backup"), "timeout": "500ms"})
    instance.start()
    pids = [hooks.number("child"), hooks.number("self")]
    flip(instance)
    begin = time.monotonic()
    wait_for(lambda: hooks.lines(), "Backup is told", 4)
    assert time.monotonic() - begin > 0.5  # not beside the one that hung
    assert not any(alive(pid) for pid in pids)
    assert runs(instance, "active", "timeout") == 1
    assert "hook_failed" in alarms(instance)
    assert instance.count("hook=active role=Active result=timeout signal=9") == 1
    assert instance.count("deaths=[1-9]") == 0


def test_a_hook_that_starts_a_daemon_is_not_waited_for(instance, hooks):
    configure(instance, {"active": hooks.put("active", "sleep 60 & echo $! >daemon\n"),
                         "backup": hooks.put("backup")})
    instance.start()
    daemon = hooks.number("daemon")
    try:
        wait_for(lambda: runs(instance, "active", "ok") == 1, "it has ended")
        flip(instance)
        wait_for(lambda: hooks.lines(), "Backup is told")
        os.kill(instance.pid("hookd"), signal.SIGKILL)
        wait_for(lambda: len(hooks.lines()) == 2, "a new hookd tells it again")
        assert alive(daemon)
    finally:
        os.kill(daemon, signal.SIGKILL)


def test_what_a_hook_says_stands_in_the_log_but_does_not_fill_it(instance, hooks):
    configure(instance, {"active": hooks.put("active", "echo here I am; echo why >&2; "
                                             "for fd in /proc/self/fd/*; do readlink $fd; "
                                             "done | grep -v /proc >descriptors\n"),
                         "backup": hooks.put("backup", "seq 100000\n")})
    instance.start()
    wait_for(lambda: runs(instance, "active", "ok") == 1, "Active is told")
    assert instance.count("tandem-hookd.*: hook=active: here I am\n") == 1
    assert instance.count("tandem-hookd.*: hook=active: why\n") == 1
    log = os.path.realpath(f"/proc/{instance.pid('hookd')}/fd/2")
    assert log not in (hooks.out / "descriptors").read_text().splitlines()
    flip(instance)
    wait_for(lambda: runs(instance, "backup", "ok") == 1, "Backup is told")
    assert instance.count(": hook=backup: [0-9]*\n") == 100
    assert instance.count("hook=backup: held_back=99900 more lines") == 1


def test_a_hook_that_is_deleted_or_spoilt_is_refused_and_told(instance, hooks):
    notify, backup = hooks.put("notify"), hooks.put("backup")
    configure(instance, {"notify": notify, "backup": backup})
    instance.start()
    wait_for(lambda: len(hooks.lines()) == 1, "Active is told")
    backup.unlink()
    flip(instance)
    wait_for(lambda: len(hooks.lines()) == 2, "notify runs all the same")
    assert runs(instance, "backup", "refused") == 1
    assert instance.count(f"hook=backup role=Backup refused: {backup}: No such file") == 1
    notify.chmod(0o757)
    flip(instance)
    wait_for(lambda: runs(instance, "notify", "refused") == 1, "refused")
    assert instance.count(f"refused: {notify} can be written by others than root") == 1
    os.chown(notify, USER.pw_uid, USER.pw_gid)
    notify.chmod(0o755)
    flip(instance)
    wait_for(lambda: runs(instance, "notify", "refused") == 2, "refused")
    assert instance.count(f"refused: {notify} belongs to uid {USER.pw_uid}, not to root") == 1
    assert len(hooks.lines()) == 2
    assert "hook_failed" in alarms(instance)


def test_flapping_while_a_hook_sleeps_ends_with_the_last_state(instance, hooks):
    configure(instance, {"notify": hooks.put("notify", LINE + "test -f go || sleep 2\n")})
    instance.start()
    wait_for(lambda: len(hooks.lines()) == 1, "the first one runs")
    flip(instance, 10)
    (hooks.out / "go").touch()
    wait_for(lambda: len(hooks.lines()) == 2, "the second one runs")
    time.sleep(0.3)  # a third one would come at once
    assert [line.split()[-2:] for line in hooks.lines()] == \
        [["none>Active", "7"], ["Active>Active", "12"]]
    assert instance.metric("tandem_hook_coalesced_total") == 9


def test_who_runs_hooks_is_killed_in_the_middle(instance, hooks):
    """Nothing of the run goes on, and what was interrupted is run again."""
    configure(instance, {"notify": hooks.put(
        "notify", LINE + "test -f go && exit\ntrap '' TERM; sleep 60 & echo $! >child;"
                         " echo $$ >self; wait\n")})
    instance.start()
    pids = [hooks.number("child"), hooks.number("self")]
    (hooks.out / "go").touch()
    before = instance.pids()
    os.kill(before["hookd"], signal.SIGKILL)
    wait_for(lambda: len(hooks.lines()) == 2, "run again")
    assert not any(alive(pid) for pid in pids)
    assert {r: p for r, p in instance.pids().items() if r != "hookd"} == \
        {r: p for r, p in before.items() if r != "hookd"}


def test_the_supervisor_is_killed_in_the_middle(instance, hooks):
    configure(instance, {"notify": hooks.put(
        "notify", LINE + "test -f go && exit\nsleep 60 & echo $! >child; echo $$ >self; wait\n")})
    instance.start()
    pids = [hooks.number("child"), hooks.number("self")]
    (hooks.out / "go").touch()
    instance.process.kill()
    instance.process.wait()
    wait_for(lambda: not any(alive(pid) for pid in pids), "the run ends", 2)
    instance.notify.close()
    begin = time.monotonic()
    instance.start()
    assert time.monotonic() - begin < 2
    wait_for(lambda: len(hooks.lines()) == 2, "run again")


def test_a_stop_waits_two_seconds_for_a_stop_hook_and_no_longer(instance, hooks):
    configure(instance, {"active": hooks.put("active", LINE + "sleep 60\n"),
                         "stop": hooks.put("stop", LINE + "sleep 60\n")})
    instance.start()
    wait_for(lambda: len(hooks.lines()) == 1, "Active is told")
    begin = time.monotonic()
    instance.stop()
    assert 1.9 < time.monotonic() - begin < 3.5
    assert [line.split()[0] for line in hooks.lines()] == ["active", "stop"]
    assert instance.process.returncode == 0


def test_a_sigterm_to_all_processes_is_a_stop_that_is_told(instance, hooks):
    configure(instance, {"notify": hooks.put("notify")})
    instance.start()
    wait_for(lambda: len(hooks.lines()) == 1, "Active is told")
    pids = instance.pids()
    os.kill(pids["vrrpd"], signal.SIGSTOP)  # so that hookd is the first one to hear of it
    for pid in [instance.process.pid, *pids.values()]:
        os.kill(pid, signal.SIGTERM)
    time.sleep(0.3)
    os.kill(pids["vrrpd"], signal.SIGCONT)
    wait_for(lambda: len(hooks.lines()) == 2, "Stop is told")
    assert hooks.lines()[1].startswith(f"notify GROUP {instance.name} STOP")
    assert instance.process.wait(5) == 0


def test_a_dead_election_is_a_fault(instance, hooks):
    configure(instance, {"notify": hooks.put("notify", "sleep 0.2\n" + LINE),
                         "fault": hooks.put("fault")})
    instance.start()
    wait_for(lambda: len(hooks.lines()) == 1, "Active is told")
    for _ in range(2):  # the second one waits half a second
        pid = wait_for(lambda: instance.pid("vrrpd"), "vrrpd")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid), "dead")
    wait_for(lambda: hooks.lines()[-1].endswith("Fault>Active 7"), "it is back")
    assert f"fault GROUP {instance.name} FAULT 150 Active>Fault 7" in hooks.lines()


def test_another_user_comes_with_an_apply_and_one_that_is_not_there_is_refused(instance, hooks):
    os.chmod(hooks.out, 0o777)
    script = hooks.put("notify", "grep CapEff /proc/self/status >>caps; id -un >>users\n")
    configure(instance, {"notify": script})
    instance.start()
    users = hooks.out / "users"
    wait_for(users.exists, "run")
    text = instance.config.read_text()
    new = instance.directory / "new.yaml"
    new.write_text(text + "  user: root\n")
    assert "in force" in instance.ctl("apply", "--alone", str(new)).stdout
    wait_for(lambda: users.read_text() == "tandem-hookd\nroot\n", "run again as root")
    assert instance.count("room=hookd .*reason=stop") == 1
    capabilities = [line.split()[1] for line in (hooks.out / "caps").read_text().splitlines()]
    assert int(capabilities[0], 16) == 0 and int(capabilities[1], 16) != 0
    new.write_text(text + "  user: nobody-of-that-name\n")
    refused = instance.ctl("apply", "--alone", str(new), check=False)
    assert refused.returncode == 1
    assert instance.status()["generation"] == 2


def test_only_root_says_what_is_run_and_as_whom(instance, hooks):
    configure(instance, {"notify": hooks.put("notify")})
    instance.start()
    text = instance.config.read_text()
    new = hooks.directory / "new.yaml"

    def apply(content):
        new.write_text(content)
        return sh("setpriv", "--reuid=65534", "--regid=tandem", "--clear-groups",
                  str(SBIN / "tandemctl"), "--instance", instance.name, "apply", "--alone",
                  str(new), check=False)

    for wanted in (text + "  user: root\n", text + "  active: /bin/true\n",
                   text + "track_scripts:\n  - {name: x, script: /bin/true}\n"):
        refused = apply(wanted)
        assert refused.returncode == 1
        assert "hooks and track_scripts: only root may change them" in refused.stdout
    assert instance.status()["generation"] == 1
    assert "in force" in apply(text.replace("flows_max: 262144", "flows_max: 131072")).stdout
    assert "in force" in instance.ctl("apply", "--alone",
                                      str(put(new, text + "  active: /bin/true\n"))).stdout


def test_a_bad_hook_is_refused_by_check_config_and_by_apply(instance, hooks):
    good = hooks.put("good")
    bad = hooks.put("bad")
    bad.chmod(0o777)
    configure(instance, {"notify": good})
    instance.start()
    wait_for(lambda: len(hooks.lines()) == 1, "told")
    text = instance.config.read_text()
    new = instance.directory / "new.yaml"
    new.write_text(text.replace(str(good), str(bad)))
    checked = sh(str(SBIN / "tandemctl"), "check-config", str(new), check=False)
    assert checked.returncode == 1
    assert f"hooks.notify: {bad} can be written by others than root" in checked.stdout
    refused = instance.ctl("apply", "--alone", str(new), check=False)
    assert refused.returncode == 1
    assert "r1: hookd: hooks.notify: " in refused.stdout
    assert instance.config.read_text() == text
    # on another machine the program may well be there
    new.write_text(text.replace(str(good), "/nowhere/hook"))
    checked = sh(str(SBIN / "tandemctl"), "check-config", str(new), check=False)
    assert checked.returncode == 0
    assert "hooks.notify: /nowhere: No such file or directory (on this machine)" \
        in checked.stdout
    refused = instance.ctl("apply", "--alone", str(new), check=False)
    assert refused.returncode == 1
    # a change of something else does not ask again
    good.chmod(0o777)
    new.write_text(text.replace("262144", "131072"))
    assert "in force" in instance.ctl("apply", "--alone", str(new)).stdout


def test_a_hook_cannot_hold_up_the_role(instance, hooks):
    """A stopped hookd costs nobody anything; it is replaced."""
    configure(instance, {"notify": hooks.put("notify")})
    instance.start()
    wait_for(lambda: len(hooks.lines()) == 1, "told")
    pid = instance.pid("hookd")
    os.kill(pid, signal.SIGSTOP)
    flip(instance, 5)
    wait_for(lambda: instance.metric("tandem_term") == 9, "the role is known", 1)
    wait_for(lambda: not alive(pid), "killed", 3)
    wait_for(lambda: hooks.lines()[-1].endswith("none>Backup 9"), "told by the next one")


def test_processes_of_the_hooks_are_gone_after_the_instance(instance, hooks):
    configure(instance, {"notify": hooks.put("notify", LINE + "sleep 60\n")})
    instance.start()
    wait_for(lambda: len(hooks.lines()) == 1, "told")
    instance.stop()
    left = subprocess.run(["pgrep", "-u", str(USER.pw_uid)], stdout=subprocess.PIPE, text=True,
                          check=False).stdout.split()
    mine = [pid for pid in left
            if str(hooks.directory) in Path(f"/proc/{pid}/cmdline").read_text()]
    assert mine == []


# ---- a real pair ----

PAIR_LINE = 'echo "$TANDEM_HOOK $TANDEM_NODE $3 $TANDEM_OLD_ROLE $TANDEM_TERM" >>log\n'
PROMISE_MS = 400  # node loss at 100 ms advertisements (tests/bench/bench_failover.py)


def with_hooks(settings):
    lines = "".join(f"  {key}: {value}\n" for key, value in settings.items())
    return lambda text: text + "\nhooks:\n" + lines


def told(hooks, node):
    """(state, state before) of every run of a node, in order."""
    return [tuple(line.split()[2:4]) for line in hooks.lines() if line.split()[1] == node]


def test_hooks_that_hang_do_not_lengthen_a_blackout(make_lab, hooks):
    hang = hooks.put("notify", PAIR_LINE + "trap '' TERM\nwhile :; do sleep 1; done\n")
    lab = make_lab(edit=with_hooks({"notify": hang}))
    wait_for(lambda: told(hooks, "r1") and told(hooks, "r2"), "each has begun")
    result = run_fault(lab, faults.get("node-loss"), 10, 0)
    print(report.result_text(result))
    assert result["failures"] == []
    assert result["blackout_ms"] - result["stall_ms"] < PROMISE_MS
    # and it really hung all the time: r2 still runs the hook of its time as Backup
    assert told(hooks, "r2") == [("BACKUP", "none")]
    assert lab.routers["r2"].status()["hook_running"] is True


def test_every_role_of_a_real_pair_is_told(make_lab, hooks):
    lab = make_lab(edit=with_hooks({"notify": hooks.put("notify", PAIR_LINE)}))
    wait_for(lambda: told(hooks, "r1")[-1:] == [("MASTER", "Backup")], "r1 is Active")
    assert told(hooks, "r2") == [("BACKUP", "none")]
    lab.routers["r1"].switchover()
    wait_for(lambda: told(hooks, "r1")[-1] == ("BACKUP", "Active") and
             told(hooks, "r2")[-1] == ("MASTER", "Backup"), "switchover")
    # a node without any link cannot take over: that is keepalived's FAULT
    lab.topology.carrier(lab.topology.ports("r1", ["wan", "lan"]), False)
    wait_for(lambda: told(hooks, "r1")[-1] == ("FAULT", "Backup"), "fault")
    lab.topology.heal()
    wait_for(lambda: told(hooks, "r1")[-1] == ("BACKUP", "Fault"), "no fault any more")
    lab.wait_protected(20)
    lab.routers["r2"].stop()
    wait_for(lambda: told(hooks, "r2")[-1] == ("STOP", "Active") and
             told(hooks, "r1")[-1] == ("MASTER", "Backup"), "stop")
    terms = [int(line.split()[4]) for line in hooks.lines() if "MASTER" in line]
    assert terms == sorted(set(terms))


def test_each_router_of_mode_independent_is_told_for_itself(make_lab, hooks):
    notify = hooks.put("notify", 'echo "$* $TANDEM_NODE $TANDEM_ROUTER $TANDEM_OLD_ROLE" >>log\n')
    lab = make_lab(edit=lambda text: with_hooks({"notify": notify})(text).replace(
        "mode: node", "mode: independent"))
    wait_for(lambda: "INSTANCE wan0 MASTER 150 r1 wan0 Backup" in hooks.lines(), "wan0 of r1")
    for router in ("lan0", "wan0-v6", "lan0-v6"):
        line = f"INSTANCE {router} MASTER 150 r1 {router} Backup"
        wait_for(lambda line=line: line in hooks.lines(), line)
    lab.topology.carrier(lab.topology.ports("r1", ["wan"]), False)
    wait_for(lambda: "INSTANCE wan0 FAULT 150 r1 wan0 Active" in hooks.lines(), "the fault")
    wait_for(lambda: "INSTANCE wan0 MASTER 100 r2 wan0 Backup" in hooks.lines(), "the other one")
    assert not [line for line in hooks.lines() if line.startswith("GROUP")]
    lab.routers["r1"].stop()
    wait_for(lambda: "INSTANCE lan0 STOP 150 r1 lan0 Active" in hooks.lines(), "the stop")
