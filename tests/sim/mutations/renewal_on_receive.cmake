# The lease counts from what was received.
set(FILE vrrpd/core/node_silence.c)
set(OLD [==[	if (unbound || is_proven(cfg, n, n->round_at))
		round = n->round_at;]==])
set(NEW [==[	if (unbound || is_proven(cfg, n, n->round_at))
		round = n->heard_at;]==])
