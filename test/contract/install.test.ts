/** Finding libtorch: the order of the steps, what each says, and nothing fetched against the user's will. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

describe('contract: finding libtorch', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-install-'));
    mkdirSync(join(folder, 'bin'));
    python('exit 0');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** A python3 on PATH that does as told and leaves a note of every call. */
  function python(script: string): void {
    const path = join(folder, 'bin', 'python3');
    writeFileSync(path, `#!/bin/sh\necho "$*" >>'${folder}/calls'\n${script}\n`);
    chmodSync(path, 0o755);
  }

  /** A folder that looks like libtorch. */
  function libtorch(name: string, minor: number): string {
    const root = join(folder, name);
    const header = join(root, 'include', 'torch', 'headeronly', 'version.h');
    mkdirSync(dirname(header), { recursive: true });
    mkdirSync(join(root, 'lib'));
    const parts = Object.entries({ MAJOR: 2, MINOR: minor, PATCH: 0 });
    writeFileSync(
      header,
      parts.map(([part, value]) => `#define TORCH_VERSION_${part} ${value}\n`).join(''),
    );
    for (const library of ['torch', 'torch_cpu', 'c10']) {
      writeFileSync(join(root, 'lib', `lib${library}.so`), '');
    }
    return root;
  }

  function run(script: string, env: Record<string, string> = {}) {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('FACELLM_'));
    return spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      cwd: ROOT,
      env: {
        ...Object.fromEntries(inherited),
        PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`,
        XDG_CACHE_HOME: join(folder, 'cache'),
        ...env,
      },
    });
  }

  function find(env: Record<string, string> = {}) {
    const { stdout } = run(
      "const m = await import('./scripts/install/find-libtorch.mjs'); console.log(JSON.stringify(m.findLibtorch()));",
      env,
    );
    return JSON.parse(stdout) as {
      readonly steps: readonly { readonly place: string; readonly outcome: string }[];
      readonly found?: { readonly root: string; readonly version: string };
    };
  }

  const BUILD =
    "process.argv[1] = 'x'; const m = await import('./scripts/install/build.mjs'); m.build();";
  const INSTALL = "await import('./scripts/install/install.mjs');";

  it('FACELLM_LIBTORCH, then python3, then the cache; the first that is there wins', () => {
    const [given, own] = [libtorch('given', 11), libtorch('own', 14)];
    const cached = libtorch('cache/facellm/libtorch/2.13.0+cpu/torch', 13);
    libtorch('cache/facellm/libtorch/2.9.0+cpu/torch', 9);
    assert.equal(find().found?.root, cached);
    assert.deepEqual(
      find().steps.map(({ outcome }) => outcome.split(',')[0]),
      ['is not set', 'this python3 has no torch', 'libtorch 2.13.0'],
    );
    python(`echo '${own}'`);
    assert.equal(find().found?.root, own);
    assert.equal(find({ FACELLM_LIBTORCH: given }).found?.root, given);
  });

  it('every step says why it failed, also for versions that are not supported', () => {
    const { steps, found } = find();
    assert.equal(found, undefined);
    assert.match(steps.at(-1)?.outcome ?? '', /cache\/facellm\/libtorch does not exist/);
    for (const minor of [10, 15]) {
      const old = find({ FACELLM_LIBTORCH: libtorch(`minor-${minor}`, minor) });
      assert.equal(old.found, undefined);
      assert.match(old.steps[0]?.outcome ?? '', /2\.11 to 2\.14 are supported/);
    }
    python('echo broken >&2; exit 3');
    assert.match(find().steps[1]?.outcome ?? '', /python3 failed: broken/);
    const { stderr, status } = run(BUILD, { FACELLM_LIBTORCH: '/nowhere' });
    assert.equal(status, 1);
    assert.match(stderr, /\/nowhere does not exist/);
  });

  it('FACELLM_OFFLINE=1 fetches nothing and says what to provide', () => {
    const { stderr, status } = run(BUILD, { FACELLM_OFFLINE: '1' });
    assert.equal(status, 1);
    assert.match(stderr, /FACELLM_OFFLINE=1 forbids fetching it; install torch 2\.11 to 2\.14/);
    assert.match(stderr, /set FACELLM_LIBTORCH to a folder with include\/ and lib\//);
    assert.match(stderr, /this python3 has no torch/);
    assert.doesNotMatch(spawnSync('cat', [join(folder, 'calls')]).stdout.toString(), /pip/);
    assert.equal(existsSync(join(folder, 'cache')), false);
  });

  it('a fetch is announced before it starts, and one that fails leaves nothing', () => {
    python('case "$*" in *pip*) echo "ERROR: no such wheel" >&2; exit 1;; esac');
    const { stderr, status } = run(BUILD, { FACELLM_CUDA: '0' });
    assert.equal(status, 1);
    assert.match(
      stderr,
      /fetching torch \S+\+cpu through pip \(about 200 MB\); FACELLM_OFFLINE=1 forbids/,
    );
    assert.match(stderr, /ERROR: no such wheel/);
    assert.deepEqual(readdirSync(join(folder, 'cache', 'facellm', 'libtorch')), []);
  });

  it('a wheel without CUDA is not taken where CUDA was asked for', () => {
    // As pip does: the wheel goes into the folder after -d.
    python(
      'case "$*" in *pip*) while [ "$1" != -d ]; do shift; done; touch "$2/torch-2.13.0+cpu-x.whl";; *zipfile*) echo "is a build without CUDA" >&2; exit 1;; esac',
    );
    const { stderr, status } = run(BUILD, { FACELLM_CUDA: '1' });
    assert.equal(status, 1);
    assert.match(stderr, /torch==\S+: \S+\.whl is a build without CUDA/);
    assert.match(stderr, /torch>=2\.11,<2\.15: \S+\.whl is a build without CUDA/);
  });

  it('a failing install script does not fail npm install, unless asked to', () => {
    const env = { FACELLM_OFFLINE: '1' };
    const { stderr, status } = run(INSTALL, env);
    assert.equal(status, 0);
    assert.match(stderr, /then run `npx facellm build`/);
    assert.equal(run(INSTALL, { ...env, FACELLM_REQUIRE_BUILD: '1' }).status, 1);
    assert.equal(run(INSTALL, { FACELLM_SKIP_BUILD: '1' }).stderr, '');
  });
});
