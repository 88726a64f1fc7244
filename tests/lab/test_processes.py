"""The processes of one instance: what tandemd does when they die, hang, or are to change.

Every room but tandem-mgmtd and tandem-hookd is played by fake_room (tests/unit/fake_room.c), which hangs on
SIGUSR1, leaves on SIGUSR2 and refuses a configuration on request. Each instance lives in a
network namespace of its own.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("TANDEM_BUILD_DIR", ROOT / "build" / "release"))
SBIN = Path(os.environ.get("TANDEM_PREFIX", "/usr/local")) / "sbin"
LIBEXEC = SBIN.parent / "libexec" / "tandem"
PREFIX = os.environ.get("LAB_PREFIX", "tdtest") + "-p"
ROOMS = ("vrrpd", "syncd", "lbd", "checkd", "mgmtd", "hookd")
REAL = ("mgmtd", "hookd")
FROM_ROUTE = {"vrrpd": "0000000000003000", "syncd": "0000000000001000",
              "lbd": "0000000000001000", "checkd": "0000000000000000",
              "mgmtd": "0000000000000000", "hookd": "0000000000000000"}
IPC_LOCK = 1 << 14


def sh(*command, check=True):
    return subprocess.run(command, check=check, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)


def wait_for(condition, what, seconds=5.0):
    """The first true value of condition()."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.01)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Instance:
    """One tandemd, its configuration and its namespace."""

    def __init__(self, name, directory):
        self.name = PREFIX + name
        self.directory = directory
        self.config = directory / f"{self.name}.yaml"
        self.log = directory / f"{self.name}.log"
        self.process = None
        self.notify = None
        sh("ip", "netns", "del", self.name, check=False)
        sh("ip", "netns", "add", self.name)
        sh("ip", "-n", self.name, "link", "set", "lo", "up")
        sh("ip", "-n", self.name, "addr", "add", "10.254.0.1/32", "dev", "lo")
        shutil.copy(ROOT / "docs" / "example.yaml", self.config)
        sh(str(SBIN / "tandemctl"), "keygen", "--force", "--instance", self.name)

    def start(self, *options, ready=True):
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind("\0" + self.name)  # abstract, as containers use it
        self.notify.settimeout(5)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(SBIN / "tandemd"), "--instance", self.name, "--netns", self.name,
                 "--node", "r1", "--config", str(self.config),
                 "--libexec", str(self.directory / "libexec"), *options],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**os.environ, "NOTIFY_SOCKET": "@" + self.name,
                     "WATCHDOG_USEC": "2000000"})
        if ready:
            self.wait_notified("READY=1")
        return self

    def wait_notified(self, what):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if what in self.notify.recv(4096).decode().split("\n"):
                return
        raise AssertionError(f"{what} was not notified")

    def log_text(self):
        return self.log.read_text()

    def count(self, pattern):
        return len(re.findall(pattern, self.log_text()))

    def ctl(self, *arguments, check=True):
        return sh(str(SBIN / "tandemctl"), "--instance", self.name, *arguments, check=check)

    def status(self):
        return json.loads(self.ctl("--json", "status").stdout)

    def rooms(self):
        return {room["room"]: room for room in self.status()["rooms"]}

    def pid(self, room):
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
                if words[:3] == [f"tandem-{room}".encode(), b"--instance",
                                 self.name.encode()] and alive(int(entry)):
                    return int(entry)
        return 0

    def pids(self):
        return {room: self.pid(room) for room in ROOMS}

    def get(self, path, seconds=3):
        return sh("ip", "netns", "exec", self.name, "curl", "-sS", "-m", str(seconds),
                  "http://10.254.0.1:9480" + path).stdout

    def metric(self, name):
        """The value of the first sample that begins with `name`, or None."""
        for line in self.get("/metrics").splitlines():
            if line.startswith(name):
                return float(line.rsplit(" ", 1)[1])
        return None

    def stop(self):
        """A graceful stop; the log and the state stay."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(10)
        self.notify.close()

    def remove(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(5)
            for pid in self.pids().values():
                if pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        if self.notify is not None:
            self.notify.close()
        sh("ip", "netns", "del", self.name, check=False)
        for root in ("/run/tandem", "/var/lib/tandem"):
            shutil.rmtree(f"{root}/{self.name}", ignore_errors=True)


@pytest.fixture
def make():
    # not tmp_path: the children have users of their own, and must reach their programs
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    directory.chmod(0o755)
    libexec = directory / "libexec"
    libexec.mkdir()
    libexec.chmod(0o755)
    for room in ROOMS:
        source = LIBEXEC / f"tandem-{room}" if room in REAL else BUILD / "tests" / "fake_room"
        shutil.copy(source, libexec / f"tandem-{room}")
    made = []

    def make_instance(name):
        made.append(Instance(name, directory))
        return made[-1]

    yield make_instance
    for one in made:
        one.remove()
    shutil.rmtree(directory)


@pytest.fixture
def instance(make):
    return make("a").start()


def test_a_child_has_its_own_user_and_only_its_capabilities(instance):
    users = set()
    for room, pid in instance.pids().items():
        status = dict(line.split(":\t", 1) for line in
                      Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
        for which in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            # vrrpd may lock memory by capability where the limit cannot be raised
            own = int(status[which], 16) & ~(IPC_LOCK if room == "vrrpd" else 0)
            assert own == int(FROM_ROUTE[room], 16), f"{room} {which}"
        assert int(status["CapBnd"], 16) & ~IPC_LOCK & ~int(FROM_ROUTE[room], 16) == 0
        assert status["NoNewPrivs"].strip() == "1"
        assert status["Groups"].strip() == ""
        users.add(status["Uid"].split()[1])
        assert len(os.listdir(f"/proc/{pid}/fd")) < 32
    assert len(users) == len(ROOMS)
    assert "0" not in users


def test_mgmtd_has_an_empty_root_and_does_its_work(instance):
    if instance.count("no empty root"):
        pytest.skip("this kernel has no Landlock")
    assert instance.metric("tandem_term") == 7


def test_one_that_dies_is_started_again_and_told_about(instance):
    before = instance.pids()
    os.kill(before["syncd"], signal.SIGABRT)
    wait_for(lambda: instance.pid("syncd") not in (0, before["syncd"]), "a new syncd", 2)
    wait_for(lambda: instance.rooms()["syncd"]["answers"], "it answers")
    after = instance.pids()
    assert {r: p for r, p in after.items() if r != "syncd"} == \
        {r: p for r, p in before.items() if r != "syncd"}
    assert instance.count(r"room=syncd pid=\d+ exit=signal.SIGABRT.* deaths=1") == 1
    assert instance.metric(f'tandem_room_deaths_total{{instance="{instance.name}",'
                           'room="syncd"}') == 1


def test_one_that_leaves_by_itself_is_started_again(instance):
    pid = instance.pid("lbd")
    os.kill(pid, signal.SIGUSR2)
    wait_for(lambda: instance.pid("lbd") not in (0, pid), "a new lbd", 2)
    assert instance.count(r"room=lbd pid=\d+ exit=code:3") == 1


@pytest.mark.parametrize("room", ["lbd", "vrrpd"])
def test_one_that_hangs_is_killed_in_time(instance, room):
    pid = instance.pid(room)
    begin = time.monotonic()
    os.kill(pid, signal.SIGUSR1)
    wait_for(lambda: not alive(pid), "killed", 5)
    # a second, one ping interval until the first unanswered ping, and what machines stall
    assert time.monotonic() - begin < 1.25 + 0.35
    wait_for(lambda: instance.pid(room) not in (0, pid), "started again", 2)
    assert instance.count(f"room={room} pid={pid} does not answer: killed") == 1
    assert instance.count("vrrpd is gone: fence=closed") == (1 if room == "vrrpd" else 0)


def test_one_that_announced_long_work_is_not_killed_for_it(instance):
    pid = instance.pid("lbd")
    os.kill(pid, signal.SIGWINCH)
    wait_for(lambda: instance.count("work done"), "the work is done")
    assert instance.pid("lbd") == pid
    os.kill(pid, signal.SIGUSR1)  # what comes after it is judged as ever
    wait_for(lambda: not alive(pid), "killed", 2.5)


def test_two_deaths_in_a_row_wait_and_raise_the_alarm(instance):
    for _ in range(2):
        pid = wait_for(lambda: instance.pid("checkd"), "checkd")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid), "dead")
    assert "crash_loop" in [a["alarm"] for a in instance.status()["alarms"]]
    assert wait_for(lambda: instance.count("room=checkd crash loop: 2 deaths"), "told") == 1
    wait_for(lambda: instance.pid("checkd") and instance.rooms()["checkd"]["answers"],
             "it is back", 3)


def test_a_frozen_machine_costs_no_process(instance):
    before = instance.pids()
    everything = [instance.process.pid, *before.values()]
    for pid in everything:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(3)  # the fault itself
    for pid in everything:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: all(r["answers"] for r in instance.rooms().values()), "all answer")
    assert instance.pids() == before
    assert instance.count("does not answer") == 0


def test_a_hung_process_does_not_hang_a_scrape(instance):
    os.kill(instance.pid("lbd"), signal.SIGSTOP)
    begin = time.monotonic()
    assert instance.metric(f'tandem_room_up{{instance="{instance.name}",room="lbd"}}') == 0
    assert time.monotonic() - begin < 1.2


def test_orphans_leave(instance):
    before = instance.pids()
    os.kill(before["vrrpd"], signal.SIGSTOP)
    instance.process.kill()
    instance.process.wait()
    # a new supervisor waits for the last of them, and takes the place
    instance.notify.close()
    instance.start(ready=False)
    wait_for(lambda: instance.count("waiting for processes of an earlier life"), "it waits")
    wait_for(lambda: not any(alive(p) for r, p in before.items() if r != "vrrpd"), "left", 3)
    assert instance.count("room=vrrpd pid=.* started") == 1
    os.kill(before["vrrpd"], signal.SIGCONT)
    instance.wait_notified("READY=1")
    assert not any(alive(p) for p in before.values())


def test_stop_is_in_order_and_leaves_nothing(instance):
    before = instance.pids()
    instance.process.terminate()
    instance.wait_notified("STOPPING=1")
    assert instance.process.wait(5) == 0
    assert not any(alive(p) for p in before.values())
    ends = re.findall(r"room=(\w+) pid=\d+ exit=code:0 .*reason=stop", instance.log_text())
    assert ends[0] == "vrrpd"
    assert sorted(ends) == sorted(ROOMS)
    assert not os.path.exists(f"/run/tandem/{instance.name}/control.sock")


def test_the_watchdog_is_fed(instance):
    instance.wait_notified("WATCHDOG=1")


def test_an_instance_runs_once(instance):
    second = sh(str(SBIN / "tandemd"), "--instance", instance.name, "--node", "r1",
                "--config", str(instance.config), "--libexec",
                str(instance.directory / "libexec"), check=False)
    assert second.returncode == 1
    assert "runs already" in second.stdout
    assert all(r["answers"] for r in instance.rooms().values())


def test_two_instances_do_not_disturb_each_other(make):
    calm, hurt = make("a").start(), make("b").start()
    before = calm.pids()
    hurt_before = hurt.pids()
    os.kill(hurt_before["vrrpd"], signal.SIGKILL)
    os.kill(hurt_before["mgmtd"], signal.SIGKILL)
    wait_for(lambda: hurt.pid("vrrpd") not in (0, hurt_before["vrrpd"]), "restarted")
    wait_for(lambda: hurt.pid("mgmtd") not in (0, hurt_before["mgmtd"]), "restarted")
    wait_for(lambda: hurt.rooms()["vrrpd"]["answers"], "answers")
    hurt.stop()
    assert calm.pids() == before
    assert calm.count("deaths=[1-9]") == 0
    assert calm.status()["instance"] == calm.name
    ambiguous = sh(str(SBIN / "tandemctl"), "--instance", hurt.name, "status", check=False)
    assert ambiguous.returncode == 3
    assert "does not run" in ambiguous.stdout


def test_a_refused_configuration_changes_nothing(instance):
    text = instance.config.read_text()
    new = instance.directory / "new.yaml"
    new.write_text(text.replace("flows_max: 262144", "flows_max: 131072"))
    generation = instance.status()["generation"]
    before = instance.pids()
    refusal = Path(f"/run/tandem/{instance.name}/refuse-checkd")
    refusal.touch()
    refused = instance.ctl("apply", "--alone", str(new), check=False)
    refusal.unlink()
    assert refused.returncode == 1
    assert "r1: checkd: No space left on device" in refused.stdout
    assert instance.config.read_text() == text
    assert instance.status()["generation"] == generation
    # those that had accepted it were told to return
    assert instance.count(rf"tandem-lbd.* generation={generation + 1}\b") == 1
    assert instance.count(rf"tandem-lbd.* generation={generation}\b") == 2
    assert instance.pids() == before
    # nothing stands in the way of the next one
    assert "in force" in instance.ctl("apply", "--alone", str(new)).stdout
    assert instance.config.read_text() == new.read_text()
    assert instance.status()["generation"] == generation + 1


def test_a_process_that_dies_on_a_configuration_refuses_it(instance):
    text = instance.config.read_text()
    new = instance.directory / "new.yaml"
    new.write_text(text.replace("flows_max: 262144", "flows_max: 131072"))
    os.kill(instance.pid("checkd"), signal.SIGSTOP)
    apply = subprocess.Popen([str(SBIN / "tandemctl"), "--instance", instance.name, "apply",
                              "--alone", str(new)], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: instance.count("tandem-lbd.* generation=2"), "it is being spread")
    os.kill(instance.pid("checkd"), signal.SIGKILL)
    _, reason = apply.communicate(timeout=20)
    assert apply.returncode == 1
    assert "r1: checkd: died on it" in reason
    assert instance.config.read_text() == text
    assert instance.status()["generation"] == 1


def test_an_unreachable_peer_refuses_an_apply_for_both(instance):
    new = instance.directory / "new.yaml"
    new.write_text(instance.config.read_text().replace("262144", "131072"))
    refused = instance.ctl("apply", str(new), check=False)
    assert refused.returncode == 1
    assert "r2: not reachable" in refused.stdout
    assert instance.status()["generation"] == 1


def test_sighup_reads_the_file_and_keeps_the_old_one_when_it_is_broken(instance):
    text = instance.config.read_text()
    instance.config.write_text(text.replace("flows_max: 262144", "flows_max: many"))
    instance.process.send_signal(signal.SIGHUP)
    instance.wait_notified("READY=1")
    assert instance.count(rf"{instance.config}:\d+:\d+: sync.flows_max: ") == 1
    assert instance.status()["generation"] == 1
    instance.config.write_text(text.replace("flows_max: 262144", "flows_max: 65536"))
    instance.process.send_signal(signal.SIGHUP)
    wait_for(lambda: instance.status()["generation"] == 2, "generation 2")
    instance.process.send_signal(signal.SIGHUP)
    wait_for(lambda: instance.count("unchanged generation=2"), "nothing new")


def test_the_generation_outlives_a_restart_and_counts_an_edit(instance):
    instance.stop()
    instance.start()
    assert instance.status()["generation"] == 1
    instance.stop()
    instance.config.write_text(instance.config.read_text().replace("262144", "65536"))
    instance.start()
    assert instance.status()["generation"] == 2


def test_a_broken_file_at_the_start_is_one_line_and_exit_1(make):
    broken = make("a")
    broken.config.write_text(broken.config.read_text().replace("priority: 150",
                                                               "priority: 0"))
    broken.start(ready=False)
    assert broken.process.wait(5) == 1
    assert broken.count(rf"{broken.config}:\d+:\d+: nodes\[0\].priority: ") == 1
    assert not any(broken.pids().values())


def test_a_key_that_others_may_read_is_refused(make):
    careless = make("a")
    key = Path(f"/var/lib/tandem/{careless.name}/secret.key")
    key.chmod(0o644)
    careless.start(ready=False)
    assert careless.process.wait(5) == 1
    assert careless.count("must belong to root with mode 0600") == 1
    key.unlink()
    careless.notify.close()
    careless.start(ready=False)
    assert careless.process.wait(5) == 1
    assert careless.count("make one: tandemctl keygen") == 1


def test_pages(instance):
    assert json.loads(instance.get("/api/v1/status"))["role"] == "Active"
    assert "term 7" in instance.get("/")
    assert json.loads(instance.get("/api/v1/lb"))["tables"][0]["rows"][0]["room"] == "lbd"
    assert instance.get("/healthz").endswith("alarms\n")
    assert instance.get("/api/v1/nothing") == "not found\n"
    many = [subprocess.Popen(["ip", "netns", "exec", instance.name, "curl", "-sS", "-m", "5",
                              "-o", "/dev/null", "-w", "%{http_code}",
                              "http://10.254.0.1:9480/metrics"], stdout=subprocess.PIPE,
                             text=True) for _ in range(20)]
    assert {p.communicate(timeout=10)[0] for p in many} == {"200"}


def test_what_is_more_than_one_packet_arrives_whole(instance):
    Path(f"/run/tandem/{instance.name}/many-lbd").touch()
    rows = [row for table in json.loads(instance.ctl("--json", "lb").stdout)["tables"]
            for row in table["rows"] if "number" in row]
    assert [row["fake_total"] for row in rows] == list(range(20000))
    assert instance.get("/metrics").count("tandem_lb_fake_total{") == 20000


def test_rubbish_on_the_control_socket_hurts_nobody(instance):
    path = f"/run/tandem/{instance.name}/control.sock"
    for rubbish in (b"\xff" * 100, b"\0", os.urandom(70000)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(path)
            client.send(rubbish)
            client.settimeout(2)
            with contextlib.suppress(ConnectionError):
                assert client.recv(100) == b""
    assert instance.metric(f'tandem_control_rejected_total{{instance="{instance.name}"}}') == 3
    assert all(r["answers"] for r in instance.rooms().values())
