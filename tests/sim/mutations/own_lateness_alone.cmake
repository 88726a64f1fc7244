# Own lateness counts as the silence of the others, by RFC 9568.
set(FILE vrrpd/core/vrrp_fsm.c)
set(OLD [==[instant_diff_ns(now, r->deadline) > interval_ns]==])
set(NEW [==[instant_diff_ns(now, r->deadline) > INT64_MAX / 2 + interval_ns]==])
