# Any room's stand-in, for the tests of the processes in tests/lab/test_processes.py.
td_program(fake_room ${CMAKE_SOURCE_DIR}/tests/unit/fake_room.c)
target_link_libraries(fake_room PRIVATE td_room)
set_target_properties(fake_room PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)

# Whose report must not be lost, for tests/sanitized/test_reports.py.
if(TANDEM_SANITIZE)
  td_program(plant ${CMAKE_SOURCE_DIR}/tests/sanitized/plant.c)
  target_link_libraries(plant PRIVATE routerd_confine routerd_spawn)
  set_target_properties(plant PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endif()

td_test(test_watch tests/unit/test_watch.c LINK routerd_core)
td_test(test_apply tests/unit/test_apply.c LINK routerd_core)
td_test(test_routerd_view tests/unit/test_routerd_view.c LINK routerd_view)
td_test(test_command_line tests/unit/test_command_line.c LINK ctl_core)
td_test(test_control_wire tests/unit/test_control_wire.c LINK routerd_control)
td_test(test_spawn tests/unit/test_spawn.c LINK routerd_spawn)
td_test(test_confine tests/unit/test_confine.c LINK routerd_confine)
td_test(test_hook_queue tests/unit/test_hook_queue.c LINK routerd_core td_config_check)
td_test(test_track tests/unit/test_track.c LINK routerd_core)
td_test(test_hook_output tests/unit/test_hook_output.c LINK routerd_hooks)
td_test(test_hook_run tests/unit/test_hook_run.c LINK routerd_hooks)
