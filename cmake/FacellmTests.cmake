# C++ tests, mirrored room by room in test/native. GoogleTest comes from the system or from
# FACELLM_GTEST_SOURCE; without it the tests are skipped by name.
if(FACELLM_GTEST_SOURCE)
  add_subdirectory("${FACELLM_GTEST_SOURCE}" gtest EXCLUDE_FROM_ALL)
  if(NOT TARGET GTest::gtest_main)  # newer versions bring the alias themselves
    add_library(GTest::gtest_main ALIAS gtest_main)
  endif()
else()
  find_package(GTest QUIET)
endif()
include(FacellmKernelTests)
if(TARGET GTest::gtest_main)
  file(GLOB test_sources CONFIGURE_DEPENDS "test/native/*.cpp")
  # Of the binding what knows nothing of Node.
  add_library(facellm_native_test_objects OBJECT ${test_sources} native/binding/engine_thread.cpp)
  target_link_libraries(facellm_native_test_objects PUBLIC facellm_generation facellm_training facellm_distributed facellm_faces GTest::gtest_main)
  target_compile_definitions(facellm_native_test_objects PUBLIC
    FACELLM_FIXTURES="${CMAKE_CURRENT_SOURCE_DIR}/test/fixtures")
  facellm_precompiled(facellm_native_test_objects facellm_core ${test_sources})
  add_executable(facellm_native_tests)
  set_target_properties(facellm_native_tests PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(facellm_native_tests PRIVATE facellm_native_test_objects)

  # What scripts/sanitise-kernels.sh runs: of those tests the ones of kernels/cpu.
  add_executable(facellm_cpu_kernel_tests EXCLUDE_FROM_ALL)
  foreach(test cpu_kernels quantised_kernels cpu_attention row_kernels low_rank spin_team decode_step)
    target_sources(facellm_cpu_kernel_tests PRIVATE "test/native/${test}_test.cpp")
  endforeach()
  target_link_libraries(facellm_cpu_kernel_tests PRIVATE facellm_generation GTest::gtest_main)
  target_compile_definitions(facellm_cpu_kernel_tests PRIVATE FACELLM_FIXTURES="${CMAKE_CURRENT_SOURCE_DIR}/test/fixtures")
  facellm_sanitise(facellm_cpu_kernel_tests kernels)
else()
  message(STATUS "native tests: skipped, no GoogleTest (Debian: libgtest-dev)")
endif()
