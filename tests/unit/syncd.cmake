td_test(test_channel tests/unit/test_channel.c
  LINK sync_channel sync_keys td_common)
