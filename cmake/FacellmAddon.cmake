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
add_library(facellm_binding OBJECT ${binding_sources})
target_include_directories(facellm_binding SYSTEM PRIVATE ${node_includes})
target_compile_definitions(facellm_binding PRIVATE NAPI_VERSION=9 NAPI_CPP_EXCEPTIONS
  # A worker that is being terminated can take no exception: without this the process would abort.
  NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS)
target_link_libraries(facellm_binding PUBLIC facellm_generation facellm_training facellm_faces)
facellm_sanitise(facellm_binding binding)
set_target_properties(facellm_binding PROPERTIES UNITY_BUILD ${FACELLM_UNITY} UNITY_BUILD_BATCH_SIZE 8)

# facellm_addon(NAME OBJECTS...): NAME.node, with these object libraries before all others.
function(facellm_addon name)
  add_library(${name} MODULE)
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".node" LINKER_LANGUAGE CXX
    LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/Release")
  target_link_libraries(${name} PRIVATE ${ARGN} facellm_binding)
  # Node unloads an addon with the last worker that used it; our handler for SIGBUS (core/bus_guard) would go with it.
  target_link_options(${name} PRIVATE LINKER:-z,nodelete)
  facellm_sanitise(${name} binding)
endfunction()

facellm_addon(facellm)
