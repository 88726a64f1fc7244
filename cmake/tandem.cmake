# The build vocabulary of the rooms.
#
#   td_core(NAME SOURCES...)        a pure library: strict ISO C17, every warning an error,
#                                   no sockets, clocks, threads or logging
#   td_shell(NAME SOURCES...)       a library that does I/O: gnu17
#   td_program(NAME SOURCES...)     an installed program: gnu17; children go to libexec
#   td_proto(NAME FILES...)         generated protobuf-c code as a library
#   td_bpf(NAME SOURCE)             a BPF object embedded as symbols NAME_bpf_start/_end
#   td_test(NAME SOURCES... LINK LIBRARIES...)   a cmocka program, run by ctest
#   td_fuzz(NAME SOURCE LIBRARIES...)            a libFuzzer program

set(TD_WARNINGS -Wall -Wextra -Werror -Wshadow -Wvla -Wmissing-prototypes
  -Wstrict-prototypes -Wpointer-arith -Wwrite-strings -Wformat=2)

add_library(td_options INTERFACE)
target_include_directories(td_options INTERFACE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR})
target_compile_options(td_options INTERFACE -fno-strict-aliasing -fstack-protector-strong)
target_compile_definitions(td_options INTERFACE
  TANDEM_VERSION="${PROJECT_VERSION}"
  TANDEM_LIBEXECDIR="${CMAKE_INSTALL_FULL_LIBEXECDIR}/tandem"
  TANDEM_SYSCONFDIR="/etc/tandem"
  TANDEM_RUNDIR="/run/tandem"
  TANDEM_STATEDIR="/var/lib/tandem")
if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo" OR CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(td_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fPIE)
  target_link_options(td_options INTERFACE -Wl,-z,relro,-z,now)
