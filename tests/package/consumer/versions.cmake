# Versions that the package in FOLDER must not pass for. A script knows no compiler, so none of the usual folders: it is told where.
cmake_minimum_required(VERSION 3.16)
foreach(version 0.2 1 9.1)
  find_package(hansa ${version} CONFIG QUIET PATHS ${FOLDER} NO_DEFAULT_PATH)
  if(hansa_FOUND OR NOT hansa_CONSIDERED_VERSIONS)
    message(FATAL_ERROR "asked for ${version}, considered '${hansa_CONSIDERED_VERSIONS}', found: '${hansa_FOUND}'")
  endif()
endforeach()
