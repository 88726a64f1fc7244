# A suspended node answers again beside an Active one.
set(FILE vrrpd/core/node_silence.c)
set(OLD [==[!rival_may_answer(cfg, n, now)]==])
set(NEW [==[(true || !rival_may_answer(cfg, n, now))]==])
