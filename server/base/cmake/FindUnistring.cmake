# libunistring (Unicode normalisation), which Debian ships without a CMake package: Unistring::unistring.
find_path(UNISTRING_INCLUDE_DIR uninorm.h)
find_library(UNISTRING_LIBRARY unistring)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Unistring REQUIRED_VARS UNISTRING_LIBRARY UNISTRING_INCLUDE_DIR)
if(Unistring_FOUND AND NOT TARGET Unistring::unistring)
  add_library(Unistring::unistring UNKNOWN IMPORTED)
  set_target_properties(Unistring::unistring PROPERTIES
    IMPORTED_LOCATION "${UNISTRING_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${UNISTRING_INCLUDE_DIR}")
endif()
