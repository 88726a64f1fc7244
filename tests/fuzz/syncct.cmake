td_fuzz(fuzz_ct_message tests/fuzz/fuzz_ct_message.c sync_ct)
