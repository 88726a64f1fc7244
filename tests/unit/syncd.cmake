td_test(test_flow_wire tests/unit/test_flow_wire.c LINK sync_core)
td_test(test_shadow tests/unit/test_shadow.c LINK sync_core)
td_test(test_sync_owner tests/unit/test_sync_owner.c LINK sync_core)
td_test(test_sync_ring tests/unit/test_sync_ring.c LINK sync_core)
td_test(test_sync_session tests/unit/test_sync_session.c LINK sync_core)
td_test(test_keys tests/unit/test_keys.c syncd/epoch_file.c
  LINK sync_core sync_keys td_config_check)
td_test(test_channel tests/unit/test_channel.c LINK sync_channel sync_keys td_common)
