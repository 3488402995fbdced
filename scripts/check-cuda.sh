#!/usr/bin/env bash
# Compiles every CUDA kernel for sm_80, sm_90a and later cards (PTX), and every source that knows CUDA with FACELLM_CUDA=1.
# nvcc needs no GPU. A CPU wheel of libtorch holds the CUDA headers but for one generated file, which a
# stub stands in for; nothing is linked or run here.
set -eu
cd "$(dirname "$0")/.."
nvcc=/usr/local/cuda/bin/nvcc
[ -x "$nvcc" ] || nvcc=$(command -v nvcc) || { echo 'skipped: no nvcc on this machine'; exit 0; }
toolkit=$(dirname "$(dirname "$nvcc")")
libtorch=$(node -e "import('./scripts/install/find-libtorch.mjs').then((m) => console.log(m.findLibtorch().found?.root ?? ''))")
[ -n "$libtorch" ] || { echo 'no libtorch'; exit 1; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

for source in native/kernels/*/*_cuda.cu; do
  "$nvcc" -std=c++20 -O2 -Inative -gencode arch=compute_80,code=sm_80 \
    -gencode arch=compute_90a,code=sm_90a -gencode arch=compute_90,code=compute_90 -c "$source" -o "$out/kernel.o"
  echo "compiled $source"
done

mkdir -p "$out/stub/c10/cuda/impl"
printf '#pragma once\n#define C10_CUDA_BUILD_SHARED_LIBS\n' >"$out/stub/c10/cuda/impl/cuda_cmake_macros.h"
grep -lE 'FACELLM_CUDA|cuda_launch' native/*/*.cpp native/kernels/*/*.cpp | while read -r source; do
  c++ -std=c++20 -fsyntax-only -DFACELLM_CUDA=1 -Inative -isystem "$libtorch/include" \
    -isystem "$libtorch/include/torch/csrc/api/include" -isystem "$out/stub" \
    -isystem "$toolkit/include" "$source"
  echo "checked $source"
done

# The transport between GPUs, where NCCL's header and those that c10d's own includes are found: beside a CUDA
# libtorch, or in the folders of FACELLM_NVIDIA_INCLUDE (separated by colons).
includes=$(ls -d "$libtorch"/../nvidia/*/include 2>/dev/null || true)
includes="$includes ${FACELLM_NVIDIA_INCLUDE:+${FACELLM_NVIDIA_INCLUDE//:/ }}"
flags=()
for folder in $includes; do flags+=(-isystem "$folder"); done
if echo '#include <nccl.h>
#include <cusparse.h>
#include <cusolverDn.h>
#include <cublasLt.h>' | c++ -fsyntax-only -x c++ "${flags[@]}" -isystem "$toolkit/include" - 2>"$out/why"; then
  c++ -std=c++20 -fsyntax-only -DUSE_DISTRIBUTED -DUSE_C10D_NCCL -DFACELLM_NCCL=1 -Inative -isystem "$libtorch/include" \
    -isystem "$libtorch/include/torch/csrc/api/include" -isystem "$out/stub" "${flags[@]}" \
    -isystem "$toolkit/include" native/distributed/backend.cpp
  echo 'checked native/distributed/backend.cpp with NCCL'
else
  echo "skipped: NCCL ($(grep -m 1 -o '[a-zA-Z_]*\.h: No such file' "$out/why"))"
fi
