#!/usr/bin/python3
"""Blackout after each fault, ours beside keepalived + conntrackd, in interleaved pairs.

The figure is the median blackout of the UDP probes at node loss, 100 ms adverts. The bar is
the promise of the design: Active_Down_Interval and not one advert more (400 ms), and never
more than the classic stack in the same run plus one advert.

The exit status is 1 when Tandem broke a promise in any run: a session or a download lost, a
question answered twice, a lab that did not come up. What explains it is then kept below
build/lab-logs. Every run is in the JSON file as soon as it ended.
"""
import argparse
import contextlib
import datetime
import fcntl
import json
import os
import statistics
import sys

from tandemlab import faults, report
from tandemlab.host import LabError, progress
from tandemlab.lab import Lab
from tandemlab.scenario import run_fault

PROMISE_MS = 400.0
ADVERT_MS = 100
PREFIX = os.environ.get("LAB_PREFIX", "tdbench")
STACKS = ("tandem", "classic")


@contextlib.contextmanager
def machine():
    """Holds the file BENCH_LOCK, if it is set, for one run: others may use the machine in
    between."""
    path = os.environ.get("BENCH_LOCK")
    if not path:
        yield
        return
    with open(path, "a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def measure(stack, fault, args, round_number):
    """One lab, one fault: a record of all that was promised and seen."""
    at = datetime.datetime.now(datetime.timezone.utc)
    run = {"round": round_number, "stack": stack, "fault": fault.name,
           "at": at.isoformat(timespec="seconds"), "load": os.getloadavg()[0],
           "logs": None}
    with Lab(PREFIX, classic=stack == "classic", advert_ms=ADVERT_MS) as lab:
        try:
            lab.up(first=fault.first)
            result = run_fault(lab, fault, sessions=args.sessions, bulk=args.bulk)
        except LabError as error:
            run.update(error=str(error), failures=[f"no result: {error}"])
        else:
            run.update(seen(result))
            lab.record("result", result)
            progress(report.sessions_text(result))
        for failure in run["failures"]:
            progress(f"not kept: {failure}")
        if run["failures"] and stack == "tandem":
            run["logs"] = lab.keep_logs(f"failover-{at:%m%d-%H%M%S}-{fault.name}")
    return run


def seen(result):
    """What a run's record keeps of its result."""
    kinds, bulk = result["sessions"], result["bulk"]
    return {"ms": result["blackout_ms"], "stall_ms": result["stall_ms"],
            "kept": sum(s["alive"] for s in kinds), "total": sum(s["count"] for s in kinds),
            "bulk_right": sum(b["checksum_right"] for b in bulk),
            "bulk_total": sum(b["count"] for b in bulk),
            "connect_ms": result["blackouts"]["new connections"]["ms"],
            "doubles": len(result["double_answers"]),
            "unended": any(b["to"] and b["to"] > result["recovered_at"]
                           for b in result["blackouts"].values()),
            "failures": result["failures"], "active_before": result["active_before"],
            "active_after": result["active_after"], "kinds": kinds, "bulk": bulk,
            "blackouts": result["blackouts"]}


def measured(runs):
    return [run for run in runs if "error" not in run]


def cell(runs):
    runs = measured(runs)
    if not runs:
        return f"{'-':>34}"
    median = statistics.median(r["ms"] for r in runs)
    worst = max(r["ms"] for r in runs)
    kept, total = sum(r["kept"] for r in runs), sum(r["total"] for r in runs)
    marks = "!" if any(r["unended"] for r in runs) else ""
    marks += "*" if any(r["stall_ms"] > 0 for r in runs) else ""
    return f"{median:>8.0f} /{worst:>6.0f} {marks:<2} {kept:>7}/{total:<7}"


def totals(stack, runs):
    good = measured(runs)
    text = (f"{stack}: {len(good)} of {len(runs)} runs measured, sessions kept "
            f"{sum(r['kept'] for r in good)} of {sum(r['total'] for r in good)}, checksums "
            f"right {sum(r['bulk_right'] for r in good)} of "
            f"{sum(r['bulk_total'] for r in good)}, questions answered twice "
            f"{sum(r['doubles'] for r in good)}, runs with a broken promise "
            f"{sum(bool(r['failures']) for r in runs)}")
    return text


def classic_rounds(rounds, wanted):
    """Which of the rounds run the classic stack as well, spread evenly."""
    return [n for n in range(rounds) if n * wanted // rounds != (n + 1) * wanted // rounds]


def write(path, runs):
    """All runs so far; an interruption leaves the file whole."""
    with open(path + ".new", "w", encoding="utf-8") as f:
        json.dump({f"{n} {s}": r for (n, s), r in runs.items()}, f, indent=1)
        f.write("\n")
    os.replace(path + ".new", path)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--classic-rounds", type=int,
                        help="so many of the rounds run the classic stack too (default: all)")
    parser.add_argument("--sessions", type=int, help="of each kind (default 50, quick 10)")
    parser.add_argument("--bulk", type=int, default=0, help="paced downloads")
    parser.add_argument("--json", default="build/bench/failover.json")
    parser.add_argument("--stack", choices=STACKS, action="append")
    parser.add_argument("--fault", action="append", choices=list(faults.FAULTS))
    args = parser.parse_args()
    if args.quick:
        args.rounds = 1
    if args.sessions is None:
        args.sessions = 10 if args.quick else 50
    if args.classic_rounds is None:
        args.classic_rounds = args.rounds
    args.fault = args.fault or (["node-loss"] if args.quick else list(faults.MATRIX))
    args.stack = args.stack or list(STACKS)
    return args


def run_all(args, runs):
    """Interleaved, and the order turns each time: drift of the machine hits both."""
    with_classic = classic_rounds(args.rounds, args.classic_rounds)
    for number in range(args.rounds):
        stacks = [s for s in args.stack if s != "classic" or number in with_classic]
        if number in with_classic and with_classic.index(number) % 2 == 1:
            stacks.reverse()
        for name in args.fault:
            for stack in stacks:
                if stack == "classic" and faults.get(name).tandem_only:
                    continue
                progress(f"-- round {number + 1}/{args.rounds} {name} {stack}")
                with machine():
                    runs[name, stack].append(
                        measure(stack, faults.get(name), args, number + 1))
                write(args.json, runs)


def main():
    args = arguments()
    runs = {(name, stack): [] for name in args.fault for stack in args.stack}
    os.makedirs(os.path.dirname(args.json) or ".", exist_ok=True)
    run_all(args, runs)
    print("blackout in ms, median / worst; sessions kept / opened; * = this machine stood "
          "still during it;\n! = it lasted until the fault was undone")
    print(f"{'fault':<16}" + "".join(f"{stack:>34}" for stack in args.stack))
    for name in args.fault:
        print(f"{name:<16}" + "".join(f"{cell(runs[name, s]):>34}" for s in args.stack))
    print()
    for stack in args.stack:
        print(totals(stack, [r for (_, s), some in runs.items() if s == stack for r in some]))
    broken = [r for (_, s), some in runs.items() if s == "tandem" for r in some
              if r["failures"]]
    for run in broken:
        print(f"tandem, {run['fault']}, round {run['round']}: {'; '.join(run['failures'])}"
              f"\n  kept in {run['logs']}")
    print()
    losses = measured(runs.get(("node-loss", "tandem"), []))
    peers = measured(runs.get(("node-loss", "classic"), []))
    if losses:
        figure, bar = statistics.median(r["ms"] for r in losses), PROMISE_MS
        if peers:
            bar = min(bar, statistics.median(r["ms"] for r in peers) + ADVERT_MS)
        verdict = "holds" if figure <= bar else "falls short"
        print(f"failover: {figure:.0f} ms (bar {bar:.0f} ms) {verdict}")
    return 1 if broken else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        print(f"bench_failover: {error}", file=sys.stderr)
        sys.exit(1)
