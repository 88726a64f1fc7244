"""Runs lab-agent processes and reads what they report."""
import json
import os
import subprocess
import threading

from .host import LabError, in_ns, wait_for, with_parent

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("LAB_AGENT",
                        os.path.join(REPO, "build/release/netns-lab/agent/lab-agent"))


class Agent:
    """One agent process in one namespace."""

    def __init__(self, topology, host, mode, **options):
        command = [BINARY, mode]
        for key, value in options.items():
            for item in value if isinstance(value, list) else [value]:
                command += [f"--{key.replace('_', '-')}", str(item)]
        self._start(topology, host, mode, options, command)

    def _start(self, topology, host, mode, options, command):
        self.host, self.mode = host, mode
        self.kind = options.get("kind", mode)
        self.events = []
        self.ended = False  # nothing more will be read
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            in_ns(topology.ns(host), command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, start_new_session=True, preexec_fn=with_parent())
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.events.append(json.loads(line))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _wait(self, event, already, seconds):
        def found():
            return [e for e in self.events[already:] if e["event"] == event]

        with self.changed:
            self.changed.wait_for(lambda: found() or self.ended, seconds)
            hits = found()
        return hits[-1] if hits else None

    def command(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise LabError(f"agent {self.kind} is gone") from error

    def ready(self, seconds=10):
        event = self._wait("ready", 0, seconds)
        if event is None:
            raise LabError(f"agent {self.kind} ({self.mode} on {self.host}) is not ready "
                           f"after {seconds} s")
        return event

    def ask(self):
        """Asks for the status without waiting; returns what `answer` needs."""
        already = len(self.events)
        self.command("status")
        return already

    def answer(self, asked, seconds=3):
        """The status, or None when none came: then nothing is known."""
        return self._wait("status", asked, seconds)

    def status(self, seconds=10):
        """The status; an agent that does not answer is an error, not a dead session."""
        state = self.answer(self.ask(), seconds)
        if state is None:
            raise LabError(f"agent {self.kind} says nothing for {seconds} s")
        return state

    def finish(self, seconds=30):
        """Ends the agent; returns its result and all it said. Sessions take up to 5 s of the
        agent's own time for their judgement."""
        if self.process.poll() is None:
            self.command("finish")
        result = self._wait("result", 0, seconds)
        self.stop()
        if result is None:
            raise LabError(f"agent {self.kind} ended without a result "
                           f"(exit {self.process.returncode})")
        return result

    def stop(self):
        if self.process.poll() is None:
            try:
                self.process.wait(1)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(2)
        self.process.stdin.close()
        self.process.stdout.close()


def wait_ready(agents, seconds=15):
    return [agent.ready(seconds) for agent in agents]


def statuses(agents):
    """What each agent says now, asked together; None for one that said nothing."""
    asked = [(agent, agent.ask()) for agent in agents]
    return [agent.answer(since) for agent, since in asked]


def wait_alive(agents, seconds):
    """Until every session that is not known dead lives; False when the time is up."""
    def all_alive():
        return all(state is not None and state["alive"] >= state["open"]
                   for state in statuses(agents))

    try:
        wait_for("all sessions alive", all_alive, seconds, 0.2)
    except LabError:
        return False
    return True
