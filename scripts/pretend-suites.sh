#!/usr/bin/env bash
# The suites of mocha on the pretend CUDA device (docs/gpu.md) that `npm test` leaves out. Needs what `npm test` has built.
set -eu
cd "$(dirname "$0")/.."
export FACELLM_ADDON="$PWD/build/Release/facellm_pretend.node" FACELLM_TEST_DEVICES=cuda
[ -e "$FACELLM_ADDON" ] || { echo 'skipped: no pretend device (npm test builds it beside a CPU libtorch)'; exit 0; }
[ $# -gt 0 ] || set -- test/golden/{training,train-run,adapters}.test.ts \
  test/property/{generation,caches,adapters,sampled-batches,training}.test.ts test/e2e/{adapters,requests-together,reused-buffers,create-model,training-resume,training-options}.test.ts
exec npx --no-install mocha --timeout 300000 "$@"
