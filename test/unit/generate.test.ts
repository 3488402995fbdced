/** A batch ends with the last row of which anything is still wanted, whatever ended the others. */
import assert from 'node:assert/strict';

import type { NativeModel, NativeTokenBatch } from '../../lib/binding/native.js';
import { generate } from '../../lib/generation/index.js';
import { resolveGeneration } from '../../lib/generation/options.js';
import type { Detokenizer, TextCoder } from '../../lib/tokenizer/index.js';

const EOS = 0;
/** Ids are letters: 1 is a, 2 is b. */
const tokenizer: TextCoder = {
  controlTokens: new Map(),
  vocabSize: 27,
  encodeSegments: () => [],
  detokenizer: () =>
    ({
      push: (id: number) => (id === EOS ? '' : String.fromCharCode(96 + id)),
      finish: () => '',
    }) as unknown as Detokenizer,
};

/** An engine that gives these steps, one [row, id] after another, until it is cancelled. */
function engine(steps: readonly (readonly (readonly [row: number, id: number])[])[]): {
  readonly native: NativeModel;
  readonly given: () => number;
} {
  let given = 0;
  const start = (_: unknown, onTokens: (batch: NativeTokenBatch) => void): unknown => {
    let isCancelled = false;
    const work = async (): Promise<unknown> => {
      for (const step of steps) {
        await Promise.resolve();
        if (isCancelled) break;
        given++;
        onTokens({
          rows: Int32Array.from(step, ([row]) => row),
          ids: Int32Array.from(step, ([, id]) => id),
          logProbs: new Float32Array(step.length),
        });
      }
      const timings = { preprocess: 0, vision: 0, prefill: 0, decode: 0 };
      return {
        rows: [{ finishReason: 'eos' }, { finishReason: 'cancelled' }],
        timings,
        peakBytes: 0,
      };
    };
    return { promise: work(), cancel: () => (isCancelled = true) };
  };
  return { native: { generate: start } as unknown as NativeModel, given: () => given };
}

async function ask(
  steps: Parameters<typeof engine>[0],
  { maxPositions = 100, maxNewTokens = 50 } = {},
): Promise<{
  readonly texts: readonly string[];
  readonly reasons: readonly string[];
  readonly given: number;
}> {
  const { native, given } = engine(steps);
  const answers = await generate(
    {
      ...{ native, tokenizer, maxPositions, adapters: [], eosIds: [EOS], usesPrefixCache: false },
      ...{ signal: undefined, startedAt: 0, preparedMs: 0 },
    },
    [8, 3].map((length) => ({ ids: new Int32Array(length), images: [] })),
    resolveGeneration({ stop: ['c'], maxNewTokens }),
    () => undefined,
  );
  return {
    texts: answers.map(({ text }) => text),
    reasons: answers.map(({ finishReason }) => finishReason),
    given: given(),
  };
}

const step = (first: number | undefined, second: number): (readonly [number, number])[] => [
  ...(first === undefined ? [] : [[0, first] as const]),
  [1, second] as const,
];

describe('a batch with stop strings', () => {
  const endless = Array.from({ length: 40 }, () => step(undefined, 1));

  it('ends when one row has met its stop string and the other its end token', async () => {
    const { texts, reasons, given } = await ask([
      step(1, 1),
      step(EOS, 2),
      step(undefined, 3),
      ...endless,
    ]);
    assert.deepEqual(texts, ['a', 'ab']);
    assert.deepEqual(reasons, ['stop', 'stop-string']);
    assert.equal(given, 3);
  });

  it('ends when one row has met its stop string and the other its last position', async () => {
    const { texts, given } = await ask([step(1, 1), step(2, 3), ...endless], { maxPositions: 10 });
    assert.deepEqual(texts, ['ab', 'a']);
    assert.equal(given, 2);
  });

  it('goes on while a row is wanted', async () => {
    const { texts, given } = await ask([
      step(3, 1),
      step(undefined, 2),
      step(undefined, EOS),
      ...endless,
    ]);
    assert.deepEqual(texts, ['', 'ab']);
    assert.equal(given, 3);
  });
});
