/** A row of a batch ends by its own stop string; its neighbours go on. */
import assert from 'node:assert/strict';

import type { NativeModel, NativeTokenBatch } from '../../lib/binding/native.js';
import { generate, PixelDesk, TokenRouter } from '../../lib/generation/index.js';
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

/** An engine that gives these steps, one [request, id] after another; a request that is cancelled gets no more. */
function engine(steps: readonly (readonly (readonly [request: number, id: number])[])[]): {
  readonly tokens: TokenRouter;
  readonly pixels: PixelDesk;
  readonly given: readonly number[];
} {
  const given = [0, 0];
  const wanted = new Set<number>();
  let onTokens: (batch: NativeTokenBatch) => void = () => undefined;
  const work = async (): Promise<void> => {
    for (const step of steps) {
      await new Promise(setImmediate);
      const own = step.filter(([request]) => wanted.has(request));
      own.forEach(([request]) => (given[request] = (given[request] ?? 0) + 1));
      onTokens({
        requests: Float64Array.from(own, ([request]) => request + 1),
        rows: new Int32Array(own.length),
        ids: Int32Array.from(own, ([, id]) => id),
        logProbs: new Float32Array(own.length),
        maskMasses: new Float32Array(own.length).fill(1),
        topCounts: new Int32Array(own.length),
        topIds: new Int32Array(),
        topLogProbs: new Float32Array(),
      });
      own.filter(([, id]) => id === EOS).forEach(([request]) => wanted.delete(request));
    }
  };
  let running: Promise<void> | undefined;
  const generate = (): unknown => {
    const request = wanted.size;
    wanted.add(request);
    running ??= work();
    const timings = { preprocess: 0, vision: 0, prefill: 0, decode: 0 };
    const promise = running.then(() => ({ rows: [{}], timings, peakBytes: 0 }));
    return { id: request + 1, promise, cancel: () => wanted.delete(request) };
  };
  const native = {
    generate,
    onTokens: (callback: typeof onTokens) => (onTokens = callback),
    onPixelsWanted: () => undefined,
  } as unknown as NativeModel;
  return { tokens: new TokenRouter(native), pixels: new PixelDesk(native), given };
}

async function ask(
  steps: Parameters<typeof engine>[0],
  { maxPositions = 100, maxNewTokens = 50 } = {},
): Promise<{
  readonly texts: readonly string[];
  readonly reasons: readonly string[];
  readonly given: readonly number[];
}> {
  const { tokens, pixels, given } = engine(steps);
  const answers = await generate(
    {
      ...{ tokens, tokenizer, maxPositions, adapters: [], eosIds: [EOS], usesPrefixCache: false },
      vocabSize: 27,
      ...{ pixels, signal: undefined, startedAt: 0, preparedMs: 0 },
    },
    [8, 3].map((length) => ({ ids: new Int32Array(length), images: [] })),
    resolveGeneration({ stop: ['c'], maxNewTokens }),
    () => undefined,
  );
  return {
    texts: answers.map(({ text }) => text),
    reasons: answers.map(({ finishReason }) => finishReason),
    given,
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
    assert.equal(given[1], 3);
  });

  it('ends when one row has met its stop string and the other its last position', async () => {
    const { texts, given } = await ask([step(1, 1), step(2, 3), ...endless], { maxPositions: 10 });
    assert.deepEqual(texts, ['ab', 'a']);
    assert.deepEqual(given, [2, 2]);
  });

  it('goes on while a row is wanted', async () => {
    const { texts, given } = await ask([
      step(3, 1),
      step(undefined, 2),
      step(undefined, EOS),
      ...endless,
    ]);
    assert.deepEqual(texts, ['', 'ab']);
    assert.deepEqual(given, [1, 3]);
  });
});
