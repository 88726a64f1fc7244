"""What the lab needs of the host: clock, commands in namespaces, processes.

Units    nanoseconds of CLOCK_BOOTTIME, as in the agents and in Tandem's logs.
"""
import ctypes
import os
import signal
import subprocess
import sys
import time

NS = 1_000_000_000
MS = 1_000_000


class LabError(Exception):
    """Something the user should read as one sentence, without a traceback."""


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def progress(text):
    print(text, file=sys.stderr, flush=True)


def run(command, text=None, check=True, env=None):
    """Runs a command, returns its output; a failure names the command and what it said."""
    done = subprocess.run(command, input=text, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, env=env)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(command)}: exit {done.returncode}: "
                       f"{(done.stderr or done.stdout).strip()}")
    return done.stdout


def in_ns(namespace, command):
    """The command line that runs `command` in a namespace.

    nsenter and not `ip netns exec` or `ip -n`: those remount /sys, which hides pinned BPF
    objects and fails where / is not a mount point (a plain chroot).
    """
    return ["nsenter", f"--net=/run/netns/{namespace}", "--", *command]


def wait_for(what, condition, seconds, interval=0.02):
    """Waits until condition() is true and returns its value; fails with `what` otherwise."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"after {seconds} s still not: {what}")
        time.sleep(interval)


def with_parent(signo=signal.SIGKILL):
    """A preexec_fn: the child gets `signo` when the lab process dies, however it dies."""
    libc = ctypes.CDLL(None, use_errno=True)

    def set_death_signal():
        libc.prctl(1, signo)

    return set_death_signal


def start_time(pid):
    """Clock ticks after boot, which with the pid names one process; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def children_of(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                found += [int(p) for p in f.read().split()]
    except OSError:
        pass
    return found


def tree_of(pid):
    """pid and its living descendants, parents first."""
    found = [pid] if start_time(pid) is not None else []
    for child in children_of(pid):
        found += tree_of(child)
    return found


def pids_in(namespace):
    return [int(p) for p in run(["ip", "netns", "pids", namespace], check=False).split()]


def signal_all(pids, signo):
    for pid in pids:
        try:
            os.kill(pid, signo)
        except ProcessLookupError:
            pass


def end_processes(pids, grace=2.0):
    """SIGTERM, then SIGKILL what is left after `grace` seconds."""
    pids = [p for p in pids if p != os.getpid()]
    signal_all(pids, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline:
        reap()
        if all(start_time(p) is None for p in pids):
            return
        time.sleep(0.02)
    signal_all(pids, signal.SIGKILL)
    reap()


def reap():
    """Collects children that ended, so that they do not count as alive."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        pass
