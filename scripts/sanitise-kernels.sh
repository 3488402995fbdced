#!/usr/bin/env bash
# Tests of native/kernels/cpu with every level's unit under AddressSanitizer and UndefinedBehaviorSanitizer:
# `bash scripts/sanitise-kernels.sh [GoogleTest's options]`. libtorch is not instrumented.
set -eu
cd "$(dirname "$0")/.."
libtorch=$(node -e "import('./scripts/install/find-libtorch.mjs').then((m) => console.log(m.findLibtorch().found?.root ?? ''))")
[ -n "$libtorch" ] || { echo 'no libtorch'; exit 1; }
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
cmake "${generator[@]}" -S . -B build-sanitised -DLIBTORCH_ROOT="$libtorch" -DFACELLM_CUDA=OFF -DFACELLM_NO_ADDON=ON \
  -DFACELLM_NATIVE_TESTS=ON '-DFACELLM_ASAN_ROOMS=core;kernels' -DFACELLM_SANITISERS=address,undefined >/dev/null
cmake --build build-sanitised -j "${JOBS:-2}" --target facellm_cpu_kernel_tests
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
exec build-sanitised/facellm_cpu_kernel_tests "$@"
