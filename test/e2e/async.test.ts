/** The engine thread from JavaScript's side: responsiveness, cancellation, disposal, workers, exits. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

import { FaceLlm, type FaceLlmError } from '../../lib/index.js';
import * as golden from '../support/golden.js';

const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');
const PHOTO = join(golden.GOLDEN, 'infer-300m', 'images', 'face_square_0.png');
const LONG = { image: PHOTO, question: 'Describe.', maxNewTokens: 30_000 } as const;
// What npm test has compiled: workers do not inherit the TypeScript loader.
const LIB = JSON.stringify(new URL('../../dist/index.js', import.meta.url).href);

/** A program that loads the tiny model and starts an endless answer, then does `rest`. */
function program(rest: string): string {
  return `
    const { FaceLlm } = await import(${LIB});
    const model = await FaceLlm.load(${JSON.stringify(CHECKPOINT)});
    const answer = model.ask(${JSON.stringify(LONG)});
    const pieces = answer[Symbol.asyncIterator]();
    await pieces.next();
    ${rest}`;
}

describe('engine thread', () => {
  let model: FaceLlm;
  beforeEach(async () => {
    model = await FaceLlm.load(CHECKPOINT, { dtype: 'fp32' });
  });
  afterEach(() => model.dispose());

  describe('leaves the event loop free', () => {
    /** From one turn of the loop to the next, at its longest, as a share of all the time that `work` takes. */
    async function longestGap(work: () => Promise<unknown>): Promise<number> {
      const startedAt = performance.now();
      let [last, longest, isDone] = [startedAt, 0, false];
      const tick = (): void => {
        const now = performance.now();
        longest = Math.max(longest, now - last);
        last = now;
        if (!isDone) setImmediate(tick);
      };
      setImmediate(tick);
      await work();
      isDone = true;
      tick();
      return longest / (last - startedAt);
    }

    const pictures = Array.from({ length: 400 }, (_, i) => ({
      data: new Uint8Array(56 * 56 * 3).fill(i % 251),
      ...{ width: 56, height: 56 },
    }));
    const works: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['an answer', () => model.ask({ ...LONG, maxNewTokens: 600 }).result()],
      [
        'many prompts',
        () => {
          const content = 'Describe this face. '.repeat(60);
          const chats = Array.from({ length: 40 }, () => [{ role: 'user', content } as const]);
          return model.chatBatch(chats, { maxNewTokens: 1, reusePrefix: false });
        },
      ],
      ['many tiles', () => model.embedImages(pictures)],
    ];
    for (const [title, work] of works) {
      it(`during the work on ${title}: no gap lasts half of it`, async () => {
        await work();
        // Work on the loop itself would be one gap from its beginning to its end, every time;
        // a machine that is busy elsewhere makes one now and then.
        let share = 1;
        for (let attempt = 0; attempt < 5 && share >= 0.5; attempt++) {
          await model.clearCaches();
          share = Math.min(share, await longestGap(work));
        }
        assert.ok(share < 0.5, `a gap of ${(100 * share).toFixed(0)} %`);
      });
    }
  });

  it('an aborted signal rejects with its reason and leaves the model usable', async () => {
    const abort = new AbortController();
    const answer = model.ask({ ...LONG, signal: abort.signal });
    let pieces = 0;
    await assert.rejects(
      async () => {
        for await (const piece of answer) {
          pieces += piece.length > 0 ? 1 : 0;
          if (pieces === 3) abort.abort(new Error('enough'));
        }
      },
      { message: 'enough' },
    );
    await assert.rejects(answer.result(), { message: 'enough' });
    const again = await model.ask({ ...LONG, maxNewTokens: 3 }).result();
    assert.equal(again.tokenIds.length, 3);
  });

  it('a signal aborted beforehand starts nothing', async () => {
    const signal = AbortSignal.abort(new Error('too late'));
    await assert.rejects(model.ask({ ...LONG, signal }).result(), { message: 'too late' });
    await assert.rejects(FaceLlm.load(CHECKPOINT, { signal }), { message: 'too late' });
  });

  it('leaving the loop stops the work', async () => {
    const answer = model.ask(LONG);
    for await (const piece of answer) {
      assert.equal(typeof piece, 'string');
      break;
    }
    await assert.rejects(answer.result(), { name: 'AbortError' });
    // The engine takes jobs in turn: this one would wait for 30,000 tokens otherwise.
    assert.equal((await model.ask({ ...LONG, maxNewTokens: 1 }).result()).tokenIds.length, 1);
  });

  it('a waiting job is cancelled at once, while another runs', async () => {
    const running = model.ask(LONG);
    const pieces = running[Symbol.asyncIterator]();
    await pieces.next();
    const abort = new AbortController();
    const waiting = model.ask({ ...LONG, signal: abort.signal });
    await pieces.next();
    abort.abort(new Error('not needed'));
    await assert.rejects(waiting.result(), { message: 'not needed' });
    assert.equal((await pieces.next()).done, false);
    await pieces.return();
  });

  it('dispose during work rejects it, and can be called again', async () => {
    const answer = model.ask(LONG);
    const pieces = answer[Symbol.asyncIterator]();
    await pieces.next();
    const waiting = model.ask(LONG).result();
    await Promise.all([
      model.dispose(),
      model.dispose(),
      assert.rejects(answer.result(), { code: 'FACELLM_DISPOSED' }),
      assert.rejects(waiting, { code: 'FACELLM_DISPOSED' }),
    ]);
    await model.dispose();
    await assert.rejects(model.ask(LONG).result(), { code: 'FACELLM_DISPOSED' });
    await assert.rejects(model.embedImages([PHOTO]), { code: 'FACELLM_DISPOSED' });
  });

  it('await using disposes', async () => {
    let kept: FaceLlm;
    {
      await using scoped = await FaceLlm.load(CHECKPOINT);
      kept = scoped;
    }
    await assert.rejects(kept.ask(LONG).result(), { code: 'FACELLM_DISPOSED' });
  });

  it('memory that cannot be had, and what does not fit, are said before work', async () => {
    // 64 TB.
    await assert.rejects(FaceLlm.load(CHECKPOINT, { kvMemory: 2 ** 46 }), {
      code: 'FACELLM_INVALID_ARGUMENT',
    });
    await assert.rejects(
      FaceLlm.load(CHECKPOINT, { kvMemory: 1000 }),
      (error: FaceLlmError) =>
        error.code === 'FACELLM_INVALID_ARGUMENT' && /kvMemory.*1000/.test(error.details.join()),
    );
    const small = await FaceLlm.load(CHECKPOINT, { maxContext: 64 });
    await assert.rejects(small.ask({ question: 'word '.repeat(100) }).result(), {
      code: 'FACELLM_PROMPT_TOO_LONG',
    });
    const { tokenIds, promptTokens } = await small.ask({ question: 'Who?' }).result();
    assert.equal(tokenIds.length + promptTokens, 64);
    await small.dispose();
  });

  it('workers have models of their own, and may be terminated in the middle', async () => {
    const source = program(`
      const { parentPort } = await import('node:worker_threads');
      parentPort.postMessage('started');
      for (;;) await pieces.next();`);
    // CommonJS, since a worker's own text is that; what it imports is not.
    const text = `(async () => { ${source} })();`;
    const workers = [1, 2, 3].map(() => new Worker(text, { eval: true }));
    await Promise.all(
      workers.map(
        (worker, i) =>
          new Promise<void>((resolve, reject) => {
            worker.once('error', reject);
            worker.once('message', () => {
              setTimeout(() => void worker.terminate().then(() => resolve()), 5 * i);
            });
          }),
      ),
    );
    assert.equal((await model.ask({ ...LONG, maxNewTokens: 2 }).result()).tokenIds.length, 2);
  });

  const exits: readonly (readonly [string, string, number])[] = [
    ['process.exit', 'process.exit(7);', 7],
    [
      'an uncaught exception',
      "setTimeout(() => { throw new Error('on purpose'); }); for (;;) await pieces.next();",
      1,
    ],
    [
      'leaving the loop and the end of the program',
      'await pieces.return(); await model.dispose();',
      0,
    ],
    ['a forgotten model', 'await pieces.return();', 0],
  ];
  for (const [name, rest, status] of exits) {
    it(`${name} in the middle of work ends the process cleanly`, () => {
      const run = spawnSync(process.execPath, ['--input-type=module', '-e', program(rest)], {
        encoding: 'utf8',
        cwd: join(import.meta.dirname, '..', '..'),
      });
      assert.equal(run.signal, null, run.stderr);
      assert.equal(run.status, status, run.stderr);
    });
  }

  it('a model that was loaded, never asked and never disposed of keeps no process alive', () => {
    const script = `
      const { FaceLlm } = await import(${LIB});
      await FaceLlm.load(${JSON.stringify(CHECKPOINT)});`;
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      cwd: join(import.meta.dirname, '..', '..'),
      timeout: 60_000,
    });
    assert.equal(run.signal, null, 'still there after a minute');
    assert.equal(run.status, 0, run.stderr);
  });
});
