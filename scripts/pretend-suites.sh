#!/usr/bin/env bash
# The suites of mocha on the pretend CUDA device (docs/gpu.md) that `npm test` leaves out. Needs what `npm test` has built.
set -eu
cd "$(dirname "$0")/.."
export FACELLM_ADDON="$PWD/build/Release/facellm_pretend.node" FACELLM_TEST_DEVICES=cuda
[ -e "$FACELLM_ADDON" ] || { echo 'skipped: no pretend device (npm test builds it beside a CPU libtorch)'; exit 0; }
mocha() { npx --no-install mocha --timeout 300000 "$@"; }
[ $# -eq 0 ] || { mocha "$@"; exit; }

# Two processes, since the pretend device keeps one core busy. Of a long suite the test that a device can change: a disk that is
# full. Learning from hundreds of pictures is the golden runs' arithmetic again, and takes minutes now that training's kernels are
# emulated number by number.
training() {
  local status=0
  mocha test/golden/{training,train-run,answers}.test.ts test/property/training.test.ts \
    test/e2e/{training-resume,training-options}.test.ts || status=1
  mocha --grep 'a full disk ends the run' test/e2e/training.test.ts || status=1
  return $status
}
log=$(mktemp)
trap 'rm "$log"' EXIT
status=0
training >"$log" 2>&1 &
mocha test/golden/{adapters,quantised,quantised-files}.test.ts test/property/{generation,caches,adapters,sampled-batches}.test.ts \
  test/e2e/{adapters,requests-together,reused-buffers,create-model,node-flags,cli-options,engine-bad-input}.test.ts || status=1
wait $! || status=1
cat "$log"
exit $status
