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
