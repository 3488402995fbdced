/** What the rows of the GPU proof are held to, against the counts of the released sizes worked out by hand. */
import assert from 'node:assert/strict';

import {
  decodeWork,
  loraStepWork,
  prefillWork,
  visionWork,
  type Work,
} from '../../benchmarks/gpu/counts.js';
import type { NativeModelConfig } from '../../lib/binding/native.js';

function configOf(text: Partial<NativeModelConfig['text']>): NativeModelConfig {
  return {
    vision: {
      hiddenSize: 1024,
      intermediateSize: 4096,
      numHiddenLayers: 24,
      numAttentionHeads: 16,
      imageSize: 448,
      patchSize: 14,
    },
    text: { headDim: 128, vocabSize: 151674, ...text },
    imageSeqLength: 256,
  } as NativeModelConfig;
}

const SMALL = configOf({
  ...{ hiddenSize: 896, intermediateSize: 4864, numHiddenLayers: 24 },
  ...{ numAttentionHeads: 14, numKeyValueHeads: 2, headDim: 64 },
});
const LARGE = configOf({
  ...{ hiddenSize: 3584, intermediateSize: 18944, numHiddenLayers: 28 },
  ...{ numAttentionHeads: 28, numKeyValueHeads: 4 },
});

/** To the digits that the counts are given in. */
function near(actual: number, expected: number): void {
  assert.ok(Math.abs(actual / expected - 1) < 2e-3, `${actual}, expected ${expected}`);
}

const flop = (work: Work): number => work.flop;

describe('work of the GPU rows', () => {
  it('the vision tower and the projector, a tile', () => {
    near(flop(visionWork(SMALL, 1)), 723.6e9 + 2.3e9);
    near(flop(visionWork(LARGE, 13)), 13 * (723.6e9 + 14.1e9));
  });

  it('prefill', () => {
    near(flop(prefillWork(SMALL, 316)), 0.231e12);
    near(flop(prefillWork(LARGE, 3388)), 46.5e12);
  });

  it('decode: bytes a step', () => {
    near(decodeWork(SMALL, 1, 512).bytes, 0.994e9);
    near(decodeWork(SMALL, 64, 512).bytes, 1.39e9);
    near(decodeWork(LARGE, 1, 512).bytes, 14.17e9);
  });

  it('a LoRA step of one sample', () => {
    const step = { batch: 1, tokens: 448, learnt: 128, rank: 16 };
    near(flop(loraStepWork(SMALL, { ...step, encodesPictures: true })), 1.49e12);
    near(flop(loraStepWork(LARGE, { ...step, encodesPictures: true })), 12.96e12);
    near(flop(loraStepWork(SMALL, { ...step, encodesPictures: false })), 0.765e12);
  });
});
