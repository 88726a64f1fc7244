# A resignation of a stale term is followed.
set(FILE vrrpd/core/node.c)
set(OLD [==[bool current = w->term >= n->term;]==])
set(NEW [==[bool current = w->term > 0;]==])
