/** A program started with any of Node's flags loads a model: its threads inherit what a thread can take. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { workerFlags } from '../../lib/tokenizer/start-worker.js';
import { GOLDEN, TEST_DEVICE } from '../support/golden.js';

const ROOT = join(import.meta.dirname, '..', '..');
const TINY = join(GOLDEN, 'ckpt-300m');
const TOKENIZER = pathToFileURL(join(ROOT, 'dist', 'tokenizer', 'index.js')).href;

const FLAGS: Readonly<Record<string, readonly string[]>> = {
  "V8's": [
    ...['--max-old-space-size=2048', '--max-semi-space-size=32', '--stack-size=900'],
    ...['--expose-gc', '--harmony', '--stack-trace-limit=50', '--allow-natives-syntax'],
  ],
  'without a compiler': ['--jitless'],
  "the whole process's": [
    ...['--title=mine', '--report-on-fatalerror', '--disable-proto=delete', '--v8-pool-size=2'],
    ...['--abort-on-uncaught-exception', '--zero-fill-buffers'],
  ],
  "a thread's": [
    ...['--unhandled-rejections=strict', '--enable-source-maps', '--no-warnings'],
    ...['--conditions=mine', '--trace-warnings'],
  ],
};

describe('flags of node', () => {
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'facellm-flags-'))));
  after(() => rmSync(folder, { recursive: true }));

  const node = (args: readonly string[], env: NodeJS.ProcessEnv = process.env): string => {
    const { stdout, stderr, status } = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      cwd: ROOT,
      env,
    });
    assert.equal(status, 0, `node ${args.join(' ')}\n${stderr}`);
    return stdout;
  };
  const load = (): string => {
    const file = join(folder, 'load.mjs');
    writeFileSync(
      file,
      `import { TokenizerThread } from ${JSON.stringify(TOKENIZER)};
       const thread = await TokenizerThread.load(${JSON.stringify(TINY)});
       process.stdout.write((await thread.encodeSegments([{ text: 'a', trusted: true }])).join());
       await thread.dispose();`,
    );
    return file;
  };

  let plain: string;
  before(() => (plain = node([load()])));

  for (const [whose, flags] of Object.entries(FLAGS)) {
    it(whose, () => assert.equal(node([...flags, load()]), plain));
  }

  it('in NODE_OPTIONS, beside one that a thread cannot take', () => {
    const NODE_OPTIONS = '--max-old-space-size=2048 --title=mine --conditions=mine';
    assert.equal(node([load()], { ...process.env, NODE_OPTIONS }), plain);
  });

  it('a program given as an argument', () => {
    const program = readFileSync(load(), 'utf8');
    assert.equal(node(['--input-type=module', '-e', program]), plain);
  });

  it('modules that every thread begins with are kept', () => {
    const marks = join(folder, 'marks');
    const preload = join(folder, 'preload.mjs');
    writeFileSync(
      preload,
      `import { appendFileSync } from 'node:fs';
       import { threadId } from 'node:worker_threads';
       appendFileSync(${JSON.stringify(marks)}, threadId + '\\n');`,
    );
    node(['--expose-gc', '--import', pathToFileURL(preload).href, load()]);
    assert.equal(readFileSync(marks, 'utf8').split('\n').filter(Boolean).length, 2);
  });

  it('the command line, with all of them at once', () => {
    const picture = join(GOLDEN, 'infer-300m', 'images', 'face_square_0.png');
    const model = ['--model', TINY, '--device', TEST_DEVICE];
    const args = ['ask', picture, 'Hi?', ...model, '--max-new-tokens', '2'];
    const flags = Object.values(FLAGS).flat();
    const main = join(ROOT, 'dist', 'cli', 'main.js');
    assert.equal(
      node([...flags, main, ...args, '--json'])
        .trim()
        .startsWith('{'),
      true,
    );
  });

  it('of a pair, both go or neither', () => {
    const flags = [
      '--title',
      'x',
      '-r',
      './a.cjs',
      '--import=./b.mjs',
      '--loader',
      './c.mjs',
      '-C',
      'd',
    ];
    assert.deepEqual(workerFlags(flags), flags.slice(2));
    assert.deepEqual(workerFlags(['--require']), []);
    assert.deepEqual(workerFlags(['--input-type=module', '-e', 'x', '--inspect=0']), []);
  });

  it('one place starts threads', () => {
    const lib = join(ROOT, 'lib');
    const starting = readdirSync(lib, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .filter((name) => readFileSync(join(lib, name), 'utf8').includes('new Worker('));
    assert.deepEqual(starting, [join('tokenizer', 'start-worker.ts')]);
  });
});
