# What `cmake --install` lays down: library, headers, CMake package, pkg-config file, and the sources of the LibTorch bridge, which the
# package builds against the user's own LibTorch (its ABI and version are theirs).
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tenon)
install(TARGETS tenon EXPORT tenon-targets FILE_SET HEADERS)
if(TARGET tenon-cli)
  install(TARGETS tenon-cli)
endif()
install(EXPORT tenon-targets NAMESPACE tenon:: DESTINATION ${package_dir})
get_target_property(library_type tenon TYPE)
if(library_type STREQUAL "STATIC_LIBRARY") # then whoever links tenon links what tenon links
  set(TENON_FIND_LINKED "find_dependency(ZLIB)\nfind_dependency(OpenSSL COMPONENTS Crypto)\nfind_dependency(Threads)")
  set(TENON_PC_REQUIRES Requires)
else()
  set(TENON_FIND_LINKED "")
  set(TENON_PC_REQUIRES Requires.private)
endif()
configure_package_config_file(cmake/tenonConfig.cmake.in tenonConfig.cmake INSTALL_DESTINATION ${package_dir}
                              PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_DATADIR)
# Before 1.0 a new minor version may change the interface.
write_basic_package_version_file(tenonConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tenonConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/tenonConfigVersion.cmake
        cmake/tenon-libtorch.cmake DESTINATION ${package_dir})

set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH TENON_PREFIX_FROM_PC ${CMAKE_INSTALL_PREFIX}/${pkgconfig_dir} ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/tenon.pc.in tenon.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tenon.pc DESTINATION ${pkgconfig_dir})

file(GLOB bridge_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bridges/torch/*.cpp ${PROJECT_SOURCE_DIR}/bridges/torch/*.hpp)
list(FILTER bridge_sources EXCLUDE REGEX "_test\\.cpp$")
install(FILES ${bridge_sources} DESTINATION ${CMAKE_INSTALL_DATADIR}/tenon/torch)
install(FILES include/tenon/torch.hpp include/tenon/torch_blueprint.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tenon OPTIONAL)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
