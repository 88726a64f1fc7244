td_test(test_ct_wire tests/unit/test_ct_wire.c LINK sync_ct PkgConfig::LIBMNL)
td_test(test_ct_filter tests/unit/test_ct_filter.c LINK sync_ct)
td_test(test_ct_kernel tests/unit/test_ct_kernel.c tests/unit/ct_lab.c
  LINK sync_ct td_common)
set_tests_properties(test_ct_kernel PROPERTIES SKIP_RETURN_CODE 77)
td_test(test_ct_packets tests/unit/test_ct_packets.c tests/unit/ct_lab.c LINK sync_ct)
set_tests_properties(test_ct_packets PROPERTIES SKIP_RETURN_CODE 77)
