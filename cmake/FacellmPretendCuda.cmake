# The product on a CUDA device that is not there (docs/gpu.md): the device, the kernels as C++, and the few sources that know
# FACELLM_CUDA compiled with it set, as objects. Linked before the rooms, their symbols win; the rest is as in any CPU build.
if(FACELLM_HAS_CUDA)
  message(FATAL_ERROR "FACELLM_PRETEND_CUDA: this libtorch has CUDA of its own, and there is room for one; use a CPU libtorch")
endif()
include(FacellmKernelTests)
set(pretend "${CMAKE_CURRENT_SOURCE_DIR}/test/native/pretend_cuda")

file(GLOB pretend_sources CONFIGURE_DEPENDS "${pretend}/*.cpp")
get_property(cuda_sources GLOBAL PROPERTY FACELLM_CUDA_SOURCES)
add_library(facellm_pretend_device OBJECT EXCLUDE_FROM_ALL ${pretend_sources} ${cuda_sources})
target_include_directories(facellm_pretend_device
  # Instead of libtorch's own of these names.
  BEFORE PUBLIC "${pretend}/include" "${pretend}" "${FACELLM_CUDA_ON_CPU}/include" "${FACELLM_CUDA_ON_CPU}"
  PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/native")
# For its tests, too, so that they can read its precompiled header.
target_compile_definitions(facellm_pretend_device PUBLIC FACELLM_CUDA=1)
target_compile_options(facellm_pretend_device PUBLIC -g1)
target_link_libraries(facellm_pretend_device PRIVATE facellm_flags)
facellm_precompiled(facellm_pretend_device facellm_pretend_device ${pretend_sources} ${cuda_sources})
set(FACELLM_PRETEND_OBJECTS facellm_pretend_device facellm_kernels_as_cpp facellm_cuda_on_cpu)

if(NOT FACELLM_NO_ADDON)
  facellm_addon(facellm_pretend ${FACELLM_PRETEND_OBJECTS})
  set_target_properties(facellm_pretend PROPERTIES EXCLUDE_FROM_ALL ON)
endif()

# The suite of GoogleTest once more, and what only this device can tell.
if(TARGET facellm_native_test_objects)
  file(GLOB pretend_tests CONFIGURE_DEPENDS "${pretend}/tests/*.cpp")
  # Objects, as position independent as the device's, whose precompiled header they read.
  add_library(facellm_pretend_test_objects OBJECT EXCLUDE_FROM_ALL ${pretend_tests})
  target_link_libraries(facellm_pretend_test_objects PUBLIC ${FACELLM_PRETEND_OBJECTS} facellm_native_test_objects)
  target_include_directories(facellm_pretend_test_objects PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/test/native")
  facellm_precompiled(facellm_pretend_test_objects facellm_pretend_device ${pretend_tests})
  add_executable(facellm_pretend_tests EXCLUDE_FROM_ALL)
  set_target_properties(facellm_pretend_tests PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(facellm_pretend_tests PRIVATE facellm_pretend_test_objects ${FACELLM_PRETEND_OBJECTS} facellm_native_test_objects)
endif()
