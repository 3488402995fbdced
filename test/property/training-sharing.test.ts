/** Samples that begin alike, computed once: the losses and gradients of computing each for itself. */
import assert from 'node:assert/strict';

import { loadAddon } from '../../lib/binding/load.js';
import type {
  NativeTrainer,
  NativeTrainerRequest,
  NativeTrainSample,
} from '../../lib/binding/native.js';
import {
  createTrainer,
  goldenRun,
  goldenSamples,
  loraModules,
  NO_ANSWERS,
} from '../support/training.js';

/** Of fp32 losses and gradient norms over 20 updates: some roundings of 6e-8 each. */
const TOLERANCE = 1e-6;
const UPDATES = 20;
const QUESTIONS = 4;

type Settings = Partial<Omit<NativeTrainerRequest, 'modules'>> & { readonly targets?: string };

describe('training with shared prefixes', function () {
  this.timeout(300_000);
  let batches: NativeTrainSample[][];
  let learnt = 0;

  before(async () => {
    // Tiny products: a second thread costs more than it does.
    await loadAddon().setThreads(1).promise;
    const golden = await goldenSamples(goldenRun('train-lora'));
    // Of each picture questions that begin alike and go on differently, two of them with two answers each.
    // A record with one picture, one with none, one with two.
    batches = golden.slice(1).map((sample, picture) => {
      const from = sample.ids.findIndex((_, t) => sample.labels[t] !== -100);
      return Array.from({ length: QUESTIONS }, (_, question): NativeTrainSample => {
        const tail = Array.from(
          { length: 24 + 5 * (question >> 1) },
          (_unused, t) => 100 + ((t * 37 + (question >> 1) * 311 + picture * 101) % 900),
        );
        const answer = Array.from(
          { length: 6 },
          (_unused, t) => 200 + ((t * 53 + question * 71) % 700),
        );
        const ids = Int32Array.from([...sample.ids.slice(0, from), ...tail, ...answer]);
        const labels = ids.map((id, t) => (t < from + tail.length ? -100 : id));
        return { ids, labels, weight: 1 + 0.25 * question, images: sample.images };
      });
    });
    learnt = batches.flat().reduce((sum, { weight }) => sum + 6 * weight, 0);
  });

  async function request({ targets = 'all', ...rest }: Settings) {
    return { ...rest, modules: targets === '' ? [] : await loraModules(targets) };
  }

  interface Update {
    readonly loss: number;
    readonly gradNorm: number;
    readonly computedTokens: number;
    readonly tokens: number;
  }

  /** Every update takes all samples, in the micro-batches given. */
  async function run(
    trainer: NativeTrainer,
    microBatches: readonly (readonly NativeTrainSample[])[],
  ): Promise<Update[]> {
    const updates: Update[] = [];
    for (let k = 0; k < UPDATES; k++) {
      const sums = { loss: 0, tokens: 0, computedTokens: 0 };
      for (const [i, samples] of microBatches.entries()) {
        const isLast = i === microBatches.length - 1;
        const { loss, tokens, computedTokens } = await trainer.accumulate({
          ...{ samples, denominator: learnt, draw: k, isLast },
          ...NO_ANSWERS,
        }).promise;
        sums.loss += loss;
        sums.tokens += tokens;
        sums.computedTokens += computedTokens;
      }
      const learningRate = 1e-5;
      const { gradNorm } = await trainer.update({ learningRate, maxGradNorm: 1 }).promise;
      updates.push({ ...sums, gradNorm });
    }
    return updates;
  }

  async function using(
    settings: Settings,
    microBatches: readonly (readonly NativeTrainSample[])[],
  ): Promise<Update[]> {
    const trainer = await createTrainer(await request(settings));
    try {
      return await run(trainer, microBatches);
    } finally {
      await trainer.dispose().promise;
    }
  }

  const settings: readonly (readonly [string, Settings])[] = [
    ['LoRA', { featureCacheBytes: 1e7 }],
    [
      'LoRA, activations recomputed, loss in chunks',
      { checkpointsActivations: true, lossChunkRows: 5 },
    ],
    ['DoRA of vision, projector and text', { targets: '.*', usesDora: true }],
    ['full fine-tuning', { targets: '', parts: ['vision', 'projector', 'text', 'head'] }],
  ];
  for (const [name, own] of settings) {
    it(`${name}: ${UPDATES} updates as unshared, in one micro-batch and in several`, async () => {
      const unshared = await using(own, [batches.flat()]);
      for (const microBatches of [[batches.flat()], batches]) {
        const shared = await using({ ...own, sharesPrefix: true }, microBatches);
        shared.forEach((update, k) => {
          const expected = unshared[k] as Update;
          for (const key of ['loss', 'gradNorm'] as const) {
            const error = Math.abs(update[key] / expected[key] - 1);
            assert.ok(error <= TOLERANCE, `${key} of update ${k}: off by ${error}`);
          }
          assert.equal(update.tokens, expected.tokens);
          assert.ok(update.computedTokens < 0.5 * update.tokens);
        });
      }
    });
  }

  it('without the setting nothing is shared, and the order of samples is free', async () => {
    const [plain] = await using({}, [batches.flat()]);
    assert.equal(plain?.computedTokens, plain?.tokens);
    const [ordered] = await using({ sharesPrefix: true }, [batches.flat()]);
    const [reversed] = await using({ sharesPrefix: true }, [batches.flat().reverse()]);
    assert.equal(reversed?.computedTokens, ordered?.computedTokens);
    const error = Math.abs((reversed?.loss ?? NaN) / (ordered?.loss ?? NaN) - 1);
    assert.ok(error <= TOLERANCE, String(error));
  });
});
