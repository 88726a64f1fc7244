td_test(sim_sync tests/sim/sim_sync.c LINK sync_core)
