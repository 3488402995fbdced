/** The command line's flags are frozen: adding or renaming one is a decision, made here. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');

function facellm(args: readonly string[], env: Record<string, string> = {}) {
  return spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', ...env },
  });
}

const MODEL = '--model --subfolder --download --device --dtype --weights --threads --no-mmap';
const PROMPT = '--template --system --tiles --limit-area --no-exif --json';
const FACES =
  '--faces --margin --face-size --min-score --min-side --small-faces --orientation --no-align';
const ASKED = `${FACES} --on-no-face`;
const LIMITS = '--max-context --max-rows --kv-memory';
const ENGINE = `${LIMITS} --deterministic`;
const DRAW =
  '--max-new-tokens --min-tokens --greedy --temperature --top-k --top-p --min-p --repetition-penalty ' +
  '--frequency-penalty --presence-penalty --logit-bias --seed --n --stop --top-log-probs --log-probs';
const FLAGS: Readonly<Record<string, string>> = {
  ask: `${MODEL} ${ENGINE} --adapter ${PROMPT} ${ASKED} ${DRAW}`,
  choose: `${MODEL} ${ENGINE} --adapter ${PROMPT} ${ASKED} --choices --items --calibration --seed`,
  plan: `${MODEL} ${LIMITS} ${PROMPT} ${ASKED} --recipe --set --sample-tokens --answer-tokens`,
  faces: `${FACES} --json --csv --save-crops`,
  annotate:
    `${MODEL} ${ENGINE} --adapter ${FACES} --output --attributes --questions --schema --question --max-new-tokens --groups --group-columns --group-from --sheet --sheet-rows --calibration --csv-raw --limit --retry-failed ` +
    '--processes --changed --export --dry-run --max-failures --json',
  download: '--revision --include --output --from --dry-run --json',
  init: '--data --output --dataset --image-root --set --vocabulary --seed --json',
  train:
    '--recipe --model --data --output --dataset --image-root --adapter --download --set --skip-invalid ' +
    '--device --threads --processes --json',
  evaluate:
    `${MODEL} ${ENGINE} ${PROMPT} ${ASKED} --adapter --benchmark --data --output --tuned --setting --labels ` +
    '--columns --split --where --attributes --groups --pairs --reading --limit --skip-invalid --on-failure --gallery --gallery-pictures --calibration ' +
    '--max-new-tokens --batch-size --seed --no-charts --no-deterministic',
  compare:
    `${MODEL} ${ENGINE} ${PROMPT} ${ASKED} --adapter --against --against-adapter --benchmark --data --output --setting --labels ` +
    '--columns --split --where --attributes --groups --pairs --limit --skip-invalid --on-failure ' +
    '--max-new-tokens --batch-size --seed --no-charts --no-deterministic --no-yardstick --max-kl',
  calibrate:
    `${MODEL} ${ENGINE} ${PROMPT} ${ASKED} --adapter --benchmark --data --output --labels --columns --split --where ` +
    '--attributes --groups --schema --question --max-new-tokens --folds --limit --skip-invalid --batch-size --seed --no-charts --no-deterministic',
  quantize:
    '--model --weights --group --adapter --download --output --layout --dtype --max-shard-size --onto-quantised --json',
  merge:
    '--model --adapter --download --output --layout --dtype --max-shard-size --onto-quantised --json',
  card: '--scores --calibration --model --license --json',
  generate:
    '--labels --images --output --teacher --prompts --questions --column --value --where --max-images ' +
    '--skip-invalid --model --adapter --download --base-url --max-tokens --temperature --timeout --seed --device --threads ' +
    '--concurrency --requests-per-minute --tokens-per-minute --max-retries --max-attempts ' +
    '--spending-limit --price-input --price-output --batch --poll --retry-set-aside --license --judge --judge-adapter --judge-threshold --judge-action --judge-sheet-rows ' +
    `--dry-run --json ${ENGINE} ${ASKED}`,
  serve: `--port --max-context --max-rows --kv-memory --image-cache --prefix-cache --max-tokens --default-max-tokens --max-n --max-images --max-image-bytes --max-pixels --max-tiles --max-body --max-bodies --max-decoded --max-queue --max-grammars --max-wait --queue-timeout --header-timeout --body-timeout --answer-timeout --stream-timeout --stall-timeout --stream-interval-ms --drain-timeout --stall-limit --max-batch-file --max-batch-bytes --keep-batches --batches --max-connections --model --adapter --calibration --config --served-name --host --api-keys --deterministic --insecure-no-auth --allow-host --cors-origin --runs --adapters-root --image-hosts --any-image-host --allow-format --default-temperature --unknown-fields --metrics-prefix --subfolder --device --dtype --weights --threads --no-mmap ${ASKED}`,
  batch: `${MODEL} ${ENGINE} --adapter --output --served-name --calibration --ahead --retry-failed --json`,
  keygen: '--rights --json',
  build: '--force',
  doctor: `--model --subfolder --device --dtype --weights ${LIMITS} --json`,
};

describe('contract: command line', () => {
  for (const [command, flags] of Object.entries(FLAGS)) {
    it(`${command} has exactly its flags, and its help loads no addon`, () => {
      // An addon path that does not exist would fail if help looked for it.
      const { stdout, status } = facellm([command, '--help'], { FACELLM_ADDON: '/nowhere' });
      assert.equal(status, 0);
      const shown = [...stdout.matchAll(/^\s+(?:-\w, )?(--[\w-]+)/gm)].map((match) => match[1]);
      assert.deepEqual(shown.sort(), [...flags.split(' '), '--help'].sort());
    });
  }

  it('--version prints the version', () => {
    const { stdout, status } = facellm(['--version'], { FACELLM_ADDON: '/nowhere' });
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
    assert.equal(status, 0);
  });

  it('help, version and usage errors load no package but commander', () => {
    const root = join(import.meta.dirname, '..', '..');
    const recorder = join(root, 'test', 'support', 'record-packages.mjs');
    const folder = mkdtempSync(join(tmpdir(), 'facellm-loaded-'));
    const file = join(folder, 'loaded');
    try {
      for (const args of [['--help'], ['annotate', '--help'], ['--version'], ['ask']]) {
        spawnSync(
          process.execPath,
          ['--import', recorder, join(root, 'dist', 'cli', 'main.js'), ...args],
          { env: { ...process.env, FACELLM_LOADED: file } },
        );
      }
      const loaded = new Set(readFileSync(file, 'utf8').split('\n'));
      assert.deepEqual([...loaded].sort(), ['', 'commander']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('usage errors exit with 2 and say what is missing', () => {
    for (const args of [
      ['ask', 'Hello?'],
      ['ask'],
      ['nonsense'],
      ['ask', 'x', '--model', 'm', '--tiles', '9..3'],
      ['ask', 'x', '--model', 'm', '--kv-memory', '3 apples'],
      ['ask', 'x', '--model', 'm', '--logit-bias', '5'],
      ['ask', 'x', '--model', 'm', '--logit-bias', '5=1', '5=2'],
      ['ask', 'x', '--model', 'm', '--log-probs', 'mine'],
    ]) {
      const { status, stdout, stderr } = facellm(args);
      assert.equal(status, 2, args.join(' '));
      assert.equal(stdout, '');
      assert.notEqual(stderr, '');
    }
  });

  it('an addon that is not built names the remedy', () => {
    const golden = join(import.meta.dirname, '..', 'fixtures', 'golden', 'ckpt-300m');
    const { status, stderr } = facellm(['ask', 'Hello?', '--model', golden], {
      FACELLM_ADDON: '/nowhere',
    });
    assert.equal(status, 1);
    assert.match(stderr, /npx facellm build/);
    assert.match(stderr, /FACELLM_NATIVE_NOT_BUILT/);
  });
});
