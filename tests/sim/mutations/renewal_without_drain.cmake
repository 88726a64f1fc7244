# Every send renews, also one from the middle of the sockets.
set(FILE vrrpd/core/node.c)
set(OLD [==[	if (n->role != TD_ROLE_ACTIVE || !n->renew)
		return;]==])
set(NEW [==[	if (n->role != TD_ROLE_ACTIVE)
		return;]==])
