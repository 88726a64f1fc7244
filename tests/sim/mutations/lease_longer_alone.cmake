# The lease of a router by RFC 9568 is one advertisement longer.
set(FILE vrrpd/core/vrrp_fsm.h)
set(OLD [==[#define VRRP_LEASE_INTERVALS 3]==])
set(NEW [==[#define VRRP_LEASE_INTERVALS 4]==])
set(COMPILE vrrpd/core/vrrp_fsm.c)
