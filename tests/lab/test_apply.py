"""A running pair told to apply a broken file keeps running unchanged, on both nodes."""
import dataclasses
import hashlib
import json
import os
import socket
import subprocess
import time

import pytest

from conftest import PREFIX
from tandemlab.agents import REPO, wait_alive
from tandemlab.host import in_ns, progress, run
from tandemlab.lab import Lab
from tandemlab.scenario import Load, failures

BROKEN = os.path.join(REPO, "tests/unit/config/broken")
# what is done to the text of the valid file; the kernel of the Active router refuses it, after
# the Backup has accepted it
REFUSED_BY_THE_KERNEL = {
    "a route by the broadcast address": ("via: 203.0.113.254", "via: 203.0.113.255"),
}


@dataclasses.dataclass
class Broken:
    """A file of tests/unit/config/broken: its first lines say what is wrong with it."""
    path: str
    line: int
    key: str
    reason: str

    @property
    def name(self):
        return os.path.basename(self.path)

    def is_named_in(self, error, file):
        """Whether a message is FILE:LINE:COLUMN: KEY: REASON."""
        where, _, what = error.partition(f"{file}:{self.line}:")[2].partition(": ")
        return where.isdigit() and what.startswith(f"{self.key}: " if self.key else "") \
            and self.reason in what


def broken_files():
    found = []
    for name in sorted(os.listdir(BROKEN)):
        path = os.path.join(BROKEN, name)
        with open(path, encoding="utf-8", errors="replace") as f:
            line, key, reason = (f.readline().partition(":")[2].strip() for _ in range(3))
        found.append(Broken(path, int(line), key, reason))
    return found


@pytest.fixture(scope="module")
def pair():
    with Lab(PREFIX) as lab:
        yield lab.up()


def ctl(router, *arguments):
    return subprocess.run([os.path.join(router.sbin_dir, "tandemctl"), "--instance",
                           router.instance, *arguments], capture_output=True, text=True,
                          errors="replace", check=False)


def facts(lab):
    """What must not change on either node: what it is, what it runs, what its kernel has."""
    found = {}
    for node, router in lab.routers.items():
        status = router.status()
        with open(router.config, "rb") as f:
            text = f.read()
        found[node] = {
            **{key: status[key] for key in ("role", "term", "generation", "digest")},
            "pids": router.pids(),
            "file": hashlib.sha256(text).hexdigest(),
            "addresses": sorted(run(in_ns(router.namespace, [
                "ip", "-br", "address"])).splitlines()),
            "routes": [run(in_ns(router.namespace, ["ip", family, "route", "show", "proto",
                                                    "112"])) for family in ("-4", "-6")],
            # stateless: counters count on
            "ruleset": hashlib.sha256(run(in_ns(router.namespace, [
                "nft", "--stateless", "list", "ruleset"])).encode()).hexdigest(),
        }
    return found


def differences(before, after):
    return [f"{node}: {key} was {before[node][key]}, is {value}"
            for node, values in after.items() for key, value in values.items()
            if before[node][key] != value]


def settled(lab, before):
    """What has changed; a parser that has answered may take a moment to be gone."""
    patience = time.monotonic() + 2.0
    while True:
        found = differences(before, facts(lab))
        if time.monotonic() > patience or not any("pids was" in text for text in found):
            return found
        time.sleep(0.05)


# --- the control socket, without tandemctl's own look at the file --------------------------

CONTROL_APPLY, CONTROL_TEXT = 6, 7  # proto/control.proto


def varint(value):
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes([*out, value])


def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7f) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def reply_fields(data):
    """Field number: value, of a Reply without samples."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if tag & 7 == 2:
            value, at = data[at:at + value], at + value
        fields[tag >> 3] = value
    return fields


def control(client, command, text=b""):
    """One request; returns (status, text) of its reply."""
    client.send(b"\x10\x01\x18" + varint(command) + b"\x22" + varint(len(text)) + text)
    fields = reply_fields(client.recv(1 << 17))
    status = fields.get(3, 0)
    return (status >> 1) ^ -(status & 1), fields.get(4, b"").decode(errors="replace")


def apply_unchecked(router, path):
    """What the daemons themselves say to a text that no tandemctl has looked at."""
    with open(path, "rb") as f:
        text = f.read()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(30)
        client.connect(f"/run/tandem/{router.instance}/control.sock")
        for at in range(0, len(text), 40000):
            status, answer = control(client, CONTROL_TEXT, text[at:at + 40000])
            if status != 0:
                return status, answer
        return control(client, CONTROL_APPLY)


# --- the tests -----------------------------------------------------------------------------


def complaints_about(router, broken):
    """What is wrong with the ways in which this router refuses the file."""
    found = []
    for command in ("check-config", "apply"):
        done = ctl(router, command, broken.path)
        if done.returncode != 1 or done.stdout != "" or \
                not done.stderr.startswith(f"{broken.path}:{broken.line}:") or \
                not broken.is_named_in(done.stderr, broken.path):
            found.append(f"{command}: exit {done.returncode}, {done.stdout}{done.stderr}")
        done = ctl(router, "--json", command, broken.path)
        said = json.loads(done.stdout or "{}")
        if done.returncode != 1 or said.get("ok") is not False or \
                (said["file"], said["line"], said["key"]) != \
                (broken.path, broken.line, broken.key) or broken.reason not in said["reason"]:
            found.append(f"--json {command}: exit {done.returncode}, {done.stdout}")
    status, answer = apply_unchecked(router, broken.path)
    if status >= 0 or not broken.is_named_in(answer, "new configuration"):
        found.append(f"the daemon: {status} {answer}")
    return [f"{broken.name} at {router.node}: {text}" for text in found]


def test_broken_files_change_nothing(pair):
    """Every broken file, at the Active and at the Backup in turn, under sessions that live
    through all of it."""
    files = broken_files()
    assert len(files) >= 30 and len({(b.key, b.reason) for b in files}) >= 30
    assert pair.routers["r1"].status()["role"] == "Active"
    wrong = []
    load = Load(pair, sessions=10, bulk=0)
    try:
        load.mark()
        before = facts(pair)
        for number, broken in enumerate(files):
            found = complaints_about(pair.routers["r2" if number % 2 else "r1"], broken)
            found += [f"{broken.name}: {text}" for text in settled(pair, before)]
            for text in found:
                progress(text)
            wrong += found
        wait_alive(load.sessions, 5)
        found = load.finish()
    finally:
        load.stop()
    progress(f"{len(files)} broken files, {len(wrong)} complaints")
    assert wrong == []
    assert failures({**found, "blackouts": {}}) == []


@pytest.mark.parametrize("node", ["r1", "r2"])
@pytest.mark.parametrize("name", REFUSED_BY_THE_KERNEL)
def test_a_file_that_the_kernel_refuses_changes_nothing(pair, name, node):
    """Valid on both nodes, put in force on the Backup, refused by the Active one, put back."""
    old, new = REFUSED_BY_THE_KERNEL[name]
    router = pair.routers[node]
    with open(router.config, encoding="utf-8") as f:
        text = f.read()
    assert old in text
    path = os.path.join(pair.run_dir, "refused.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new, 1))
    load = Load(pair, sessions=10, bulk=0)
    try:
        before = facts(pair)
        done = ctl(router, "apply", path)
        changed = settled(pair, before)
        found = load.finish()
    finally:
        load.stop()
    assert done.returncode == 1
    assert "r1: " in done.stderr and "vrrpd" in done.stderr
    assert changed == []
    assert failures({**found, "blackouts": {}}) == []
