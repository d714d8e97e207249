# The LibTorch bridge and its tests. Built with the user's own LibTorch: its ABI, version and flags are theirs.
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

tenon_add_torch(${PROJECT_SOURCE_DIR}/bridges/torch ${PROJECT_SOURCE_DIR}/include)
tenon_own_code(tenon_torch)
if(NOT PROJECT_IS_TOP_LEVEL)
  set_target_properties(tenon_torch PROPERTIES EXCLUDE_FROM_ALL ON) # built where it is linked
endif()

file(GLOB bridge_tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bridges/torch/*_test.cpp)
if(TENON_TESTS AND bridge_tests)
  tenon_test(torch_tests SOURCES ${bridge_tests} LINK tenon_torch)
  target_include_directories(torch_tests PRIVATE ${PROJECT_SOURCE_DIR}/bridges)
endif()
