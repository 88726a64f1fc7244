td_fuzz(fuzz_control tests/fuzz/fuzz_control.c routerd_control)
