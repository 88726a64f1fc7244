"""The sub-commands of netns-lab/lab."""
import argparse
import json
import os
import signal
import sys

from . import faults, report
from .host import LabError, in_ns, progress
from .lab import Lab, default_prefix, down
from .scenario import run_fault


def interrupted(signo, _frame):
    raise KeyboardInterrupt(signal.Signals(signo).name)


def seconds(text):
    """800ms or 5s, as in the configuration."""
    for unit, factor in (("ms", 0.001), ("s", 1.0)):
        if text.endswith(unit):
            return float(text[:-len(unit)]) * factor
    raise argparse.ArgumentTypeError(f"{text}: a duration like 800ms or 5s")


def make_parser():
    parser = argparse.ArgumentParser(prog="lab")
    commands = parser.add_subparsers(dest="command", required=True)

    demo = commands.add_parser("demo")
    demo.add_argument("--json", metavar="FILE")
    demo.add_argument("--fault", default="node-loss", choices=list(faults.FAULTS))
    demo.add_argument("--sessions", type=int, default=200, help="per kind")
    demo.add_argument("--bulk", type=int, default=10, help="downloads")
    demo.add_argument("--heal-after", type=seconds, metavar="DURATION",
                      help="undo the fault then (800ms, 5s), not when all has settled")
    up = commands.add_parser("up")
    for command in (demo, up):
        command.add_argument("--classic", action="store_true")
        command.add_argument("--wan-adverts-none", action="store_true")
        command.add_argument("--advert-ms", type=int, default=100)
    shell = commands.add_parser("shell")
    shell.add_argument("host")
    execute = commands.add_parser("exec")
    execute.add_argument("host")
    execute.add_argument("argv", nargs=argparse.REMAINDER)
    fault = commands.add_parser("fault")
    fault.add_argument("name", nargs="?")
    fault.add_argument("--list", action="store_true")
    fault.add_argument("--undo", action="store_true")
    fault.add_argument("--node", choices=("r1", "r2"))
    commands.add_parser("status")
    quiet = commands.add_parser("down")
    quiet.add_argument("--quiet", action="store_true")
    return parser


def demo(args):
    fault = faults.get(args.fault)
    if args.classic and fault.tandem_only:
        raise LabError(f"the classic stack has no {fault.name}")
    lab = Lab(default_prefix(), args.classic, args.wan_adverts_none, args.advert_ms)
    with lab:
        progress("== booting the pair")
        lab.up(first=fault.first)
        progress(f"== {lab.active()} is Active; opening {args.sessions} sessions of each kind "
                 f"and {args.bulk} downloads")
        result = run_fault(lab, fault, args.sessions, args.bulk,
                           heal_after_s=args.heal_after)
        if result["failures"]:
            lab.keep_logs("demo")
    print(report.result_text(result))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)
            f.write("\n")
    return 1 if result["failures"] else 0


def up(args):
    lab = Lab(default_prefix(), args.classic, args.wan_adverts_none, args.advert_ms)
    try:
        lab.up()
    except BaseException:
        down(lab.prefix)
        raise
    print(f"{lab.active()} is Active. Look: lab status, lab shell r1, lab fault --list; "
          "end: lab down")
    return 0


def enter(args, argv):
    lab = Lab.attach(default_prefix())
    if lab.topology.ns(args.host) not in lab.topology.existing():
        raise LabError(f"no host {args.host}: client, r1, r2, s1, s2, s3, obs or switch")
    os.environ["debian_chroot"] = args.host  # shows in Debian's prompt
    if args.host in lab.routers and not lab.classic:
        router = lab.routers[args.host]
        os.environ["TANDEM_INSTANCE"] = router.instance
        os.environ["PATH"] = f"{router.sbin_dir}:{os.environ['PATH']}"
    command = in_ns(lab.topology.ns(args.host), argv)
    os.execvp(command[0], command)


def fault(args):
    if args.list or args.name is None:
        for each in faults.FAULTS.values():
            print(f"{each.name:<16}{each.text}")
        return 0
    lab = Lab.attach(default_prefix())
    chosen = faults.get(args.name)
    hurt = os.path.join(lab.run_dir, f"fault-{chosen.name}")  # holds the name of the node
    if args.undo:
        if not os.path.exists(hurt):
            raise LabError(f"{chosen.name} was not done: lab fault {chosen.name}")
        with open(hurt, encoding="ascii") as f:
            node = f.read()
        chosen.recover(lab, node)
        os.remove(hurt)
        print(f"{chosen.name} of {node} undone")
    else:
        node = args.node or lab.active() or "r1"
        chosen.inject(lab, node)
        with open(hurt, "w", encoding="ascii") as f:
            f.write(node)
        print(f"{chosen.name}: {chosen.text} ({node})")
    return 0


def status(_args):
    lab = Lab.attach(default_prefix())
    for node, router in lab.routers.items():
        role = "Active" if router.is_active() else "not Active"
        print(f"{node}: {role}, {len(router.pids())} processes, log {router.run_dir}")
    return 0


def main():
    args = make_parser().parse_args()
    for signo in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signo, interrupted)
    try:
        if args.command == "demo":
            return demo(args)
        if args.command == "up":
            return up(args)
        if args.command == "shell":
            return enter(args, [os.environ.get("SHELL", "/bin/bash")])
        if args.command == "exec":
            return enter(args, args.argv or ["/bin/bash"])
        if args.command == "fault":
            return fault(args)
        if args.command == "status":
            return status(args)
        there = down(default_prefix())
        if not args.quiet:
            print("down" if there else f"no lab called {default_prefix()} was up")
        return 0
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
