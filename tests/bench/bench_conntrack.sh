#!/bin/bash
# Replicas into the kernel: our batches beside one request and one acknowledgement per entry
# through libnetfilter_conntrack, which is how conntrackd commits its cache. They take turns
# in one process; figures are medians (least - most) of the rounds.
set -euo pipefail
cd "$(dirname "$0")/../.."

flows=200000 rounds=7
[ "${1:-}" != --quick ] || { flows=50000 rounds=5; }
program=build/release/tests/ct_rate
[ -x "$program" ] || {
	cmake --preset release >/dev/null
	cmake --build --preset release -t ct_rate >/dev/null
}
"$program" "$flows" "$rounds" | awk -v bar=1.5 '
	{ print; ns[$1] = $2 }
	END {
		ratio = ns["create_nat_singly_acked"] / ns["create_nat"]
		verdict = (ratio >= bar) ? "holds" : "falls short"
		printf "conntrack: %.0fk NATed flows/s created, %.0fk/s updated, ",
			1e6 / ns["create_nat"], 1e6 / ns["update_nat"]
		printf "%.0fk events/s read, %.2fx one request per entry (bar %.1fx) %s\n",
			1e6 / ns["read_event"], ratio, bar, verdict
	}'
