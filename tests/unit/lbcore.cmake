td_test(test_l4_slots tests/unit/test_l4_slots.c LINK l4_core)
td_test(test_l4_table tests/unit/test_l4_table.c LINK l4_core)
td_test(test_nat_ruleset tests/unit/test_nat_ruleset.c LINK nat_core)
td_test(test_health_fsm tests/unit/test_health_fsm.c LINK health_core)
