# Finds the user's LibTorch and wraps it as the target `tenon_libtorch`; no target where there is none.
#
# Its own package first (Torch_DIR, CMAKE_PREFIX_PATH); where that is broken or absent, headers and libraries by name. The headers count
# as system headers: their warnings are not ours.
find_package(Torch QUIET)
if(Torch_FOUND OR TORCH_FOUND)
  set(tenon_torch_includes ${TORCH_INCLUDE_DIRS})
  set(tenon_torch_libraries ${TORCH_LIBRARIES})
  set(tenon_torch_flags ${TORCH_CXX_FLAGS})
else()
  find_path(TENON_TORCH_API_INCLUDE torch/torch.h PATH_SUFFIXES torch/csrc/api/include)
  find_path(TENON_TORCH_INCLUDE ATen/ATen.h)
  find_library(TENON_TORCH_LIBRARY torch)
  find_library(TENON_TORCH_CPU_LIBRARY torch_cpu)
  find_library(TENON_TORCH_C10_LIBRARY c10)
  mark_as_advanced(TENON_TORCH_API_INCLUDE TENON_TORCH_INCLUDE TENON_TORCH_LIBRARY TENON_TORCH_CPU_LIBRARY
                   TENON_TORCH_C10_LIBRARY)
  if(TENON_TORCH_API_INCLUDE AND TENON_TORCH_INCLUDE AND TENON_TORCH_LIBRARY AND TENON_TORCH_CPU_LIBRARY
     AND TENON_TORCH_C10_LIBRARY)
    set(tenon_torch_includes ${TENON_TORCH_INCLUDE} ${TENON_TORCH_API_INCLUDE})
    set(tenon_torch_libraries ${TENON_TORCH_LIBRARY} ${TENON_TORCH_CPU_LIBRARY} ${TENON_TORCH_C10_LIBRARY})
    set(tenon_torch_flags "")
  endif()
endif()

if(tenon_torch_libraries AND NOT TARGET tenon_libtorch)
  separate_arguments(tenon_torch_flags NATIVE_COMMAND "${tenon_torch_flags}")
  add_library(tenon_libtorch INTERFACE)
  target_include_directories(tenon_libtorch SYSTEM INTERFACE ${tenon_torch_includes})
  target_link_libraries(tenon_libtorch INTERFACE ${tenon_torch_libraries})
  target_compile_options(tenon_libtorch INTERFACE ${tenon_torch_flags})
endif()

# tenon_add_torch(<folder of the bridge's sources> <include folder>): defines tenon::torch, static: it is compiled into the program that
# uses it. Called by tenon's own build and by an installed tenonConfig.cmake.
function(tenon_add_torch source_dir include_dir)
  file(GLOB sources CONFIGURE_DEPENDS ${source_dir}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  add_library(tenon_torch STATIC ${sources})
  add_library(tenon::torch ALIAS tenon_torch)
  set_target_properties(tenon_torch PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_features(tenon_torch PUBLIC cxx_std_20)
  target_include_directories(tenon_torch PUBLIC ${include_dir} PRIVATE ${source_dir}/..)
  target_link_libraries(tenon_torch PUBLIC tenon::tenon tenon_libtorch)
  if(TENON_PCH OR NOT DEFINED TENON_PCH) # parsing torch/torch.h takes most of the time that one file takes
    target_precompile_headers(tenon_torch PRIVATE <torch/torch.h>)
    target_compile_options(tenon_torch PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>) # what ccache asks for
  endif()
endfunction()
