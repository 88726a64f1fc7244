# An Active node yields to a stale term.
set(FILE vrrpd/core/node.c)
set(OLD [==[	if (w->term > n->term) {
		node_yield]==])
set(NEW [==[	if (w->term != n->term) {
		node_yield]==])
