"""Tables for people."""
from .host import MS


def timeline_text(result):
    lines = ["timeline (ms from the fault)"]
    for at, text in result["timeline"]:
        lines.append(f"{(at - result['fault_at']) / MS:>10.1f}  {text}")
    return "\n".join(lines)


LOST_SHOWN = 5


def lost_lines(sessions):
    """Why: how late the agent itself was, and what the kernel knew of each lost session."""
    lines = []
    for s in sessions:
        if s["behind"]:
            lines.append(f"{s['kind']}: {s['behind']} sessions were behind when asked; the "
                         f"agent's own longest pause was {s['late_max_ns'] / MS:.0f} ms")
        for one in s["lost"][:LOST_SHOWN]:
            lines.append(
                f"  lost: port {one['port']} {one['fate']} {one['error']}".rstrip() +
                f", last echo {one['echo_age_ns'] / MS:.0f} ms before, "
                f"{one['unacked_bytes']} bytes unacknowledged, {one['retransmits']} "
                f"retransmissions, RTO {one['rto_us'] / 1000:.0f} ms")
        if len(s["lost"]) > LOST_SHOWN:
            lines.append(f"  and {len(s['lost']) - LOST_SHOWN} more")
    return lines


def sessions_text(result):
    lines = [f"{'sessions':<18}{'opened':>8}{'kept':>8}{'lost':>8}{'longest silence':>18}"]
    for s in result["sessions"]:
        silence = "-" if s["silence_max_ns"] < 0 else f"{s['silence_max_ns'] / MS:.0f} ms"
        lines.append(f"{s['kind']:<18}{s['count']:>8}{s['alive']:>8}"
                     f"{s['count'] - s['alive']:>8}{silence:>18}")
    lines += lost_lines(result["sessions"])
    if result["bulk"]:
        lines.append("")
        lines.append(f"{'downloads':<18}{'begun':>8}{'complete':>10}{'checksum right':>16}"
                     f"{'longest pause':>16}{'done at the fault':>20}")
    for b in result["bulk"]:
        percent = f"{b['mark_percent_min']:.0f}-{b['mark_percent_max']:.0f} %"
        pause = f"{b['pause_max_ns'] / MS:.0f} ms"
        lines.append(f"{b['kind']:<18}{b['count']:>8}{b['complete']:>10}"
                     f"{b['checksum_right']:>16}{pause:>16}{percent:>20}")
    return "\n".join(lines)


def blackouts_text(result):
    lines = [f"{'blackout':<24}{'ms':>8}{'lost':>8}{'of':>9}  remark"]
    for kind, b in result["blackouts"].items():
        remark = f"the machine itself stood still for {b['stall_ms']:.0f} ms of it" \
            if b["stall_ms"] > 0 else ""
        if b["open"]:
            remark = "never answered again"
        lines.append(f"{kind:<24}{b['ms']:>8.0f}{b['lost']:>8}{b['sent']:>9}  {remark}")
    asked = sum(a["questions"] for o in result["observed"] for a in o["asked"])
    lines.append("")
    lines.append(f"observer: {asked} ARP and ND questions for the virtual addresses, "
                 f"{len(result['double_answers'])} answered twice; "
                 f"{len(result['stalls'])} stalls of this machine over 5 ms")
    return "\n".join(lines)


STACKS = {"tandem": "Tandem", "classic": "keepalived + conntrackd + nftables"}


def result_text(result):
    head = (f"{STACKS[result['stack']]}; fault: {result['text']}; Active before: "
            f"{result['active_before']}, after: {result['active_after'] or 'not one router'}")
    parts = [head, timeline_text(result), sessions_text(result), blackouts_text(result)]
    if result["failures"]:
        parts.append("\n".join(["NOT KEPT:"] + [f"  {f}" for f in result["failures"]]))
    else:
        parts.append("every session that should live lived")
    return "\n\n".join(parts)
