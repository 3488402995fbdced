# Which transports of c10d the room `distributed` is built with. torch's wheels carry the libraries but not the
# headers of Gloo and NCCL that c10d's own include: Debian's libgloo-dev has Gloo's (headers alone are used),
# torch's nvidia-nccl wheel NCCL's. Without them everything builds; a job then asks for the missing one by name.
set(FACELLM_GLOO "AUTO" CACHE STRING "AUTO, ON or OFF: process groups between CPUs")
set(FACELLM_NCCL "AUTO" CACHE STRING "AUTO, ON or OFF: process groups between GPUs")

# facellm_transport(NAME DEFINES... ) is on when its header is found and its variable is not OFF.
function(facellm_transport name include_dir remedy)
  if(FACELLM_${name} STREQUAL "OFF")
    message(STATUS "${name}: switched off")
  elseif(include_dir)
    target_include_directories(facellm_distributed SYSTEM PRIVATE "${include_dir}")
    target_compile_definitions(facellm_distributed PRIVATE FACELLM_${name}=1 USE_C10D_${name})
    message(STATUS "${name}: headers in ${include_dir}")
  elseif(FACELLM_${name} STREQUAL "ON")
    message(FATAL_ERROR "${name}: no headers; ${remedy}")
  else()
    message(STATUS "${name}: no headers; ${remedy}")
  endif()
endfunction()

target_compile_definitions(facellm_distributed PRIVATE USE_DISTRIBUTED)
find_path(FACELLM_GLOO_INCLUDE gloo/config.h PATHS "${LIBTORCH_ROOT}/include")
facellm_transport(GLOO "${FACELLM_GLOO_INCLUDE}" "install libgloo-dev (Debian) to train on several CPUs")
if(FACELLM_HAS_CUDA)
  set(nvidia "${LIBTORCH_ROOT}/../nvidia")
  find_path(FACELLM_NCCL_INCLUDE nccl.h PATHS "${nvidia}/nccl/include" "${nvidia}/cu13/include" "${LIBTORCH_ROOT}/include")
  facellm_transport(NCCL "${FACELLM_NCCL_INCLUDE}" "install torch's nvidia-nccl package to train on several GPUs")
  # c10d's NCCL header includes cusparse.h, cusolverDn.h and the like, which a bare toolkit may lack.
  file(GLOB cuda_headers "${nvidia}/cu13/include" "${nvidia}/*/include")
  target_include_directories(facellm_distributed SYSTEM PRIVATE ${cuda_headers})
endif()
