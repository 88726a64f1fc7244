td_test(test_vrrp_fsm tests/unit/test_vrrp_fsm.c LINK vrrp_core)
td_test(test_vrrp_wire tests/unit/test_vrrp_wire.c LINK vrrp_core)
td_test(test_witness tests/unit/test_witness.c LINK vrrp_core)
