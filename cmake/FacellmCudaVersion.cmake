# A CUDA runtime of one major version loads no library built for another: told at configure time, not by the linker or,
# worse, when the addon is loaded.

# facellm_check_cuda_version(LIBRARY TOOLKIT): ends the configuration where LIBRARY (libtorch's libc10_cuda.so) needs a
# runtime of another major version than that of the toolkit (such as 13.0.88).
function(facellm_check_cuda_version library toolkit)
  file(STRINGS "${library}" needed REGEX "libcudart\\.so\\.[0-9]+" LIMIT_COUNT 1)
  if(NOT needed MATCHES "libcudart\\.so\\.([0-9]+)")
    return()  # linked statically: nothing to compare
  endif()
  set(libtorch_major "${CMAKE_MATCH_1}")
  string(REGEX MATCH "^[0-9]+" toolkit_major "${toolkit}")
  if(NOT libtorch_major EQUAL toolkit_major)
    message(FATAL_ERROR "CUDA: libtorch was built for CUDA ${libtorch_major}, the toolkit is ${toolkit}; install a toolkit "
      "${libtorch_major}.x and name its nvcc in CUDACXX, or a libtorch built for CUDA ${toolkit_major}, or build for the CPU "
      "with FACELLM_CUDA=0")
  endif()
endfunction()
