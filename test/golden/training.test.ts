/** Losses, gradients and adapters of the oracle's training runs (transformers + PEFT, fp32), step for step. */
import type { NativeTrainerRequest } from '../../lib/binding/native.js';
import { checkAdapter, FULL, replay } from '../support/golden-training.js';

describe('golden training', function () {
  this.timeout(120_000);
  const variants: readonly (readonly [string, Partial<NativeTrainerRequest>])[] = [
    ['', {}],
    [', activations recomputed', { checkpointsActivations: true }],
    [', loss in chunks of 7 rows', { lossChunkRows: 7 }],
    [', image vectors cached', { featureCacheBytes: 1 << 24 }],
  ];
  for (const [how, overrides] of variants) {
    it(`LoRA${how}`, () => replay({ name: 'train-lora', overrides, after: checkAdapter }));
    it(`LoRA, accumulation, warm-up and decay${how}`, () => replay({ name: 'train-lora-accum', overrides }));
    it(`full fine-tuning${how}`, () => replay({ name: 'train-full', overrides: { ...overrides, ...FULL } }));
  }
});
