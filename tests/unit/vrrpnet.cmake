td_test(test_announce_plan tests/unit/test_announce_plan.c LINK neighbour_core)
td_test(test_neighbour_wire tests/unit/test_neighbour_wire.c LINK neighbour_core)

# Drives the kernel side in namespaces for tests/lab/test_fence.py and test_link.py.
add_executable(vrrp_net_driver ${CMAKE_SOURCE_DIR}/tests/lab/vrrp_net_driver.c)
set_target_properties(vrrp_net_driver PROPERTIES C_STANDARD 17 C_EXTENSIONS ON
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_compile_options(vrrp_net_driver PRIVATE ${TD_WARNINGS})
target_compile_definitions(vrrp_net_driver PRIVATE _GNU_SOURCE)
target_link_libraries(vrrp_net_driver PRIVATE vrrp_net PkgConfig::CAPNG)
