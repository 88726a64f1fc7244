td_fuzz(fuzz_vrrp_advert tests/fuzz/fuzz_vrrp_advert.c vrrp_core)
td_fuzz(fuzz_witness tests/fuzz/fuzz_witness.c vrrp_core)
