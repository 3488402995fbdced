# The CUDA kernels as C++ for the CPU, with every load and store checked (docs/gpu.md). Neither torch nor a CUDA toolkit is
# needed. facellm_cuda_on_cpu: the emulation; facellm_kernels_on_cpu(): the kernels; facellm_kernel_tests: their tests.
include_guard()
set(FACELLM_CUDA_ON_CPU "${CMAKE_CURRENT_SOURCE_DIR}/test/native/cuda_on_cpu")

file(GLOB emulation_sources CONFIGURE_DEPENDS "${FACELLM_CUDA_ON_CPU}/*.cpp")
add_library(facellm_cuda_on_cpu OBJECT EXCLUDE_FROM_ALL ${emulation_sources})
target_include_directories(facellm_cuda_on_cpu PUBLIC "${FACELLM_CUDA_ON_CPU}" "${FACELLM_CUDA_ON_CPU}/include")
target_compile_options(facellm_cuda_on_cpu PRIVATE -Wall -Wextra -g1)

# What a unit with kernels is compiled with. The sanitizers' calls are answered by the emulation, which is linked instead
# of their runtimes; a product and a sum stay two roundings; places in reports are relative to the repository.
set(FACELLM_KERNEL_OPTIONS -O1 -g1 -ffp-contract=off -fsanitize=thread,alignment
  --param=tsan-instrument-func-entry-exit=0 -fno-optimize-sibling-calls -fno-gnu-unique
  "-ffile-prefix-map=${CMAKE_CURRENT_SOURCE_DIR}/=" "-ffile-prefix-map=${CMAKE_CURRENT_BINARY_DIR}=.")

# facellm_kernels_on_cpu(NAME PATTERN OPTIONS...): an object library of the kernels whose files match, compiled with these options, too.
# A unit includes the .cu file: a build that has CUDA's compiler as well would hand it that.
function(facellm_kernels_on_cpu name pattern)
  file(GLOB kernels CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/native/*_cuda.cu" "${CMAKE_CURRENT_SOURCE_DIR}/native/*/*/*_cuda.cu")
  foreach(kernel ${kernels})
    get_filename_component(stem "${kernel}" NAME_WE)
    if(NOT stem MATCHES "${pattern}")
      continue()
    endif()
    set(unit "${CMAKE_CURRENT_BINARY_DIR}/cuda_on_cpu/${stem}.cpp")
    file(CONFIGURE OUTPUT "${unit}" CONTENT "#include \"${kernel}\"\n")
    list(APPEND units "${unit}")
  endforeach()
  add_library(${name} OBJECT EXCLUDE_FROM_ALL ${units})
  target_include_directories(${name} PRIVATE
    "${FACELLM_CUDA_ON_CPU}" "${FACELLM_CUDA_ON_CPU}/include" "${CMAKE_CURRENT_SOURCE_DIR}/native")
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wno-unknown-pragmas ${FACELLM_KERNEL_OPTIONS} ${ARGN})
endfunction()

facellm_kernels_on_cpu(facellm_kernels_as_cpp .)

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU" OR NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  # The suite is one test, which says why it is skipped.
  set(unavailable "${CMAKE_CURRENT_BINARY_DIR}/cuda_on_cpu/unavailable.cpp")
  file(CONFIGURE OUTPUT "${unavailable}" CONTENT
    "#include <gtest/gtest.h>\nTEST(KernelsOnCpu, All) { GTEST_SKIP() << \"kernels run on the CPU with GCC on Linux only\"; }\n")
endif()
if(TARGET GTest::gtest_main AND unavailable)
  add_executable(facellm_kernel_tests EXCLUDE_FROM_ALL "${unavailable}")
  target_link_libraries(facellm_kernel_tests PRIVATE GTest::gtest_main)
elseif(TARGET GTest::gtest_main)
  file(GLOB kernel_test_sources CONFIGURE_DEPENDS "${FACELLM_CUDA_ON_CPU}/tests/*.cpp")
  # The host's sampler, which needs no torch: the reference of the device's.
  foreach(source generation/sampler generation/score_edits generation/score_scan generation/choice_rules core/cpu_level core/error
      # And the plain kernels of packed weights, which need none either.
      kernels/cpu/scalar_quantised)
    list(APPEND kernel_test_sources "${CMAKE_CURRENT_SOURCE_DIR}/native/${source}.cpp")
  endforeach()
  # Bugs planted into copies of the kernels, so that the checks are checked.
  set(planted "${CMAKE_CURRENT_BINARY_DIR}/cuda_on_cpu/planted.cpp")
  file(GLOB_RECURSE kernel_files CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/native/kernels/*.cu*" "${CMAKE_CURRENT_SOURCE_DIR}/native/kernels/*.h")
  file(GLOB_RECURSE plant CONFIGURE_DEPENDS "${FACELLM_CUDA_ON_CPU}/planted/*.mjs")
  add_custom_command(OUTPUT "${planted}" COMMAND "${NODE}" "${FACELLM_CUDA_ON_CPU}/planted/plant.mjs" "${planted}" DEPENDS ${plant} ${kernel_files})
  add_executable(facellm_kernel_tests EXCLUDE_FROM_ALL ${kernel_test_sources} "${planted}")
  # Objects, so that the emulation's answers to the sanitizers' calls are taken before any runtime's.
  target_link_libraries(facellm_kernel_tests PRIVATE facellm_cuda_on_cpu facellm_kernels_as_cpp GTest::gtest_main)
  target_include_directories(facellm_kernel_tests PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/native" "${FACELLM_CUDA_ON_CPU}/tests")
  target_compile_options(facellm_kernel_tests PRIVATE -Wall -Wextra -Wno-unused-parameter -O1 -ffp-contract=off)
  # Those have kernels of their own.
  file(GLOB checker_tests CONFIGURE_DEPENDS "${FACELLM_CUDA_ON_CPU}/tests/checker_*.cpp")
  set_source_files_properties(${checker_tests} "${planted}" PROPERTIES COMPILE_OPTIONS "-Wno-unknown-pragmas;${FACELLM_KERNEL_OPTIONS}")
  # The kernels of contracted_test.cpp once more, in a namespace of their own, with products fused into sums where this machine can do that.
  include(CheckCXXSourceRuns)
  check_cxx_source_runs("int main() { return __builtin_cpu_supports(\"fma\") ? 0 : 1; }" FACELLM_MACHINE_HAS_FMA)
  if(FACELLM_MACHINE_HAS_FMA)
    facellm_kernels_on_cpu(facellm_kernels_contracted "^(add_rms_norm|swiglu|rope|patchify|embed_patches|low_rank|cross_entropy)_"
      -O2 -ffp-contract=fast -mfma -Dfacellm=contracted)
    target_link_libraries(facellm_kernel_tests PRIVATE facellm_kernels_contracted)
    target_compile_definitions(facellm_kernel_tests PRIVATE FACELLM_CONTRACTED=1)
  endif()
endif()
