td_test(test_addr tests/unit/test_addr.c LINK td_addr)
td_test(test_loop tests/unit/test_loop.c LINK td_common)
td_test(test_log tests/unit/test_log.c LINK td_common)
td_test(test_histogram tests/unit/test_histogram.c LINK td_common)
