/**
 * Every activation and logit that the oracle stored, both vision towers, fp32 and bf16
 * (docs/numerics.md derives the tolerances), then greedy ids and answer log-probabilities.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';

import type { NativeModel, NativeTensor } from '../../lib/binding/native.js';
import { generate } from '../support/generate.js';
import * as golden from '../support/golden.js';

const TOLERANCE = { fp32: 1e-4, bf16: 2e-2 } as const;
/** Of these models' winners that many lead by more than twice the tolerance (counted: 0.87 and 0.5 at least). */
const LEAST_COMPARED = { fp32: 0.8, bf16: 0.33 } as const;
for (const device of golden.TEST_DEVICES) {
  for (const checkpoint of golden.CHECKPOINTS) {
    for (const dtype of ['fp32', 'bf16'] as const) {
      describe(`golden: ckpt-${checkpoint} ${dtype} on ${device}`, function () {
        let model: NativeModel;
        before(async () => {
          const directory = join(golden.GOLDEN, `ckpt-${checkpoint}`);
          model = await golden.loadNative(directory, { dtype, device });
        });
        after(() => model?.dispose().promise);

        for (const one of golden.goldenCases(checkpoint).filter((c) => c.dtype === dtype)) {
          it(`${one.name}: every stored stage`, async () => {
            await compareStages(model, one);
          });
          it(`${one.name}: each step after the reference's own`, async () => {
            await compareForced(model, one);
          });
          it(`${one.name}: greedy ids`, async () => {
            await compareGreedy(model, one);
          });
          it(`${one.name}: answer log-probabilities`, async () => {
            await compareAnswer(model, one);
          });
        }
      });
    }
  }
}

async function compareStages(model: NativeModel, one: golden.GoldenCase): Promise<void> {
  const stages = await model.trace(await golden.goldenPrompt(one), []).promise;
  const byName = new Map<string, NativeTensor>(stages.map((stage) => [stage.name, stage]));
  const expected = golden.goldenTensors(one);
  const logits = byName.get('logits.last');
  assert.ok(logits);
  let compared = 0;
  for (const [name, want] of expected) {
    if (name.startsWith('generated.') || name.startsWith('answer.')) continue;
    const actual = byName.get(name);
    assert.ok(actual, `stage ${name} was not traced`);
    const error = golden.relativeError(actual, want);
    if (name === 'tiles_u8') assert.equal(error, 0, 'tiles must be exact');
    else if (name === 'logits.argmax') {
      const margins = byName.get('logits.margin')?.data;
      assert.ok(margins);
      compareWinners('position', {
        ...{ margins, ids: actual.data, wanted: want.data },
        ...{ bound: marginBound(one), least: LEAST_COMPARED[one.dtype] },
      });
    }
    else assert.ok(error <= TOLERANCE[one.dtype], `${name}: off by ${error.toExponential(2)}`);
    compared++;
  }
  assert.ok(compared >= 3, 'the case must hold stages to compare');
  const pixels = one.described['pixel_values'];
  if (pixels !== undefined && one.dtype === 'fp32') {
    const data = byName.get('pixel_values')?.data;
    assert.ok(data);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    assert.equal(createHash('sha256').update(bytes).digest('hex'), pixels.sha256);
  }
}

/**
 * Positions where the winner must be the reference's: each logit is off by the tolerance at most, so that a winner that
 * leads by more than twice it wins in both. `least`: the share of all positions that must be so clear, else the
 * comparison says nothing; a wrong model agrees on next to none.
 */
function compareWinners(
  what: string,
  { margins, ids, wanted, bound, least }: {
    readonly margins: ArrayLike<number>;
    readonly ids: ArrayLike<number>;
    readonly wanted: ArrayLike<number | bigint>;
    readonly bound: number;
    readonly least: number;
  },
): void {
  let compared = 0;
  for (let i = 0; i < wanted.length; i++) {
    if (!((margins[i] as number) > bound)) continue;
    assert.equal(ids[i], Number(wanted[i]), `${what} ${i}, which leads by ${margins[i]}`);
    compared++;
  }
  assert.ok(compared >= least * wanted.length, `${what}: ${compared} of ${wanted.length} compared`);
}

/** Twice what a logit may be off by. */
function marginBound(one: golden.GoldenCase): number {
  const last = golden.goldenTensors(one).get('logits.last')?.data as Float32Array;
  const scale = last.reduce((most, logit) => Math.max(most, Math.abs(logit)), 0);
  return 2 * TOLERANCE[one.dtype] * scale;
}

/** Each step's winner after the reference's own steps: every step counts, also those behind a close one. */
async function compareForced(model: NativeModel, one: golden.GoldenCase): Promise<void> {
  const prompt = await golden.goldenPrompt(one);
  const ids = Int32Array.from([...prompt.ids, ...one.generated_ids]);
  const stages = await model.trace({ ids, images: prompt.images }, []).promise;
  const winners = stages.find(({ name }) => name === 'logits.argmax')?.data;
  assert.ok(winners);
  compareWinners('step', {
    margins: golden.goldenTensors(one).get('generated.margin')?.data as Float32Array,
    ids: winners.subarray(prompt.ids.length - 1),
    wanted: one.generated_ids,
    bound: marginBound(one),
    least: LEAST_COMPARED[one.dtype],
  });
}

async function compareGreedy(model: NativeModel, one: golden.GoldenCase): Promise<void> {
  const [answer] = await generate(model, [await golden.goldenPrompt(one)], {
    maxNewTokens: one.generated_ids.length,
    eosIds: [2050],
  });
  const ids = answer?.ids ?? [];
  const margins = golden.goldenTensors(one).get('generated.margin')?.data as Float32Array;
  const parted = one.generated_ids.findIndex((id, i) => ids[i] !== id);
  if (parted < 0) return;
  // From a close step on the texts are two; before it nothing may differ.
  const margin = margins[parted] as number;
  assert.ok(margin <= marginBound(one), `token ${parted} differs, which leads by ${margin}`);
}

async function compareAnswer(model: NativeModel, one: golden.GoldenCase): Promise<void> {
  assert.ok(one.answer_ids);
  const result = await model.choose({
    prompt: await golden.goldenPrompt(one),
    adapters: [],
    choices: [Int32Array.from(one.answer_ids), Int32Array.of(one.answer_ids[0] as number)],
    usesPrefixCache: false,
    prefixGroup: 0,
  }).promise;
  const want = golden.goldenTensors(one).get('answer.logprobs');
  assert.ok(want);
  const [whole, first] = result.tokenLogProbs;
  assert.ok(whole && first);
  const error = golden.relativeError({ name: 'answer', shape: [], data: whole }, want);
  assert.ok(error <= TOLERANCE[one.dtype], `off by ${error.toExponential(2)}`);
  // The first token has the same probability whatever stands beside it.
  assert.equal(first[0], whole[0]);
}
