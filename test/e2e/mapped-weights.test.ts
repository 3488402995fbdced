/** Weights that lie in the checkpoint's files: what they compute, and what becomes of them when the files change. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { FaceLlm } from '../../lib/index.js';
import * as golden from '../support/golden.js';
import { readRaw, toFp32, writeCheckpoint } from '../support/original-layout.js';

const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');
const SUPPORT = join(import.meta.dirname, '..', 'support');

interface Failure {
  readonly code?: string;
  readonly message?: string;
  readonly answered?: string;
}

interface Report {
  readonly before: string;
  readonly outcome: Failure;
  readonly again: Failure;
  readonly after: string;
}

function isMapped(file: string): boolean {
  return readFileSync('/proc/self/maps', 'utf8').includes(file);
}

describe('mapped weights', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-mapped-'));
    cpSync(CHECKPOINT, folder, { recursive: true });
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  function run(name: string): { readonly signal: string | null; readonly output: string } {
    const child = spawnSync(
      process.execPath,
      [`--import=${join(SUPPORT, 'tsx.mjs')}`, join(SUPPORT, 'mapped-weights.ts'), name, folder],
      { encoding: 'utf8' },
    );
    assert.ok(child.signal !== null || child.status === 0, child.stderr);
    return { signal: child.signal, output: child.stdout };
  }

  function survive(name: string): Report {
    const { signal, output } = run(name);
    assert.equal(signal, null);
    return JSON.parse(output) as Report;
  }

  it('the file is mapped as long as the model lives, and not at all where that is refused', async () => {
    const file = join(folder, 'model.safetensors');
    for (const options of [{ mmap: false }, { dtype: 'fp32' }] as const) {
      const copied = await FaceLlm.load(folder, options);
      assert.ok(!isMapped(file), JSON.stringify(options));
      await copied.dispose();
    }
    const model = await FaceLlm.load(folder);
    assert.ok(isMapped(file));
    await model.dispose();
    assert.ok(!isMapped(file));
  });

  it('every stage is the same number for number, mapped or copied', async () => {
    const one = golden.goldenCases('300m').find(({ name }) => name === 'face_tiled');
    assert.ok(one);
    const prompt = await golden.goldenPrompt(one);
    const tensors = readRaw(CHECKPOINT);
    const asFp32 = new Map([...tensors].map(([key, tensor]) => [key, toFp32(tensor)]));
    for (const [dtype, stored] of [
      ['bf16', tensors],
      ['fp32', asFp32],
    ] as const) {
      const own = join(folder, dtype);
      writeCheckpoint(CHECKPOINT, own, stored);
      const stages = [];
      for (const mmap of [true, false]) {
        const model = await golden.loadNative(own, { dtype, mmap });
        assert.equal(isMapped(own), mmap);
        stages.push(await model.trace(prompt, []).promise);
        await model.dispose().promise;
      }
      const [mapped, copied] = stages;
      assert.ok(mapped !== undefined && mapped.length > 10);
      assert.deepEqual(mapped, copied);
    }
  });

  const damages = [
    [
      'cut short in the middle of an answer',
      'truncatedWhileAnswering',
      /it had \d+ bytes and has 0/,
    ],
    ['cut short between two requests', 'truncatedBetween', /it had \d+ bytes and has 1000/],
    ['written to', 'writtenTo', /it was written to/],
  ] as const;
  for (const [title, name, what] of damages) {
    it(`a file that is ${title}: a typed error from then on, other models go on`, () => {
      const report = survive(name);
      for (const failure of [report.outcome, report.again]) {
        assert.equal(failure.code, 'FACELLM_CHECKPOINT_INVALID');
        assert.match(failure.message ?? '', what);
        assert.match(failure.message ?? '', /load the model again/);
      }
      assert.equal(report.after, report.before);
    });
  }

  it('a file that another one replaces by its name is still the model', () => {
    const report = survive('replaced');
    assert.equal(report.outcome.answered, report.before);
    assert.equal(report.again.answered, report.before);
  });

  it('a SIGBUS of another origin still ends the process', () => {
    // AddressSanitizer has a handler of its own, to which ours passes it on (scripts/asan.sh).
    const expected = process.env['ASAN_OPTIONS'] === undefined ? 'SIGBUS' : 'SIGABRT';
    assert.equal(run('signalled').signal, expected);
  });
});
