# The interval of the Active node is not learned.
set(FILE vrrpd/core/node.c)
set(OLD [==[	n->peer.interval_ns = ev->advert.interval_ns;
]==])
set(NEW [==[	n->peer.interval_ns = cfg->interval_ns;
]==])
