td_test(test_ct_wire tests/unit/test_ct_wire.c LINK sync_ct PkgConfig::LIBMNL)
td_test(test_ct_filter tests/unit/test_ct_filter.c LINK sync_ct)

# As root, in namespaces of their own; they skip themselves, with a reason, elsewhere.
foreach(name ct_attributes ct_inject ct_events ct_dump)
  td_test(test_${name} tests/unit/test_${name}.c tests/unit/ct_fixture.c tests/unit/ct_lab.c
    LINK sync_ct td_common)
  set_tests_properties(test_${name} PROPERTIES SKIP_RETURN_CODE 77)
endforeach()
td_test(test_ct_packets tests/unit/test_ct_packets.c tests/unit/ct_lab.c LINK sync_ct)
set_tests_properties(test_ct_packets PROPERTIES SKIP_RETURN_CODE 77)

# Run by tests/bench/bench_conntrack.sh.
add_executable(ct_rate ${CMAKE_SOURCE_DIR}/tests/bench/ct_rate.c)
set_target_properties(ct_rate PROPERTIES C_STANDARD 17
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_compile_options(ct_rate PRIVATE ${TD_WARNINGS})
target_compile_definitions(ct_rate PRIVATE _GNU_SOURCE)
target_link_libraries(ct_rate PRIVATE td_options sync_ct PkgConfig::LIBNFCT)
