# libidn2 (domain names in A-labels), which Debian ships without a CMake package: Idn2::idn2.
find_path(IDN2_INCLUDE_DIR idn2.h)
find_library(IDN2_LIBRARY idn2)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Idn2 REQUIRED_VARS IDN2_LIBRARY IDN2_INCLUDE_DIR)
if(Idn2_FOUND AND NOT TARGET Idn2::idn2)
  add_library(Idn2::idn2 UNKNOWN IMPORTED)
  set_target_properties(Idn2::idn2 PROPERTIES
    IMPORTED_LOCATION "${IDN2_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${IDN2_INCLUDE_DIR}")
endif()
