/** SIGTERM while a model loads: the process ends, at once or as its handler says, and leaves nothing behind. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { GOLDEN } from '../support/golden.js';

const CHECKPOINT = join(GOLDEN, 'ckpt-300m');
// What npm test has compiled: it starts sooner than the sources do.
const LIB = JSON.stringify(new URL('../../dist/index.js', import.meta.url).href);

/** Loads a model again and again, so that a signal always meets a load, whatever the machine's pace. */
const PROGRAM = `
  const { FaceLlm } = await import(${LIB});
  const abort = new AbortController();
  HANDLER
  console.log('loading');
  try {
    for (;;) {
      const model = await FaceLlm.load(${JSON.stringify(CHECKPOINT)}, { signal: abort.signal });
      await model.dispose();
    }
  } catch (error) {
    console.log(error.message);
    process.exitCode = 5;
  }`;

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

/** Into the addon's own loading, into a model's, and into one of those after it. */
const DELAYS_MS = [0, 100, 700];

describe('SIGTERM while loading', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-terminated-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** @param handler what the program does about SIGTERM */
  function terminated(handler: string, delayMs: number): Promise<End> {
    const program = PROGRAM.replace('HANDLER', handler);
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      env: { ...process.env, TMPDIR: folder },
    });
    let output = '';
    child.stderr.on('data', (text: Buffer) => (output += text.toString()));
    child.stdout.on('data', (text: Buffer) => {
      if (output === '') setTimeout(() => child.kill('SIGTERM'), delayMs);
      output += text.toString();
    });
    return new Promise((resolve) => {
      // 'close' comes when nothing holds its streams open any more, no process of its own either.
      child.once('close', (code, signal) => resolve({ code, signal, output }));
    });
  }

  const cases: readonly (readonly [string, string, End])[] = [
    ['no handler: ends by the signal', '', { code: null, signal: 'SIGTERM', output: 'loading\n' }],
    [
      'process.exit in a handler: that code',
      `process.on('SIGTERM', () => process.exit(7));`,
      { code: 7, signal: null, output: 'loading\n' },
    ],
    [
      'an aborted load: its reason, and then nothing keeps the process',
      `process.once('SIGTERM', () => abort.abort(new Error('told to go')));`,
      { code: 5, signal: null, output: 'loading\ntold to go\n' },
    ],
  ];
  for (const [title, handler, expected] of cases) {
    it(title, async () => {
      const before = readdirSync(CHECKPOINT);
      const ends = await Promise.all(DELAYS_MS.map((delay) => terminated(handler, delay)));
      assert.deepEqual(
        ends,
        DELAYS_MS.map(() => expected),
      );
      assert.deepEqual(readdirSync(folder), []);
      assert.deepEqual(readdirSync(CHECKPOINT), before);
    });
  }
});
