/**
 * What no engine can do is refused before work, all at once, by name and with the numbers; nothing hangs, nothing is held, and
 * whoever else asks gets what they would have got. In worker threads as in the main one.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

import {
  type AnswerResult,
  type AskOptions,
  FaceLlm,
  type FaceLlmError,
  type LoadOptions,
} from '../../lib/index.js';
import * as golden from '../support/golden.js';

const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');
const PHOTO = join(golden.GOLDEN, 'infer-300m', 'images', 'face_square_0.png');
const LOAD = { device: golden.TEST_DEVICE, dtype: 'fp32' } as const;
// What npm test has compiled: a worker starts sooner than with the sources.
const LIB = JSON.stringify(new URL('../../dist/index.js', import.meta.url).href);

describe('what the engine cannot do', () => {
  it('absurd limits are refused at loading, all at once and before a file is read', async () => {
    const absurd = { kvMemory: -1, maxContext: 1, maxRows: 4097, deterministic: 'yes' };
    await assert.rejects(
      FaceLlm.load('/nowhere', absurd as unknown as LoadOptions),
      (error: FaceLlmError) => {
        assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
        const named = error.details.map((line) => line.split(':')[0]);
        assert.deepEqual(named, Object.keys(absurd));
        return true;
      },
    );
  });

  it('a pool smaller than one request, and one larger than the machine, with the numbers', async () => {
    for (const [options, message] of [
      [{ kvMemory: 0 }, /kvMemory: 0 bytes hold 0 tokens, a request of \d+ takes \d+; give more/],
      [{ kvMemory: 32_768, maxContext: 64 }, /hold 64 tokens, a request of 64 takes 65536/],
      [
        { kvMemory: Number.MAX_SAFE_INTEGER },
        /kvMemory: \d+ bytes are more than (cpu|cuda) has, \d+/,
      ],
      [{ kvMemory: 2 ** 44, maxRows: 1 }, /more than (cpu|cuda) has/],
    ] as const) {
      await assert.rejects(FaceLlm.load(CHECKPOINT, { ...LOAD, ...options }), {
        code: 'FACELLM_INVALID_ARGUMENT',
        message,
      });
    }
    // One block, and a context of one block less a slot: it fits.
    await using model = await FaceLlm.load(CHECKPOINT, {
      ...LOAD,
      kvMemory: 32_768,
      maxContext: 63,
    });
    const { tokenIds, finishReason } = await model
      .ask({ question: 'Who?', maxNewTokens: 500, minTokens: 3 })
      .result();
    assert.ok(tokenIds.length > 0 && (finishReason === 'length' || finishReason === 'stop'));
    await assert.rejects(model.ask({ question: 'Who is this? '.repeat(30) }).result(), {
      code: 'FACELLM_PROMPT_TOO_LONG',
      message: /the prompt has \d+ tokens.*limit is 63/,
    });
  });

  it('wrong requests among good ones: typed, before a step, and nothing is held', async () => {
    await using model = await FaceLlm.load(CHECKPOINT, { ...LOAD, maxRows: 2 });
    const asked = { image: PHOTO, question: 'Who is this?', maxNewTokens: 12 };
    const plain = await model.ask(asked).result();
    const words = Math.ceil(model.config.model.text.vocabSize / 32);
    const item = { question: 'Who?', choices: ['A', 'B'] };
    const wrong: readonly (readonly [() => Promise<unknown>, RegExp])[] = [
      [() => model.ask({ ...asked, n: 65 }).result(), /^n: /],
      [() => model.ask({ ...asked, maxNewTokens: 0 }).result(), /^maxNewTokens: /],
      [() => model.ask({ ...asked, minTokens: 13 }).result(), /^minTokens: 13 is more than/],
      [
        () => model.ask({ ...asked, logitBias: { 9_999_999: 1 } }).result(),
        /id 9999999 is unknown/,
      ],
      [() => model.ask({ ...asked, logitBias: { 5: NaN } }).result(), /id 5: expected -100\.\.100/],
      [() => model.ask({ ...asked, mask: () => new Uint32Array(words + 1) }).result(), /^mask: /],
      [() => model.ask({ ...asked, mask: () => new Uint32Array(words) }).result(), /forbids every/],
      [() => model.choose({ items: Array.from({ length: 65 }, () => item) }), /^items: /],
      [() => model.choose({ ...item, choices: ['A'] }), /^choices: /],
      [() => model.choose({ ...item, choices: ['A', 'A'] }), /choices\[1\]: "A" is the same/],
    ];
    const good = Array.from({ length: 6 }, () => model.ask(asked).result());
    const ends = await Promise.allSettled(wrong.map(([ask]) => ask()));
    ends.forEach((end, i) => {
      assert.equal(end.status, 'rejected', `${i}`);
      const { code, message, details } = end.reason as FaceLlmError;
      assert.equal(code, 'FACELLM_INVALID_ARGUMENT', message);
      assert.match(details[0] ?? message, wrong[i]?.[1] ?? /^$/);
    });
    for (const one of await Promise.all(good)) assert.deepEqual(one.tokenIds, plain.tokenIds);
    const { usedBlocks, pinnedImages, runningRows, waitingRequests } = await model.stats();
    assert.deepEqual([usedBlocks, pinnedImages, runningRows, waitingRequests], [0, 0, 0, 0]);
  });
});

/** Asks as the main thread does; `endless`: a masked answer that is never over, for one who will be terminated. */
const WORKER = `
const { parentPort, workerData } = require('node:worker_threads');
import(${LIB}).then(async ({ FaceLlm }) => {
  const { checkpoint, load, options, items, image, endless } = workerData;
  const model = await FaceLlm.load(checkpoint, load);
  const words = Math.ceil(model.config.model.text.vocabSize / 32);
  const even = new Uint32Array(words).fill(0x55555555);
  if (endless) {
    const stream = model.ask({ image, question: 'Who?', n: 4, maxNewTokens: 20000, minTokens: 20000, mask: () => even });
    for await (const piece of stream.pieces()) parentPort.postMessage(piece.index);
  }
  const { answers } = await model.ask({ ...options, mask: () => even }).result();
  const results = await model.choose({ image, items });
  await model.ask({ ...options, n: 65 }).result().catch(({ code }) => parentPort.postMessage({ code }));
  const { usedBlocks, runningRows } = await model.stats();
  await model.dispose();
  const ids = answers.map(({ tokenIds }) => tokenIds);
  parentPort.postMessage({ ids, masses: results.map(({ mass }) => mass), held: usedBlocks + runningRows });
});`;

