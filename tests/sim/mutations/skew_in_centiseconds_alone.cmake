# Skew_Time in whole centiseconds, by RFC 9568.
set(FILE vrrpd/core/vrrp_fsm.c)
set(OLD [==[return (256 - priority) * whole_ns / 256;]==])
set(NEW [==[return (256 - priority) * whole_ns / 256 / NS_PER_CS * NS_PER_CS;]==])
