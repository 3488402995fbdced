#!/usr/bin/env bash
# The mocha suites on an addon built with AddressSanitizer: `bash scripts/asan.sh [test files...]`.
# ROOMS names the rooms of native/ to instrument (default: all). libtorch and node are not instrumented;
# leaks are not looked for, since node leaves much to the end of its process.
set -eu
cd "$(dirname "$0")/.."
rooms="${ROOMS:-binding;core;kernels;image;checkpoint;layers;model;lora;generation;distributed;training}"
libtorch=$(node -e "import('./scripts/install/find-libtorch.mjs').then((m) => console.log(m.findLibtorch().found?.root ?? ''))")
[ -n "$libtorch" ] || { echo 'no libtorch'; exit 1; }
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
cmake "${generator[@]}" -S . -B build-asan -DLIBTORCH_ROOT="$libtorch" -DNODE="$(command -v node)" \
  -DFACELLM_CUDA=OFF "-DFACELLM_ASAN_ROOMS=$rooms" >/dev/null
cmake --build build-asan -j "${JOBS:-2}" --target facellm
export FACELLM_ADDON="$PWD/build-asan/Release/facellm.node"
# An allocation that the system would refuse must be refused here too: the tests of it rely on that.
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1:max_allocation_size_mb=20000
export LD_PRELOAD="$(c++ -print-file-name=libasan.so)"
[ $# -gt 0 ] || set -- 'test/**/*.test.ts'
exec node --import=./test/support/tsx.mjs node_modules/mocha/lib/cli/cli.js --no-config --timeout 600000 "$@"
