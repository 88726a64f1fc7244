td_test(test_l4_slots tests/unit/test_l4_slots.c LINK l4_core)
td_test(test_l4_table tests/unit/test_l4_table.c LINK l4_core)
td_test(test_nat_ruleset tests/unit/test_nat_ruleset.c LINK nat_core)
td_test(test_health_fsm tests/unit/test_health_fsm.c LINK health_core)
td_test(test_checkd tests/unit/test_checkd.c LINK td_room)
add_dependencies(test_checkd tandem-checkd)

# What tests/lab/test_nat.py and test_lb.py drive; not a test by itself.
add_executable(lb_driver ${CMAKE_SOURCE_DIR}/tests/lab/lb_driver.c)
set_target_properties(lb_driver PROPERTIES C_STANDARD 17 C_EXTENSIONS ON
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_compile_options(lb_driver PRIVATE ${TD_WARNINGS})
target_compile_definitions(lb_driver PRIVATE _GNU_SOURCE)
target_link_libraries(lb_driver PRIVATE td_options lb_engine l4_load PkgConfig::CAPNG)
