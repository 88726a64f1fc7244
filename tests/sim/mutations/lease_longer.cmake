# The lease is one advertisement longer.
set(FILE vrrpd/core/node_view.c)
set(OLD [==[return NODE_LEASE_INTERVALS * cfg->interval_ns;]==])
set(NEW [==[return (NODE_LEASE_INTERVALS + 1) * cfg->interval_ns;]==])
