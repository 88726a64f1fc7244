# Of two equal Active Routers the lower address goes on.
set(FILE vrrpd/core/vrrp_fsm.c)
set(OLD [==[sizeof(cfg->primary.bytes)) > 0;]==])
set(NEW [==[sizeof(cfg->primary.bytes)) < 0;]==])