describe('options of answers in worker threads', () => {
  const options: AskOptions = {
    ...{
      image: PHOTO,
      question: 'Who is this?',
      maxNewTokens: 10,
      n: 3,
      seed: 4,
      temperature: 1.3,
    },
    ...{ frequencyPenalty: 1, presencePenalty: 0.5, logitBias: { 6: 3 }, minTokens: 4 },
  };
  const items = [
    { question: 'Smiling?', choices: ['Yes', 'No'] },
    { question: 'How old?', choices: ['young', 'old'] },
  ];
  const start = (endless: boolean): Worker => {
    const data = { checkpoint: CHECKPOINT, load: LOAD, image: PHOTO, options, items, endless };
    return new Worker(WORKER, { eval: true, workerData: data, execArgv: [] });
  };

  it('give what they give in the main thread, while another worker is terminated in the middle', async () => {
    await using model = await FaceLlm.load(CHECKPOINT, LOAD);
    const words = Math.ceil(model.config.model.text.vocabSize / 32);
    const even = new Uint32Array(words).fill(0x55555555);
    const wanted: AnswerResult = await model.ask({ ...options, mask: () => even }).result();
    const chosen = await model.choose({ image: PHOTO, items });
    const endless = start(true);
    await new Promise((resolve, reject) => {
      endless.once('message', resolve);
      endless.once('error', reject);
    });
    const messages: unknown[] = [];
    const worker = start(false);
    worker.on('message', (message) => messages.push(message));
    const ended = new Promise((resolve, reject) => {
      worker.once('exit', resolve);
      worker.once('error', reject);
    });
    setTimeout(() => void endless.terminate(), 50);
    assert.equal(await ended, 0);
    await endless.terminate();
    const [refused, result] = messages as [
      { code: string },
      { ids: number[][]; masses: number[]; held: number },
    ];
    assert.equal(refused.code, 'FACELLM_INVALID_ARGUMENT');
    assert.deepEqual(
      result.ids,
      wanted.answers.map(({ tokenIds }) => tokenIds),
    );
    result.masses.forEach((mass, i) => assert.ok(Math.abs(mass - (chosen[i]?.mass ?? 2)) < 1e-5));
    assert.equal(result.held, 0);
    assert.deepEqual(
      (await model.ask({ ...options, mask: () => even }).result()).tokenIds,
      wanted.tokenIds,
    );
  });
});
