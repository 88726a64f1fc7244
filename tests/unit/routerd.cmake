# Any room's stand-in, for the tests of the processes in tests/lab/test_processes.py.
td_program(fake_room ${CMAKE_SOURCE_DIR}/tests/unit/fake_room.c)
target_link_libraries(fake_room PRIVATE td_room)
set_target_properties(fake_room PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
