# The only place with compiler flags. Everything is built once as position-independent object libraries, of which
# the shared library, the tools and the tests are linked.

set(HANSA_SANITIZE "" CACHE STRING "Sanitizers to build with: see CMakePresets.json")
# Ranks of tests are forked; absurd sizes are refused rather than fatal; a second's sleep at every exit adds up.
set(HANSA_SANITIZER_OPTIONS
    ASAN_OPTIONS=detect_stack_use_after_return=1:allocator_may_return_null=1
    UBSAN_OPTIONS=print_stacktrace=1
    LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/support/leaks_of_others.txt:print_suppressions=0
    "TSAN_OPTIONS=halt_on_error=1 second_deadlock_stack=1 die_after_fork=0 allocator_may_return_null=1 atexit_sleep_ms=50")
option(HANSA_AT_ONCE "Compile several files at once: faster from nothing, slower after a change" ON)
set(HANSA_FUZZ_SECONDS 5 CACHE STRING "How long ctest runs each fuzz target")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 99)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

find_program(HANSA_CCACHE ccache)
if(HANSA_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${HANSA_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${HANSA_CCACHE})
endif()

add_library(hansa_flags INTERFACE)
target_include_directories(hansa_flags INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
target_compile_options(hansa_flags INTERFACE -Wall -Wextra -Wshadow -Wno-unused-parameter -fno-plt)
if(HANSA_WERROR)
  target_compile_options(hansa_flags INTERFACE -Werror)
endif()
# No fused multiply-add where none is written: results are equal bit for bit on every machine.
target_compile_options(hansa_flags INTERFACE -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # GCC 12 sees overlaps in std::string that are not there (GCC bug 105651).
  target_compile_options(hansa_flags INTERFACE -Wno-restrict)
endif()
# Tests, and tools that have little to do, are compiled for the compiler's speed, not theirs: it is most of the suite's time.
set(plain $<BOOL:$<TARGET_PROPERTY:HANSA_PLAIN>>)
if(HANSA_SANITIZE)
  target_compile_options(hansa_flags INTERFACE -fsanitize=${HANSA_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1
                         $<IF:${plain},-O0,-O1>)
  target_link_options(hansa_flags INTERFACE -fsanitize=${HANSA_SANITIZE})
  target_compile_definitions(hansa_flags INTERFACE HANSA_SANITIZED)
  if(HANSA_SANITIZE MATCHES undefined)
    # C callers pass any number as an enum, which is what gets checked; and the check of virtual tables opens
    # descriptors, which the tests of limits take away.
    target_compile_options(hansa_flags INTERFACE -fno-sanitize=enum,vptr)
  endif()
else()
  target_compile_options(hansa_flags INTERFACE $<${plain}:-O1>)
endif()

macro(hansa_dependencies)
  find_package(Threads REQUIRED)
  # Its headers only: src/base/format.cc compiles what they declare.
  find_path(HANSA_FMT fmt/format-inl.h REQUIRED)
  target_include_directories(hansa_flags SYSTEM INTERFACE ${HANSA_FMT})
  find_package(CLI11 REQUIRED)
  find_library(HANSA_SODIUM libsodium.a REQUIRED)
  if(HANSA_TESTS AND CMAKE_CROSSCOMPILING)
    add_subdirectory(/usr/src/googletest googletest EXCLUDE_FROM_ALL)
  elseif(HANSA_TESTS)
    find_package(GTest REQUIRED)
  endif()
  if(HANSA_TESTS)
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    # Loaded at run time; the build asks only whether there is one to put in front of (tests/support/cxi_rules).
    find_library(HANSA_LIBFABRIC NAMES libfabric.so.1 fabric)
  endif()
endmacro()

# hansa_at_once(target...): its files are compiled several at once, which halves the time, most of which goes into headers. They
# must not give two things one name.
function(hansa_at_once)
  set_target_properties(${ARGN} PROPERTIES UNITY_BUILD ${HANSA_AT_ONCE})
endfunction()

# hansa_objects(name sources... [APART]): one part of the library; APART if its files may repeat each other's names.
function(hansa_objects name)
  cmake_parse_arguments(O "APART" "" "" ${ARGN})
  add_library(${name} OBJECT ${O_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PUBLIC hansa_flags)
  if(NOT O_APART)
    hansa_at_once(${name})
  endif()
  set_property(GLOBAL APPEND PROPERTY HANSA_PARTS ${name})
endfunction()

# hansa_vector_code(files...): takes long to compile, so each alone; and the checks for undefined behaviour would make minutes of it,
# while its results are compared bit by bit anyway.
function(hansa_vector_code)
  list(TRANSFORM ARGN PREPEND ${PROJECT_SOURCE_DIR}/)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  if(HANSA_SANITIZE MATCHES undefined)
    set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -fno-sanitize=undefined)
  endif()
endfunction()

# hansa_part(folder [TOOLS]): all of a folder's sources. TOOLS: for tools and tests only, not in the shared library.
function(hansa_part folder)
  cmake_parse_arguments(P "TOOLS" "" "" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cc)
  string(REPLACE "/" "_" name hansa_${folder})
  if(sources)
    hansa_objects(${name} ${sources})
    set_target_properties(${name} PROPERTIES HANSA_TOOLS "${P_TOOLS}")
  endif()
endfunction()

# libnccl.so.2, and hansa_static with the same objects for tools and tests that look inside.
function(hansa_shared_library)
  get_property(parts GLOBAL PROPERTY HANSA_PARTS)
  add_library(hansa_static STATIC)
  target_link_libraries(hansa_static PUBLIC hansa_flags Threads::Threads ${HANSA_SODIUM} ${CMAKE_DL_LIBS})
  add_library(nccl SHARED)
  foreach(part IN LISTS parts)
    target_sources(hansa_static PRIVATE $<TARGET_OBJECTS:${part}>)
    get_target_property(tools ${part} HANSA_TOOLS)
    if(NOT tools)
      target_sources(nccl PRIVATE $<TARGET_OBJECTS:${part}>)
    endif()
  endforeach()
  set_target_properties(nccl PROPERTIES SOVERSION 2 VERSION 2.27.7 LINKER_LANGUAGE CXX
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/hansa)
  set_target_properties(hansa_static PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(nccl PRIVATE hansa_flags Threads::Threads ${HANSA_SODIUM} ${CMAKE_DL_LIBS})
  target_include_directories(nccl INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  if(NOT HANSA_SANITIZE)
    target_link_options(nccl PRIVATE -static-libstdc++ -static-libgcc -Wl,--no-undefined)
  endif()
  target_link_options(nccl PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/src/capi/exports.map
                      -Wl,--exclude-libs,ALL -Wl,-z,nodelete -Wl,-Bsymbolic-functions)
  set_property(TARGET nccl PROPERTY LINK_DEPENDS ${PROJECT_SOURCE_DIR}/src/capi/exports.map)
endfunction()

# hansa_program(name sources...): a command that users run.
function(hansa_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE hansa_static CLI11::CLI11)
  if(NOT HANSA_SANITIZE)
    target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc)
  endif()
  hansa_install_program(${name})
endfunction()

# hansa_add_test(name COMMAND ... [LABELS ...] [TIMEOUT s] [PROCESSORS n]): one CTest entry. When the time is up
# it prints all stacks and dies; a process it leaves behind fails it. The time is what an idle machine needs many times
# over in a release build; slower builds get more.
function(hansa_add_test name)
  cmake_parse_arguments(T "" "TIMEOUT;PROCESSORS" "COMMAND;LABELS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  if(CMAKE_CROSSCOMPILING OR HANSA_SANITIZE)
    math(EXPR T_TIMEOUT "${T_TIMEOUT} * 4")
  endif()
  math(EXPR last_resort "${T_TIMEOUT} + 120")
  set(options "")
  if(HANSA_SANITIZE STREQUAL thread)
    set(options --fixed-addresses)
  endif()
  add_test(NAME ${name} COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tests/support/run_with_stacks ${options}
           ${T_TIMEOUT} ${T_COMMAND})
  # What may take long begins first, so that no core is idle at the end.
  set_tests_properties(${name} PROPERTIES TIMEOUT ${last_resort} COST ${T_TIMEOUT} LABELS "${T_LABELS}"
                       SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
  if(HANSA_SANITIZE)
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "${HANSA_SANITIZER_OPTIONS}")
  endif()
  if(T_PROCESSORS)
    set_tests_properties(${name} PROPERTIES PROCESSORS ${T_PROCESSORS})
  endif()
endfunction()

# hansa_test_headers(source): what nearly every test includes, compiled once.
function(hansa_test_headers source)
  add_executable(hansa_test_headers EXCLUDE_FROM_ALL ${source})
  set_target_properties(hansa_test_headers PROPERTIES HANSA_PLAIN ON)
  target_link_libraries(hansa_test_headers PRIVATE hansa_static GTest::gtest_main)
  target_precompile_headers(hansa_test_headers PRIVATE <gtest/gtest.h> <chrono> <functional> <string> <thread> <vector>)
endfunction()

# hansa_test(name sources... [LIBS ...] [FAST] and hansa_add_test's options): one GoogleTest program; FAST if its own code has much
# to do.
function(hansa_test name)
  cmake_parse_arguments(T "FAST" "TIMEOUT;PROCESSORS" "LABELS;LIBS" ${ARGN})
  add_executable(${name} ${T_UNPARSED_ARGUMENTS})
  if(NOT T_FAST)
    set_target_properties(${name} PROPERTIES HANSA_PLAIN ON)
    target_precompile_headers(${name} REUSE_FROM hansa_test_headers)
  endif()
  target_link_libraries(${name} PRIVATE hansa_static GTest::gtest_main ${T_LIBS})
  hansa_add_test(${name} COMMAND ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:${name}> LABELS ${T_LABELS}
                 TIMEOUT ${T_TIMEOUT} PROCESSORS ${T_PROCESSORS})
endfunction()

# hansa_fuzz(name sources...): a libFuzzer target; ctest runs it for HANSA_FUZZ_SECONDS, from its corpus if it has one.
function(hansa_fuzz name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE hansa_static)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set(corpus ${CMAKE_CURRENT_BINARY_DIR}/${name}.corpus)
  set(seeds "")
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${name}.seeds)
    set(seeds ${CMAKE_CURRENT_SOURCE_DIR}/${name}.seeds)
  endif()
  file(MAKE_DIRECTORY ${corpus})
  hansa_add_test(${name} COMMAND $<TARGET_FILE:${name}> -max_total_time=${HANSA_FUZZ_SECONDS} -rss_limit_mb=1024
                 -timeout=10 -print_final_stats=0 -verbosity=0 -artifact_prefix=${CMAKE_CURRENT_BINARY_DIR}/ ${corpus} ${seeds}
                 LABELS fuzz TIMEOUT 1200)
endfunction()
