# Skew_Time in whole centiseconds.
set(FILE vrrpd/core/node_view.c)
set(OLD [==[return (256 - cfg->priority) * n->peer.interval_ns / 256;]==])
set(NEW [==[return (256 - cfg->priority) * n->peer.interval_ns / 256 / NS_PER_CS * NS_PER_CS;]==])
