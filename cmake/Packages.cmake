# Debian packages: `cpack -G DEB` in the build folder writes libhansa-nccl2, libhansa-nccl-dev and hansa-tools. Everything of the
# library lies below /usr/LIBDIR/hansa, so they stand beside any libnccl2.
find_program(HANSA_GZIP gzip)

# hansa_debian_file(component source folder name): a file that only the package of that component has, compressed if its name says so.
function(hansa_debian_file component source folder name)
  set(file ${PROJECT_SOURCE_DIR}/${source})
  if(name MATCHES "\\.gz$")
    if(NOT HANSA_GZIP)
      return()  # not a machine that builds Debian packages
    endif()
    set(packed ${PROJECT_BINARY_DIR}/debian/${name})
    file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/debian)
    execute_process(COMMAND ${HANSA_GZIP} -9nc ${file} OUTPUT_FILE ${packed} COMMAND_ERROR_IS_FATAL ANY)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    set(file ${packed})
  endif()
  install(FILES ${file} DESTINATION ${folder} RENAME ${name} COMPONENT ${component} EXCLUDE_FROM_ALL)
endfunction()

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libhansa-nccl2)
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libhansa-nccl-dev)
set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME hansa-tools)
foreach(component library dev tools)
  string(TOUPPER ${component} upper)
  set(folder ${CMAKE_INSTALL_DATADIR}/doc/${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
  hansa_debian_file(${component} packaging/debian/copyright ${folder} copyright)
  hansa_debian_file(${component} packaging/debian/changelog ${folder} changelog.Debian.gz)
endforeach()
hansa_debian_file(tools docs/man/hansa.1 ${CMAKE_INSTALL_MANDIR}/man1 hansa.1.gz)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME hansa)
set(CPACK_PACKAGE_VENDOR "the Hansa authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # each package has its own below
if(NOT CPACK_PACKAGE_CONTACT)  # who builds packages for others sets it
  set(CPACK_PACKAGE_CONTACT "The Hansa authors <hansa@packages.invalid>")
endif()
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL library dev tools)
set(CPACK_COMPONENTS_GROUPING IGNORE)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SOURCE hansa)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_RECOMMENDS libfabric1)  # loaded at run time, for traffic between hosts
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
    "libhansa-nccl2 (= ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})")
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_TOOLS_PACKAGE_RECOMMENDS libfabric1)

# The first line is the title; the others are at most 79 wide.
set(CPACK_DEBIAN_LIBRARY_DESCRIPTION "collective communication, in place of NCCL (library)
Hansa moves data between the ranks of a parallel program: allreduce,
broadcast, allgather and the like. Programs built for libnccl.so.2 run on it
unchanged.
.
The library lies in a directory of its own, where nothing finds it by
accident, so it can be installed beside NVIDIA's.")
set(CPACK_DEBIAN_DEV_DESCRIPTION "collective communication, in place of NCCL (development files)
Hansa moves data between the ranks of a parallel program.
.
This package holds the headers nccl.h and hansa/hansa.h, the link for the
linker, and files for CMake and pkg-config. /usr/lib/hansa is what builds
take as NCCL_HOME.")
set(CPACK_DEBIAN_TOOLS_DESCRIPTION "collective communication, in place of NCCL (tools)
Hansa moves data between the ranks of a parallel program.
.
This package holds the command hansa, which runs, checks and explains
collective operations on one machine, and the documentation.")
include(CPack)
