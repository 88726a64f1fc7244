td_fuzz(fuzz_sync_msg tests/fuzz/fuzz_sync_msg.c sync_core)
td_fuzz(fuzz_flow_wire tests/fuzz/fuzz_flow_wire.c sync_core)
