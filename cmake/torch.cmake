# The LibTorch bridge, its tests and the examples. Built with the user's own LibTorch: its ABI, version and flags are theirs.
#
# TENON_TORCH: OFF leaves all of it out; ON wants GCC and LibTorch and stops where they are missing; AUTO takes them when they are there.

# GCC only: the headers of LibTorch 1.13 do not compile as C++20 with Clang.
if(TENON_TORCH STREQUAL "AUTO" AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  message(STATUS "tenon: no LibTorch bridge, the compiler is ${CMAKE_CXX_COMPILER_ID} (TENON_TORCH=ON tries anyway)")
  return()
endif()

include(${CMAKE_CURRENT_LIST_DIR}/tenon-libtorch.cmake)
if(NOT TARGET tenon_libtorch)
  if(NOT TENON_TORCH STREQUAL "AUTO")
    message(FATAL_ERROR "tenon: TENON_TORCH is ${TENON_TORCH} and LibTorch was not found; Debian: apt-get install libtorch-dev, "
                        "elsewhere: -DTorch_DIR=<libtorch>/share/cmake/Torch; without the bridge: -DTENON_TORCH=OFF")
  endif()
  message(STATUS "tenon: no LibTorch bridge, LibTorch was not found")
  return()
endif()

file(GLOB bridge_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bridges/torch/*.cpp)
set(bridge_tests ${bridge_sources})
list(FILTER bridge_sources EXCLUDE REGEX "_test\\.cpp$")
list(FILTER bridge_tests INCLUDE REGEX "_test\\.cpp$")

# Static: it is compiled into the program that uses it, with that program's LibTorch.
add_library(tenon_torch STATIC ${bridge_sources})
add_library(tenon::torch ALIAS tenon_torch)
tenon_warnings(tenon_torch)
target_compile_features(tenon_torch PUBLIC cxx_std_20)
target_include_directories(tenon_torch PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                       PRIVATE ${PROJECT_SOURCE_DIR}/bridges)
target_link_libraries(tenon_torch PUBLIC tenon::tenon tenon_libtorch)
# Parsing torch/torch.h takes most of the time that one file takes.
target_precompile_headers(tenon_torch PRIVATE <torch/torch.h>)

if(TENON_TESTS AND bridge_tests)
  add_executable(torch_tests ${bridge_tests})
  tenon_warnings(torch_tests)
  target_include_directories(torch_tests PRIVATE ${PROJECT_SOURCE_DIR}/bridges)
  target_compile_definitions(torch_tests PRIVATE TENON_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(torch_tests PRIVATE tenon_torch GTest::gtest GTest::gtest_main)
  target_precompile_headers(torch_tests REUSE_FROM tenon_torch)
  gtest_discover_tests(torch_tests DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120 PROPERTIES TIMEOUT 300)
endif()

if(TENON_EXAMPLES)
  file(GLOB example_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/*.cpp)
  foreach(source IN LISTS example_sources)
    get_filename_component(name ${source} NAME_WE)
    add_executable(example_${name} ${source})
    tenon_warnings(example_${name})
    target_compile_definitions(example_${name} PRIVATE TENON_EXAMPLE_DATA="${PROJECT_SOURCE_DIR}/examples/data")
    target_link_libraries(example_${name} PRIVATE tenon_torch ZLIB::ZLIB)
    target_precompile_headers(example_${name} REUSE_FROM tenon_torch)
    set_target_properties(example_${name} PROPERTIES OUTPUT_NAME ${name}
                                                     RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples)
  endforeach()
endif()
