# The interval of the Active Router is not learned.
set(FILE vrrpd/core/vrrp_fsm.c)
set(OLD [==[		r->active_adver_interval_ns = interval_ns;
]==])
set(NEW [==[		r->active_adver_interval_ns =
		    interval_ns > 0 ? cfg->advertisement_interval_ns : 0;
]==])
