# Runs a thousand seeds under ctest; `sim_vrrp --seeds N --first S` for more.
td_test(sim_vrrp tests/sim/sim_vrrp.c LINK vrrp_core)
