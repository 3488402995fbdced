/**
 * `npm run bundle`: one archive with what an air-gapped x86-64 GPU server needs beside its own CUDA
 * toolkit, CMake, compiler and libtorch (the torch of its python3, or FACELLM_LIBTORCH): node, the
 * needed packages, headers, sources, tests. `run.sh` in it builds, tests and benchmarks there.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { ROOT, setUp } from './setup.mjs';

const MOST_BYTES = 50e6;
/** Development tools that neither build, test nor benchmark. */
const UNNEEDED =
  /^(typescript|typescript-eslint|eslint.*|@eslint.*|@typescript-eslint|prettier|publint|@publint|@arethetypeswrong|@types|node-gyp|@andrewbranch|@loaderkit|espree|esquery|@humanfs|@humanwhocodes|\.cache)$/;

const RUN = `#!/usr/bin/env bash
# Builds against this machine's libtorch, runs every test on the CPU and, where there is one, the GPU,
# then the benchmark. FACELLM_LIBTORCH names a libtorch other than python3's; OUT is a folder for reports;
# MODEL a checkpoint folder for the benchmark (default: the tiny one, a smoke run).
set -eu
cd "$(dirname "$0")"
export PATH="$PWD/bin:/usr/local/cuda/bin:$PATH"
out="\${OUT:-$PWD/out}"
mkdir -p "$out"
torch="\${FACELLM_LIBTORCH:-$(python3 -c "import importlib.util as u; print(list(u.find_spec('torch').submodule_search_locations)[0])")}"
export FACELLM_LIBTORCH="$torch" FACELLM_OFFLINE=1
jobs=$(nproc)
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
cmake "\${generator[@]}" -S . -B build -DLIBTORCH_ROOT="$torch" -DNODE="$PWD/bin/node" \\
  -DFACELLM_CUDA="\${FACELLM_CUDA_MODE:-AUTO}" -DFACELLM_NATIVE_TESTS=ON \\
  $([ -d googletest ] && echo "-DFACELLM_GTEST_SOURCE=$PWD/googletest") >"$out/configure.log" 2>&1 || { tail -n 30 "$out/configure.log"; exit 1; }
cmake --build build -j "$jobs" >"$out/build.log" 2>&1 || { tail -n 40 "$out/build.log"; exit 1; }
export FACELLM_ADDON="$PWD/build/Release/facellm.node"
node dist/cli/main.js doctor | tee "$out/doctor.log" || true
devices=cpu
device=cpu
if node -e "require('$FACELLM_ADDON').runtimeInfo().promise.then((i) => process.exit(i.gpus.length > 0 ? 0 : 1))"; then
  devices=cpu,cuda
  device=cuda
fi
status=0
FACELLM_TEST_DEVICES=$devices node node_modules/mocha/bin/mocha.js >"$out/mocha.log" 2>&1 || status=1
tail -n 40 "$out/mocha.log"
if [ -x build/facellm_native_tests ]; then
  build/facellm_native_tests --gtest_brief=1 >"$out/native.log" 2>&1 || status=1
  tail -n 5 "$out/native.log"
fi
node --import=./test/support/tsx.mjs benchmarks/main.ts --device $device --threads "$jobs" \${MODEL:+--model "$MODEL"} --out "$out/bench.json" | tee "$out/bench.log"
exit $status
`;

setUp();
const stage = mkdtempSync(join(tmpdir(), 'facellm-bundle-'));
const top = join(stage, 'facellm');
mkdirSync(join(top, 'bin'), { recursive: true });

const tracked = execFileSync('git', ['ls-files'], { cwd: ROOT, encoding: 'utf8' })
  .trim()
  .split('\n');
for (const path of tracked.filter((name) => existsSync(join(ROOT, name)))) {
  mkdirSync(dirname(join(top, path)), { recursive: true });
  cpSync(join(ROOT, path), join(top, path));
}
cpSync(join(ROOT, 'dist'), join(top, 'dist'), { recursive: true });
cpSync(join(ROOT, 'node_modules'), join(top, 'node_modules'), {
  recursive: true,
  verbatimSymlinks: true,
  filter: (path) => {
    const name = path.slice(join(ROOT, 'node_modules').length + 1).split('/')[0] ?? '';
    // Musl's prebuilt libraries are for other systems.
    return !UNNEEDED.test(name) && !/linuxmusl|\.map$/.test(path);
  },
});
cpSync(process.execPath, join(top, 'bin', 'node'));
spawnSync('strip', ['--strip-all', join(top, 'bin', 'node')]);
if (existsSync('/usr/src/googletest')) {
  cpSync('/usr/src/googletest', join(top, 'googletest'), { recursive: true });
}
writeFileSync(join(top, 'run.sh'), RUN);
chmodSync(join(top, 'run.sh'), 0o755);

mkdirSync(join(ROOT, 'bundle'), { recursive: true });
const archive = join(ROOT, 'bundle', 'facellm-linux-x64.tar.xz');
execFileSync('tar', ['-C', stage, '-cJf', archive, 'facellm'], {
  env: { ...process.env, XZ_OPT: '-6 -T2' },
});
rmSync(stage, { recursive: true });
const size = statSync(archive).size;
process.stdout.write(
  `${archive}: ${(size / 1e6).toFixed(1)} MB; unpack it and run facellm/run.sh\n`,
);
if (size > MOST_BYTES) {
  process.stderr.write(`that is over the ${MOST_BYTES / 1e6} MB that a bundle may have\n`);
  process.exitCode = 1;
}
