#!/usr/bin/env bash
# Compiles every CUDA kernel for sm_80 and sm_90a, and every source that knows CUDA with FACELLM_CUDA=1.
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
    -gencode arch=compute_90a,code=sm_90a -c "$source" -o "$out/kernel.o"
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
