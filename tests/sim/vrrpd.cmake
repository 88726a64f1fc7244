td_shell(sim_vrrp_world
  tests/sim/vrrp/coverage.c
  tests/sim/vrrp/faults.c
  tests/sim/vrrp/independent.c
  tests/sim/vrrp/invariants.c
  tests/sim/vrrp/machine.c
  tests/sim/vrrp/network.c
  tests/sim/vrrp/pair.c
  tests/sim/vrrp/run.c
  tests/sim/vrrp/world.c)

# A short run; tests/sim/vrrp/README.md has the long one.
td_test(sim_vrrp tests/sim/vrrp/main.c LINK sim_vrrp_world vrrp_core)

td_test(sim_vrrp_former_life tests/sim/vrrp/test_former_life.c
  LINK sim_vrrp_world vrrp_core)

# td_mutant(NAME MAIN EXPECT ARGUMENTS...) - a copy of the core with the one
# change of tests/sim/mutations/NAME.cmake, linked into a test program of its own: the test
# passes if that program finds it. Nothing of it is in what is installed.
function(td_mutant name main expect)
  set(COMPILE "")
  set(mutation ${CMAKE_SOURCE_DIR}/tests/sim/mutations/${name}.cmake)
  include(${mutation})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${mutation})
  set(dir ${CMAKE_BINARY_DIR}/mutants/${name})
  add_custom_command(OUTPUT ${dir}/${FILE}
    COMMAND ${CMAKE_COMMAND} -DMUTATION=${mutation} -DSOURCE_DIR=${CMAKE_SOURCE_DIR}
      -DOUT_DIR=${dir} -P ${CMAKE_SOURCE_DIR}/tests/sim/mutations/mutate.cmake
    DEPENDS ${mutation} ${CMAKE_SOURCE_DIR}/${FILE}
      ${CMAKE_SOURCE_DIR}/tests/sim/mutations/mutate.cmake VERBATIM)
  if(NOT COMPILE)
    set(COMPILE ${dir}/${FILE})
  else()
    # the mutation is in a header: the source that reads it finds the copy first
    set(header ${dir}/${FILE})
  endif()
  # Of the real core the linker takes only what the mutated source does not define.
  td_program(mutant_${name} ${CMAKE_SOURCE_DIR}/${main} ${COMPILE} ${header})
  target_include_directories(mutant_${name} BEFORE PRIVATE ${dir})
  target_compile_definitions(mutant_${name} PRIVATE TD_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  target_link_libraries(mutant_${name} PRIVATE sim_vrrp_world vrrp_core PkgConfig::CMOCKA)
  set_target_properties(mutant_${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME mutant_${name} COMMAND mutant_${name} ${ARGN})
  set_tests_properties(mutant_${name} PROPERTIES LABELS sim PASS_REGULAR_EXPRESSION
    "${expect}")
endfunction()

# td_sim_mutant(NAME INVARIANT) - the simulator finds it with this check alone.
function(td_sim_mutant name invariant)
  td_mutant(${name} tests/sim/vrrp/main.c "seed [0-9]+ failed: ${invariant}"
    --seeds 1000 --failures 1 --check ${invariant})
endfunction()

td_sim_mutant(lease_longer exclusive)
td_sim_mutant(lease_longer_alone exclusive)
td_sim_mutant(renewal_on_receive exclusive)
td_sim_mutant(renewal_without_drain drained)
td_mutant(tie_reversed tests/unit/test_node.c "row \".*equal.*\"")
td_sim_mutant(tie_reversed_alone tie)
td_sim_mutant(skew_in_centiseconds patient)
td_sim_mutant(skew_in_centiseconds_alone patient)
td_mutant(interval_not_learned tests/unit/test_node_life.c
  "FAILED.*test_the_interval_of_the_active_node_is_learned")
td_sim_mutant(interval_not_learned_alone patient)
td_sim_mutant(stale_term stale)
td_sim_mutant(stale_resignation stale)
td_sim_mutant(own_lateness patient)
td_sim_mutant(own_lateness_alone patient)
td_mutant(answer_beside_rival tests/unit/test_node_silence.c
  "FAILED.*test_a_suspended_node_does_not_answer_beside_an_active_one")
td_mutant(stopped_takeover tests/unit/test_node_life.c
  "FAILED.*test_a_takeover_that_was_stopped_on_its_way_reads_and_speaks_again")
