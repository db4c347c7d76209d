# Debian packages (`./dev package`): restante-store, restante-smtp, restante and
# librestante-dev. What they have beside the programs is made from the programs'
# own tables of options: configuration files with every option, and manual pages.
find_program(HELP2MAN help2man)

# A daemon NAME: its unit, its maintainer scripts' directory, the file
# /etc/restante/CONFIG.toml, and restante-NAME(8).
function(restante_daemon target component config directory)
  install(FILES ${directory}/${target}.service DESTINATION lib/systemd/system COMPONENT ${component})
  set(example ${CMAKE_CURRENT_BINARY_DIR}/${config}.toml)
  # What the package sets itself comes last.
  set(own)
  if(EXISTS ${directory}/${config}.toml)
    set(own ${directory}/${config}.toml)
  endif()
  add_custom_command(OUTPUT ${example}
    COMMAND env -i $<TARGET_FILE:${target}> --example-config | cat - ${own} > ${example}
    DEPENDS ${target} ${own} VERBATIM)
  add_custom_target(${target}-example ALL DEPENDS ${example})
  install(FILES ${example} DESTINATION /etc/restante COMPONENT ${component})
  restante_manual(${target} ${component} 8)
endfunction()

function(restante_manual target component section)
  if(NOT HELP2MAN)
    return()
  endif()
  set(page ${CMAKE_CURRENT_BINARY_DIR}/${target}.${section})
  get_target_property(summary ${target} RESTANTE_SUMMARY)
  add_custom_command(OUTPUT ${page}.gz
    COMMAND env -i PATH=/usr/bin ${HELP2MAN} --no-info --section=${section} --name=${summary}
      --output=${page} $<TARGET_FILE:${target}>
    COMMAND gzip -9nf ${page}
    DEPENDS ${target} VERBATIM)
  add_custom_target(${target}-manual ALL DEPENDS ${page}.gz)
  install(FILES ${page}.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${component})
endfunction()

set_target_properties(restante-store PROPERTIES RESTANTE_SUMMARY "mail storage and quota service")
set_target_properties(restante-smtp PROPERTIES RESTANTE_SUMMARY "SMTP and LMTP front end of a mail store")
set_target_properties(restante PROPERTIES RESTANTE_SUMMARY "command line of a mail store")
restante_daemon(restante-store store store ${PROJECT_SOURCE_DIR}/server/package)
restante_daemon(restante-smtp smtp smtp ${PROJECT_SOURCE_DIR}/client/smtp/package)
restante_manual(restante cli 1)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR Restante)
set(CPACK_PACKAGE_CONTACT "Restante <restante@example.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Mail storage backend with quotas over gRPC")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
# The tests' build is the packages' build.
set(CPACK_CMAKE_GENERATOR Ninja)
set(CPACK_COMPONENTS_ALL store smtp cli client)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION mail)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_STORE_PACKAGE_NAME restante-store)
set(CPACK_COMPONENT_STORE_DESCRIPTION "Takes message bodies as streams, keeps them durably, and counts quotas exactly.")
set(CPACK_DEBIAN_STORE_PACKAGE_DEPENDS "adduser, init-system-helpers, procps")
set(CPACK_DEBIAN_STORE_PACKAGE_SUGGESTS librados2)
set(CPACK_DEBIAN_SMTP_PACKAGE_NAME restante-smtp)
set(CPACK_COMPONENT_SMTP_DESCRIPTION "Takes mail by SMTP and LMTP for a Restante store, and answers other MTAs' questions.")
set(CPACK_DEBIAN_SMTP_PACKAGE_DEPENDS "adduser, init-system-helpers, procps")
set(CPACK_DEBIAN_SMTP_PACKAGE_SUGGESTS restante-store)
set(CPACK_DEBIAN_CLI_PACKAGE_NAME restante)
set(CPACK_COMPONENT_CLI_DESCRIPTION "Creates domains and mailboxes, reads and moves mail, and looks after a Restante store.")
set(CPACK_DEBIAN_CLIENT_PACKAGE_NAME librestante-dev)
set(CPACK_DEBIAN_CLIENT_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_CLIENT_DESCRIPTION "What an MTA links, in C++, to deliver into a Restante store; and the API's proto files.")
set(CPACK_DEBIAN_CLIENT_PACKAGE_DEPENDS "libgrpc++-dev, libprotobuf-dev, libabsl-dev, libisal-dev")
# A configuration file that was changed is kept.
file(WRITE ${PROJECT_BINARY_DIR}/package/store/conffiles "/etc/restante/store.toml\n")
file(WRITE ${PROJECT_BINARY_DIR}/package/smtp/conffiles "/etc/restante/smtp.toml\n")
foreach(component store smtp)
  string(TOUPPER ${component} upper)
  set(scripts ${PROJECT_SOURCE_DIR}/server/package)
  if(component STREQUAL smtp)
    set(scripts ${PROJECT_SOURCE_DIR}/client/smtp/package)
  endif()
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA
    ${scripts}/postinst ${scripts}/prerm ${scripts}/postrm ${PROJECT_BINARY_DIR}/package/${component}/conffiles)
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_STRICT_PERMISSION ON)
endforeach()
include(CPack)
