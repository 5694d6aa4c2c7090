# What `cmake --install` puts where. The tree can be moved: no file in it names a place outside itself.
#
#   bin/hansa                     the command
#   LIBDIR/hansa/                 a prefix of its own, which builds take as NCCL_HOME and nobody finds by accident:
#       include/nccl.h  include/hansa/hansa.h  lib/libnccl.so.2  lib/libnccl.so  lib/pkgconfig/nccl.pc
#   LIBDIR/cmake/hansa/           find_package(hansa CONFIG)
#   LIBDIR/pkgconfig/hansa.pc     pkg-config hansa
#   share/man, share/doc/hansa
#
# Components library, dev and tools are what the Debian packages hold; plain is what these have in a form of their own.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(HANSA_HOME ${CMAKE_INSTALL_LIBDIR}/hansa)
set(HANSA_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/hansa)

# hansa_relative(out from to): the way from one installed folder to another, both below the prefix.
function(hansa_relative out from to)
  cmake_path(ABSOLUTE_PATH from BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX})
  cmake_path(ABSOLUTE_PATH to BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX})
  file(RELATIVE_PATH way ${from} ${to})
  set(${out} ${way} PARENT_SCOPE)
endfunction()

# hansa_install_program(target): a command, which finds the library in the tree it was installed with.
function(hansa_install_program target)
  hansa_relative(way ${CMAKE_INSTALL_BINDIR} ${HANSA_HOME}/lib)
  set_target_properties(${target} PROPERTIES INSTALL_RPATH "$ORIGIN/${way};${CMAKE_INSTALL_RPATH}")
  install(TARGETS ${target} RUNTIME COMPONENT tools)
endfunction()

# hansa_names(target names...): further names of a command, as links: beside it in the build, in HANSA_HOME/bin once installed, where
# they meet nobody else's commands.
function(hansa_names target)
  hansa_relative(way ${HANSA_HOME}/bin ${CMAKE_INSTALL_BINDIR})
  foreach(name IN LISTS ARGN)
    add_custom_command(TARGET ${target} POST_BUILD VERBATIM
                       COMMAND ${CMAKE_COMMAND} -E create_symlink ${target} ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/${name})
    file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/names)
    file(CREATE_LINK ${way}/${target} ${PROJECT_BINARY_DIR}/names/${name} SYMBOLIC)
    install(FILES ${PROJECT_BINARY_DIR}/names/${name} DESTINATION ${HANSA_HOME}/bin COMPONENT tools)
  endforeach()
endfunction()

# hansa_pkg_config(name folder version description): folder/name.pc for HANSA_HOME. No run path: it would lead through the folder of
# the .pc file, which machines that only run programs may lack.
function(hansa_pkg_config name folder version description)
  hansa_relative(home ${folder} ${HANSA_HOME})
  configure_file(${PROJECT_SOURCE_DIR}/cmake/module.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${folder} COMPONENT dev)
endfunction()

# hansa_install(): everything but programs.
function(hansa_install)
  install(TARGETS nccl EXPORT hansa
          LIBRARY DESTINATION ${HANSA_HOME}/lib COMPONENT library NAMELINK_COMPONENT dev
          INCLUDES DESTINATION ${HANSA_HOME}/include)
  file(GLOB abi CONFIGURE_DEPENDS include/*.h)
  file(GLOB extensions CONFIGURE_DEPENDS include/hansa/*.h)
  install(FILES ${abi} DESTINATION ${HANSA_HOME}/include COMPONENT dev)
  install(FILES ${extensions} DESTINATION ${HANSA_HOME}/include/hansa COMPONENT dev)

  install(EXPORT hansa NAMESPACE hansa:: FILE hansa-targets.cmake DESTINATION ${HANSA_CMAKE_DIR} COMPONENT dev)
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/hansa-config-version.cmake COMPATIBILITY SameMinorVersion)
  hansa_relative(home ${HANSA_CMAKE_DIR} ${HANSA_HOME})
  configure_file(cmake/hansa-config.cmake.in ${PROJECT_BINARY_DIR}/hansa-config.cmake @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/hansa-config.cmake ${PROJECT_BINARY_DIR}/hansa-config-version.cmake
          DESTINATION ${HANSA_CMAKE_DIR} COMPONENT dev)

  get_target_property(abi_version nccl VERSION)
  hansa_pkg_config(hansa ${CMAKE_INSTALL_LIBDIR}/pkgconfig ${PROJECT_VERSION} "${PROJECT_DESCRIPTION}")
  hansa_pkg_config(nccl ${HANSA_HOME}/lib/pkgconfig ${abi_version} "Hansa's drop-in for NCCL")

  install(FILES README.md CONTRIBUTING.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/hansa COMPONENT tools)
  install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/hansa COMPONENT tools PATTERN man EXCLUDE)
  install(FILES LICENSE packaging/debian/copyright DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/hansa COMPONENT plain)
  install(FILES docs/man/hansa.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT plain)
endfunction()
