# facellm.node: the only target that sees Node's headers, which come from npm packages.
find_program(NODE node REQUIRED)
execute_process(
  COMMAND "${NODE}" -p "require('node-api-headers').include_dir+';'+require('node-addon-api').include_dir"
  WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
  OUTPUT_VARIABLE node_includes OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE node_result)
if(NOT node_result EQUAL 0)
  message(FATAL_ERROR "node-api-headers and node-addon-api are not installed: run npm install first")
endif()
file(GLOB binding_sources CONFIGURE_DEPENDS "native/binding/*.cpp")
add_library(facellm MODULE ${binding_sources})
set_target_properties(facellm PROPERTIES PREFIX "" SUFFIX ".node"
  LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/Release")
target_include_directories(facellm SYSTEM PRIVATE ${node_includes})
target_compile_definitions(facellm PRIVATE NAPI_VERSION=9 NAPI_CPP_EXCEPTIONS
  # A worker that is being terminated can take no exception: without this the process would abort.
  NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS)
target_link_libraries(facellm PRIVATE facellm_generation facellm_training)
# Node unloads an addon with the last worker that used it; our handler for SIGBUS (core/bus_guard) would go with it.
target_link_options(facellm PRIVATE LINKER:-z,nodelete)
facellm_sanitise(facellm binding)
