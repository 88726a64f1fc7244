# Own lateness counts as the silence of the peer.
set(FILE vrrpd/core/node.c)
set(OLD [==[if (turn && late_ns > cfg->interval_ns)]==])
set(NEW [==[if (turn && late_ns > INT64_MAX / 2)]==])
