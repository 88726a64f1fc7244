td_fuzz(fuzz_neighbour tests/fuzz/fuzz_neighbour.c neighbour_core)
