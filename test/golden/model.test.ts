/**
 * Every activation and logit that the oracle stored, both vision towers, fp32 and bf16
 * (docs/numerics.md derives the tolerances), then greedy ids and answer log-probabilities.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';

import type { NativeModel, NativeTensor } from '../../lib/binding/native.js';
import * as golden from '../support/golden.js';

const TOLERANCE = { fp32: 1e-4, bf16: 2e-2 } as const;
const GREEDY = {
  isGreedy: true,
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  seed: 0,
} as const;

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
    else if (name === 'logits.argmax') compareArgmax(actual, want.data as BigInt64Array, one.dtype);
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

/** In bf16 two logits often tie, and a position's winner may differ; fp32 must agree everywhere. */
function compareArgmax(actual: NativeTensor, want: BigInt64Array, dtype: golden.DtypeName): void {
  let differing = 0;
  want.forEach((id, i) => (differing += Number(id) === actual.data[i] ? 0 : 1));
  const allowed = dtype === 'fp32' ? 0 : Math.ceil(want.length * 0.1);
  assert.ok(differing <= allowed, `argmax differs at ${differing} of ${want.length} positions`);
}

async function compareGreedy(model: NativeModel, one: golden.GoldenCase): Promise<void> {
  const ids: number[] = [];
  await model.generate(
    {
      prompts: [await golden.goldenPrompt(one)],
      adapters: [],
      sampling: GREEDY,
      maxNewTokens: one.generated_ids.length,
      eosIds: [2050],
      usesPrefixCache: false,
    },
    (batch) => ids.push(...batch.ids),
  ).promise;
  const tensors = golden.goldenTensors(one);
  const margins = tensors.get('generated.margin')?.data as Float32Array;
  const last = tensors.get('logits.last')?.data as Float32Array;
  const scale = last.reduce((most, logit) => Math.max(most, Math.abs(logit)), 0);
  let compared = 0;
  for (; compared < one.generated_ids.length; compared++) {
    // Below twice the tolerance either of two candidates may win, and the texts part.
    if ((margins[compared] as number) < 2 * TOLERANCE[one.dtype] * scale) break;
    assert.equal(ids[compared], one.generated_ids[compared], `token ${compared}`);
  }
  if (one.dtype === 'fp32') assert.ok(compared > 0, 'no step had a margin to compare');
}

async function compareAnswer(model: NativeModel, one: golden.GoldenCase): Promise<void> {
  assert.ok(one.answer_ids);
  const result = await model.choose({
    prompt: await golden.goldenPrompt(one),
    adapters: [],
    choices: [Int32Array.from(one.answer_ids), Int32Array.of(one.answer_ids[0] as number)],
    usesPrefixCache: false,
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
