# Finds libtorch without find_package(Torch), which adds wrong rpaths, rewrites CUDA flags and does
# not ask for C++20. Looks at LIBTORCH_ROOT (-D or environment), then at the torch of `python3`.
# Provides libtorch::cpu and, where the libraries exist, libtorch::cuda; sets Libtorch_VERSION.

if(NOT LIBTORCH_ROOT)
  if(DEFINED ENV{FACELLM_LIBTORCH})
    set(LIBTORCH_ROOT "$ENV{FACELLM_LIBTORCH}")
  else()
    execute_process(
      COMMAND python3 -c "import importlib.util as u;s=u.find_spec('torch');print(s.submodule_search_locations[0] if s else '')"
      OUTPUT_VARIABLE LIBTORCH_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
endif()
set(LIBTORCH_ROOT "${LIBTORCH_ROOT}" CACHE PATH "folder with libtorch's include and lib")

foreach(name torch torch_cpu c10 torch_cuda c10_cuda)
  find_library(LIBTORCH_${name} ${name} PATHS "${LIBTORCH_ROOT}/lib" NO_DEFAULT_PATH)
endforeach()

set(version_header "${LIBTORCH_ROOT}/include/torch/headeronly/version.h")
if(EXISTS "${version_header}")
  file(STRINGS "${version_header}" lines REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
  foreach(part MAJOR MINOR PATCH)
    string(REGEX MATCH "TORCH_VERSION_${part} ([0-9]+)" unused "${lines}")
    set(Libtorch_${part} "${CMAKE_MATCH_1}")
  endforeach()
  set(Libtorch_VERSION "${Libtorch_MAJOR}.${Libtorch_MINOR}.${Libtorch_PATCH}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libtorch
  REQUIRED_VARS LIBTORCH_torch_cpu LIBTORCH_c10 Libtorch_VERSION
  VERSION_VAR Libtorch_VERSION HANDLE_VERSION_RANGE
  REASON_FAILURE_MESSAGE "set LIBTORCH_ROOT or FACELLM_LIBTORCH to a folder with include/ and lib/")

if(Libtorch_FOUND AND NOT TARGET libtorch::cpu)
  add_library(libtorch::cpu INTERFACE IMPORTED)
  target_include_directories(libtorch::cpu SYSTEM INTERFACE
    "${LIBTORCH_ROOT}/include" "${LIBTORCH_ROOT}/include/torch/csrc/api/include")
  target_link_libraries(libtorch::cpu INTERFACE "${LIBTORCH_torch_cpu}" "${LIBTORCH_c10}")
  target_link_options(libtorch::cpu INTERFACE "LINKER:-rpath,${LIBTORCH_ROOT}/lib")
  # at::parallel_for is a template: compiled without OpenMP it does all its work on the calling thread,
  # silently. The runtime is libtorch's own where it brings one, as a process should have but one.
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  file(GLOB LIBTORCH_openmp "${LIBTORCH_ROOT}/lib/libgomp*.so*")
  if(LIBTORCH_openmp)
    target_compile_options(libtorch::cpu INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${OpenMP_CXX_FLAGS}>)
    target_link_libraries(libtorch::cpu INTERFACE ${LIBTORCH_openmp})
  else()
    target_link_libraries(libtorch::cpu INTERFACE OpenMP::OpenMP_CXX)
  endif()
  if(LIBTORCH_torch_cuda AND LIBTORCH_c10_cuda)
    add_library(libtorch::cuda INTERFACE IMPORTED)
    # The CUDA backend registers itself when loaded: keep it although no symbol is asked of it.
    target_link_libraries(libtorch::cuda INTERFACE libtorch::cpu
      "-Wl,--push-state,--no-as-needed" "${LIBTORCH_torch_cuda}" "${LIBTORCH_c10_cuda}"
      "-Wl,--pop-state")
    file(GLOB nvidia_libraries "${LIBTORCH_ROOT}/../nvidia/*/lib")
    foreach(folder ${nvidia_libraries})
      target_link_options(libtorch::cuda INTERFACE "LINKER:-rpath,${folder}")
    endforeach()
  endif()
endif()
