# A room is a folder of src/: its sources make an OBJECT library `tenon_<room>` that sees the hall, the rooms it names, and nothing
# above them; its *_test.cpp files make one test program `<room>_tests`. Sources are found by globbing, so that a new format or cause
# is a new file and no more.

# What holds for every target made of tenon's own sources.
function(tenon_own_code target)
  set_target_properties(${target} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
                                             POSITION_INDEPENDENT_CODE ON)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wswitch-enum)
  if(TENON_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  # GCC 12 warns of faults inside its own standard library after inlining (GCC bugs 105329, 105651, 106199).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds -Wno-maybe-uninitialized)
  endif()
endfunction()

# tenon_room(<name> [generated sources...] [DEPS <lower rooms...>] [LINK <libraries...>])
function(tenon_room room)
  cmake_parse_arguments(ROOM "" "" "DEPS;LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${room}/*.cpp)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(APPEND sources ${ROOM_UNPARSED_ARGUMENTS})
  list(TRANSFORM ROOM_DEPS PREPEND tenon_)
  add_library(tenon_${room} OBJECT ${sources})
  tenon_own_code(tenon_${room})
  target_include_directories(tenon_${room} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(tenon_${room} PUBLIC ${ROOM_DEPS} PRIVATE fmt::fmt-header-only ${ROOM_LINK})
  set_property(GLOBAL APPEND PROPERTY TENON_ROOMS ${room})
  if(TENON_TESTS AND tests)
    tenon_test(${room}_tests SOURCES ${tests})
  endif()
endfunction()

# tenon_test(<name> SOURCES <files...> [LINK <libraries...>]): a program over the whole library, private rooms included. Test names are
# read when CTest starts, so that a build runs no test.
function(tenon_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  tenon_own_code(${name})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE TENON_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE tenon_whole GTest::gtest GTest::gtest_main nlohmann_json::nlohmann_json
                                        fmt::fmt-header-only ${TEST_LINK})
  # Tests are compiled for one run: optimizing them takes longer than it saves. The library they test is optimized.
  target_compile_options(${name} PRIVATE $<$<NOT:$<CONFIG:Debug>>:$<IF:$<CXX_COMPILER_ID:Clang>,-O0,-O1>>)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)
endfunction()
