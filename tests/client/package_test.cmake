# Installs the client library into a prefix of its own and builds the
# example with nothing but that: cmake -DBUILD=... -DSOURCE=... -DWORK=... -DGENERATOR=... -P
file(REMOVE_RECURSE ${WORK})
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN}\n${output}")
  endif()
endfunction()
# What the thread sanitizer has to know is in objects; else there are none.
file(WRITE ${WORK}/sanitizer.cmake "link_libraries(${OBJECTS})")
run(${CMAKE_COMMAND} --install ${BUILD} --component client --prefix ${WORK}/prefix)
run(${CMAKE_COMMAND} -G ${GENERATOR} -S ${SOURCE} -B ${WORK}/build -DCMAKE_PREFIX_PATH=${WORK}/prefix
  -DCMAKE_CXX_FLAGS=${FLAGS} -DCMAKE_PROJECT_INCLUDE=${WORK}/sanitizer.cmake -DCMAKE_EXPORT_NO_PACKAGE_REGISTRY=ON -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF)
run(${CMAKE_COMMAND} --build ${WORK}/build)
# Nobody listens on port 1: the program says so and ends.
file(WRITE ${WORK}/message "Subject: x\r\n\r\n")
execute_process(COMMAND ${WORK}/build/deliver 127.0.0.1:1 a@example.org b@example.org
  INPUT_FILE ${WORK}/message RESULT_VARIABLE result ERROR_VARIABLE error TIMEOUT 60)
if(NOT result EQUAL 75 OR NOT error MATCHES "UNAVAILABLE: 127.0.0.1:1")
  message(FATAL_ERROR "deliver: ${result} ${error}")
endif()
