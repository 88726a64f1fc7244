"""Track scripts: what they say of a node, and who serves then.

The judgement is seen with tandem-hookd alone (fake_room plays the election and logs what it is
told), its consequence with a real pair.
"""
import os
import re
import signal
import time

import pytest

from tandemlab.host import wait_for as wait_until
from tandemlab.scenario import Load, failures
from test_hooks import hooks  # noqa: F401
from test_processes import alive, make, wait_for  # noqa: F401


@pytest.fixture
def instance(make):  # noqa: F811
    return make("t")


def track(path, **settings):
    """A section with one script called uplink."""
    lines = "".join(f"    {key}: {value}\n" for key, value in settings.items())
    return f"\ntrack_scripts:\n  - name: uplink\n    script: {path}\n{lines}"


def last_told(instance):
    """(known, unfit) as the election was last told."""
    told = re.findall(r"fitness known=(\w+) unfit=(\w+)", instance.log_text())
    return (int(told[-1][0], 16), int(told[-1][1], 16)) if told else None


def runs(instance, result):
    return instance.metric(f'tandem_track_runs_total{{instance="{instance.name}",'
                           f'script="uplink",result="{result}"}}')


def alarms(instance):
    return [a["alarm"] for a in instance.status()["alarms"]]


BODY = ('echo "$1 $TANDEM_TRACK $TANDEM_NODE $(id -un)" >>runs\n'
        "test -e hang && sleep 60\ntest -e killed && kill -9 $$\ntest ! -e sick\n")


def test_judgement_hysteresis_and_runs_without_a_word(instance, hooks):  # noqa: F811
    script = hooks.put("check", BODY)
    instance.config.write_text(instance.config.read_text() + track(
        script, interval="100ms", timeout="200ms", rise=2, fall=3))
    instance.start()
    wait_for(lambda: last_told(instance) == (1, 0), "fit")
    assert (hooks.out / "runs").read_text().splitlines()[0] == "uplink uplink r1 tandem-hookd"
    (hooks.out / "sick").touch()
    wait_for(lambda: last_told(instance) == (1, 1), "unfit")
    assert runs(instance, "failed") >= 3
    assert instance.count("script=uplink fit -> unfit") == 1
    (hooks.out / "sick").unlink()
    wait_for(lambda: last_told(instance) == (1, 0), "fit again")
    # what gives no word changes nothing: a hang, a signal, a program that is gone
    for trouble in ("hang", "killed"):
        (hooks.out / trouble).touch()
        silent = runs(instance, "no_word")
        wait_for(lambda before=silent: runs(instance, "no_word") > before + 3, trouble, 10)
        assert last_told(instance) == (1, 0)
        assert "track_silent" in alarms(instance)
        (hooks.out / trouble).unlink()
        wait_for(lambda: "track_silent" not in alarms(instance), "it speaks again")
    script.rename(hooks.directory / "away")
    silent = runs(instance, "no_word")
    wait_for(lambda: runs(instance, "no_word") > silent + 3, "gone")
    assert last_told(instance) == (1, 0)
    assert instance.count("script=uplink refused: .*No such file") >= 1
    assert instance.count("script=uplink fit -> unfit") == 1


def test_who_judges_is_killed_and_the_judgement_stands(instance, hooks):  # noqa: F811
    script = hooks.put("check", BODY)
    (hooks.out / "sick").touch()
    instance.config.write_text(instance.config.read_text() + track(
        script, interval="100ms", timeout="5s", fall=3))
    instance.start()
    wait_for(lambda: last_told(instance) == (1, 1), "unfit")
    (hooks.out / "hang").touch()
    time.sleep(0.3)  # a run hangs
    told = instance.count("fitness known")
    os.kill(instance.pid("hookd"), signal.SIGKILL)
    wait_for(lambda: instance.rooms()["hookd"]["answers"], "a new hookd")
    time.sleep(1.5)  # longer than it repeats what it knows: it knows nothing yet
    assert instance.count("fitness known") == told
    (hooks.out / "hang").unlink()
    (hooks.out / "sick").unlink()
    wait_for(lambda: last_told(instance) == (1, 0), "its own judgement", 15)


def test_another_script_begins_anew_and_the_same_one_goes_on(instance, hooks):  # noqa: F811
    sick, well = hooks.put("sick-check", "exit 1\n"), hooks.put("well-check", "exit 0\n")
    text = instance.config.read_text()
    instance.config.write_text(text + track(sick, interval="100ms"))
    instance.start()
    wait_for(lambda: last_told(instance) == (1, 1), "unfit")
    new = instance.directory / "new.yaml"
    new.write_text(text.replace("262144", "131072") + track(sick, interval="200ms"))
    instance.ctl("apply", "--alone", str(new))
    assert instance.count("unknown -> ") == 1
    new.write_text(text + track(well, interval="100ms"))
    instance.ctl("apply", "--alone", str(new))
    wait_for(lambda: last_told(instance) == (1, 0), "fit")
    assert instance.count("unknown -> ") == 2
    well.chmod(0o777)
    new.write_text(text + track(well, interval="100ms") + track(sick).split("\n", 2)[2]
                   .replace("uplink", "second"))
    refused = instance.ctl("apply", "--alone", str(new), check=False)
    assert refused.returncode == 1
    assert "track_scripts[0].script" in refused.stdout


# ---- a real pair ----


def test_the_role_goes_where_fewer_scripts_fail(make_lab, hooks):  # noqa: F811
    script = hooks.put("check", "test -e hang-$TANDEM_NODE && sleep 60\n"
                                "test ! -e sick-$TANDEM_NODE\n")
    lab = make_lab(edit=lambda text: text + track(
        script, interval="200ms", timeout="500ms", rise=2, fall=2))
    r1, r2 = lab.routers["r1"], lab.routers["r2"]
    load = Load(lab, sessions=50, bulk=0)
    try:
        load.mark()
        (hooks.out / "sick-r1").touch()
        lab.wait_active("r2", 10)
        assert r1.status()["reason"] == "unfit"
        assert "unfit" in [a["alarm"] for a in r1.status()["alarms"]]
        lab.wait_protected(20)
        # a fault of both moves nothing
        (hooks.out / "sick-r2").touch()
        wait_until("r2 unfit too", lambda: "unfit" in
                   [a["alarm"] for a in r2.status()["alarms"]], 5)
        time.sleep(3)  # longer than the hold, in which it could go back
        assert lab.active() == "r2"
        # where it is over, there the role goes
        (hooks.out / "sick-r1").unlink()
        lab.wait_active("r1", 10)
        lab.wait_protected(20)
        (hooks.out / "sick-r2").unlink()
        # a script that hangs on the Active says nothing of it
        (hooks.out / "hang-r1").touch()
        wait_until("it is told", lambda: "track_silent" in
                   [a["alarm"] for a in r1.status()["alarms"]], 10)
        time.sleep(2)
        assert lab.active() == "r1"
        found = load.finish()
    finally:
        load.stop()
    assert failures({**found, "blackouts": {}}) == []
