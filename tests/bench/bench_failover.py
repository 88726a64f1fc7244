#!/usr/bin/python3
"""Blackout per fault, ours beside keepalived + conntrackd, in interleaved pairs.

The figure is the median blackout of the UDP probes at node loss, 100 ms adverts. The bar is
the promise of the design: Active_Down_Interval and not one advert more (400 ms), and never
more than the classic stack in the same run plus one advert.
"""
import argparse
import json
import os
import statistics
import sys

from tandemlab import faults
from tandemlab.host import LabError, progress
from tandemlab.lab import Lab
from tandemlab.scenario import run_fault

PROMISE_MS = 400.0
ADVERT_MS = 100
PREFIX = os.environ.get("LAB_PREFIX", "tdbench")
STACKS = ("tandem", "classic")


def measure(stack, fault, sessions):
    """One lab, one fault; the blackout and what was lost, or None when the fault has no
    meaning for that stack."""
    if stack == "classic" and fault.tandem_only:
        return None
    with Lab(PREFIX, classic=stack == "classic", advert_ms=ADVERT_MS) as lab:
        lab.up(first=fault.first)
        result = run_fault(lab, fault, sessions=sessions, bulk=0)
    total = sum(s["count"] for s in result["sessions"])
    kept = sum(s["alive"] for s in result["sessions"])
    return {"ms": result["blackout_ms"], "stall_ms": result["stall_ms"], "kept": kept,
            "total": total, "connect_ms": result["blackouts"]["new connections"]["ms"],
            "doubles": len(result["double_answers"]),
            "unended": any(b["to"] and b["to"] > result["recovered_at"]
                           for b in result["blackouts"].values())}


def cell(runs):
    if not runs:
        return f"{'-':>34}"
    median = statistics.median(r["ms"] for r in runs)
    worst = max(r["ms"] for r in runs)
    kept, total = sum(r["kept"] for r in runs), sum(r["total"] for r in runs)
    marks = "!" if any(r["unended"] for r in runs) else ""
    marks += "*" if any(r["stall_ms"] > 0 for r in runs) else ""
    return f"{median:>8.0f} /{worst:>6.0f} {marks:<2} {kept:>7}/{total:<7}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stack", choices=STACKS, action="append")
    parser.add_argument("--fault", action="append")
    args = parser.parse_args()
    names = args.fault or (["node-loss"] if args.quick else list(faults.MATRIX))
    rounds = 1 if args.quick else args.rounds
    stacks = args.stack or list(STACKS)
    runs = {(name, stack): [] for name in names for stack in stacks}
    for round_number in range(rounds):
        for name in names:
            # interleaved, and the order turns each round: drift of the machine hits both
            for stack in stacks if round_number % 2 == 0 else reversed(stacks):
                progress(f"-- round {round_number + 1}/{rounds} {name} {stack}")
                measured = measure(stack, faults.get(name), 10 if args.quick else 50)
                if measured:
                    runs[name, stack].append(measured)
    print(f"blackout in ms, median / worst of {rounds}; sessions kept / opened; * = this "
          "machine stood still during it;\n! = it lasted until the fault was undone")
    print(f"{'fault':<16}" + "".join(f"{stack:>34}" for stack in stacks))
    for name in names:
        print(f"{name:<16}" + "".join(f"{cell(runs[name, stack]):>34}" for stack in stacks))
    os.makedirs("build/bench", exist_ok=True)
    with open("build/bench/failover.json", "w", encoding="utf-8") as f:
        json.dump({f"{n} {s}": r for (n, s), r in runs.items()}, f, indent=1)
    print()
    if "tandem" not in stacks or "node-loss" not in names:
        return 0
    figure = statistics.median(r["ms"] for r in runs["node-loss", "tandem"])
    bar = PROMISE_MS
    if "classic" in stacks:
        bar = min(bar, statistics.median(r["ms"] for r in runs["node-loss", "classic"]) +
                  ADVERT_MS)
    verdict = "holds" if figure <= bar else "falls short"
    print(f"failover: {figure:.0f} ms (bar {bar:.0f} ms) {verdict}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        print(f"bench_failover: {error}", file=sys.stderr)
        sys.exit(1)
