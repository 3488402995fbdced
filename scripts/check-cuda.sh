#!/usr/bin/env bash
# Compiles every CUDA kernel for sm_80, sm_90a and later cards (PTX), holds what ptxas says of it to limits, and compiles
# every source that knows CUDA with FACELLM_CUDA=1.
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

# Dynamic shared memory that a kernel may be launched with: k...SharedBytes of its header, which the host keeps to.
dynamic_bytes() {
  local header="${1%.cu}.h" name
  grep -q 'dynamic_shared<' "$1" || { echo 0; return; }
  name=$(grep -o 'constexpr [a-z0-9_]* k[A-Za-z]*SharedBytes' "$header" | grep -o 'k[A-Za-z]*$') ||
    { echo "$header: no k...SharedBytes, though $1 has dynamic shared memory" >&2; return 1; }
  printf '#include "%s"\n#include <cstdio>\nint main() { std::printf("%%lld", static_cast<long long>(facellm::%s)); }\n' \
    "${header#native/}" "$name" >"$out/bytes.cpp"
  c++ -std=c++20 -Inative "$out/bytes.cpp" -o "$out/bytes" && "$out/bytes"
}

compile() {
  "$nvcc" -std=c++20 -O2 -Inative -Xptxas -v -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90a,code=sm_90a \
    -gencode arch=compute_90,code=compute_90 -x cu -c "$1" -o "$out/kernel.o" 2>"$out/ptxas" || { cat "$out/ptxas"; exit 1; }
  echo "compiled $1"
}

for source in native/kernels/*/*_cuda.cu; do
  compile "$source"
  # What a launch may take unasked; asked for, sm_80 has 163 KB.
  limit=$((48 * 1024))
  ! grep -q cudaFuncAttributeMaxDynamicSharedMemorySize "$source" || limit=$((163 * 1024))
  dynamic=$(dynamic_bytes "$source")
  node scripts/check-ptxas.mjs "$source" "$dynamic" "$limit" < <(c++filt <"$out/ptxas")
done
# The instructions that kernels have functions for, used or not.
compile test/native/cuda_on_cpu/tests/instructions_kernels.cuh

mkdir -p "$out/stub/c10/cuda/impl"
printf '#pragma once\n#define C10_CUDA_BUILD_SHARED_LIBS\n' >"$out/stub/c10/cuda/impl/cuda_cmake_macros.h"
# ATen's headers are read once, ahead of each source; that a source includes them itself where it needs them, builds tell
# (cmake/FacellmPrecompiled.cmake).
host() {
  c++ -std=c++20 -DFACELLM_CUDA=1 -Inative -isystem "$libtorch/include" -isystem "$libtorch/include/torch/csrc/api/include" \
    -isystem "$out/stub" -isystem "$toolkit/include" "$@"
}
echo '#include <ATen/ATen.h>' >"$out/aten.h"
host -x c++-header "$out/aten.h" -o "$out/aten.h.gch"
grep -lE 'FACELLM_CUDA|cuda_launch' native/*/*.cpp native/kernels/*/*.cpp | while read -r source; do
  host -fsyntax-only -Winvalid-pch -Werror=invalid-pch -include "$out/aten.h" "$source"
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