endif()
if(TANDEM_SANITIZE)
  target_compile_options(td_options INTERFACE -fsanitize=address,undefined
    -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(td_options INTERFACE -fsanitize=address,undefined)
  if(NOT TANDEM_FUZZ)
    add_library(sanitizer_reports OBJECT ${CMAKE_SOURCE_DIR}/tests/sanitized/reports.c)
    target_compile_options(sanitizer_reports PRIVATE -fPIE ${TD_WARNINGS})
    target_compile_definitions(sanitizer_reports PRIVATE _GNU_SOURCE
      SANITIZER_REPORTS="${CMAKE_INSTALL_PREFIX}/reports")
    target_link_libraries(td_options INTERFACE $<TARGET_OBJECTS:sanitizer_reports>)
  endif()
  # gcc bounds strings by what it inlines, which is not the same here; the release build judges.
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    list(APPEND TD_WARNINGS -Wno-format-truncation)
  endif()
endif()

if(TANDEM_FUZZ)
  # Without coverage in the libraries the fuzzer is blind to the code under test.
  target_compile_options(td_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# NDEBUG would remove nothing of ours (td_assert is always on), but it must not differ
# between our builds.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")

function(td_core name)
  add_library(${name} STATIC ${ARGN})
  set_target_properties(${name} PROPERTIES C_STANDARD 17 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
  target_compile_options(${name} PRIVATE ${TD_WARNINGS} -Wconversion -Wpedantic)
  target_link_libraries(${name} PUBLIC td_options)
endfunction()

function(td_shell name)
  add_library(${name} STATIC ${ARGN})
  set_target_properties(${name} PROPERTIES C_STANDARD 17 C_STANDARD_REQUIRED ON C_EXTENSIONS ON)
  target_compile_options(${name} PRIVATE ${TD_WARNINGS})
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  target_link_libraries(${name} PUBLIC td_options)
endfunction()

function(td_program name)
  add_executable(${name} ${ARGN})
  set_target_properties(${name} PROPERTIES C_STANDARD 17 C_STANDARD_REQUIRED ON C_EXTENSIONS ON)
  target_compile_options(${name} PRIVATE ${TD_WARNINGS})
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  target_link_libraries(${name} PRIVATE td_options)
endfunction()

find_program(PROTOC_C protoc-c REQUIRED)
function(td_proto name)
  set(out)
  foreach(file ${ARGN})
    get_filename_component(stem ${file} NAME_WE)
    set(c ${CMAKE_CURRENT_BINARY_DIR}/${stem}.pb-c.c)
    add_custom_command(OUTPUT ${c} ${CMAKE_CURRENT_BINARY_DIR}/${stem}.pb-c.h
      COMMAND ${PROTOC_C} --c_out=${CMAKE_CURRENT_BINARY_DIR}
        -I${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${file}
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file} VERBATIM)
    list(APPEND out ${c})
  endforeach()
  add_library(${name} STATIC ${out})
  target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_BINARY_DIR})
  target_link_libraries(${name} PUBLIC td_options PkgConfig::PROTOBUFC)
endfunction()

find_program(BPF_CLANG NAMES clang clang-14 clang-16 clang-18 REQUIRED)
function(td_bpf name source)
  set(o ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  execute_process(COMMAND ${CMAKE_C_COMPILER} -print-multiarch OUTPUT_VARIABLE multiarch
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT multiarch)
    set(multiarch ${CMAKE_SYSTEM_PROCESSOR}-linux-gnu)
  endif()
  add_custom_command(OUTPUT ${o}
    COMMAND ${BPF_CLANG} -target bpf -mcpu=v3 -O2 -g -Wall -Werror
      -I/usr/include/${multiarch} -I${CMAKE_SOURCE_DIR}/include
      -MD -MF ${o}.d -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${o}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source} DEPFILE ${o}.d VERBATIM)
  set(s ${CMAKE_CURRENT_BINARY_DIR}/${name}_bpf.S)
  file(CONFIGURE OUTPUT ${s} CONTENT
".section .rodata\n.balign 16\n.global ${name}_bpf_start\n.global ${name}_bpf_end\n${name}_bpf_start:\n.incbin \"${o}\"\n${name}_bpf_end:\n.section .note.GNU-stack,\"\",%progbits\n" @ONLY)
  set_source_files_properties(${s} PROPERTIES OBJECT_DEPENDS ${o})
  add_library(${name}_bpf STATIC ${s})
  set_target_properties(${name}_bpf PROPERTIES LINKER_LANGUAGE C)
endfunction()

function(td_test name)
  cmake_parse_arguments(T "" "" "LINK" ${ARGN})
  set(sources)
  foreach(source ${T_UNPARSED_ARGUMENTS})
    list(APPEND sources ${CMAKE_SOURCE_DIR}/${source})
  endforeach()
  add_executable(${name} ${sources})
  set_target_properties(${name} PROPERTIES C_STANDARD 17 C_EXTENSIONS ON
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_compile_options(${name} PRIVATE ${TD_WARNINGS})
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE
    TD_SOURCE_DIR="${CMAKE_SOURCE_DIR}" TD_BINARY_DIR="${CMAKE_BINARY_DIR}")
  target_link_libraries(${name} PRIVATE td_options ${T_LINK} PkgConfig::CMOCKA)
  add_test(NAME ${name} COMMAND ${name})
  # the suite of tests/run that it belongs to: tests/unit/... or tests/sim/...
  string(REGEX MATCH "tests/(unit|sim)/" suite "${T_UNPARSED_ARGUMENTS}")
  set_tests_properties(${name} PROPERTIES LABELS "${CMAKE_MATCH_1}")
endfunction()

add_custom_target(fuzzers)

function(td_fuzz name source)
  add_executable(${name} ${CMAKE_SOURCE_DIR}/${source})
  set_target_properties(${name} PROPERTIES C_STANDARD 17 C_EXTENSIONS ON
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  target_compile_options(${name} PRIVATE ${TD_WARNINGS} -fsanitize=fuzzer)
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${name} PRIVATE td_options ${ARGN})
  add_dependencies(fuzzers ${name})
endfunction()
