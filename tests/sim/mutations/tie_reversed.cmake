# Of two equal Active nodes the one listed last goes on.
set(FILE vrrpd/core/node.c)
set(OLD [==[		return priority > n->priority;
	return cfg->index != 0;]==])
set(NEW [==[		return priority > n->priority;
	return cfg->index == 0;]==])
