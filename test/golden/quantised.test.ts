/**
 * Weights in 8 and 4 bits against the oracle's stages in fp32: quantised while they are read, by whichever kernels the device
 * has and by the plain ones.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { NativeTensor } from '../../lib/binding/native.js';
import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { createModel, FaceLlm, nanoShape, type WeightForms } from '../../lib/index.js';
import { describeWeights, resolveWeights } from '../../lib/model/index.js';
import { weightBytes } from '../../lib/model/weight-bytes.js';
import * as golden from '../support/golden.js';

/**
 * Of the largest value of a stage. One weight loses 1/254 of its row's largest in 8 bits, and about a tenth of its size in 4 bits
 * by groups; errors of products add up like noise (measured: 0.018 and 0.19 at most).
 */
const FORMS: readonly (readonly [WeightForms, number])[] = [
  [{ text: 'int8', head: 'int8', vision: 'int8' }, 0.03],
  [{ text: 'int4', head: 'int8', group: 32 }, 0.35],
  // A number of fp8 loses a sixteenth of itself at most; codes of nf4 are as many as int4's.
  [{ text: 'fp8', head: 'fp8', vision: 'fp8', embeddings: 'int8' }, 0.15],
  [{ text: 'nf4', head: 'int8' }, 0.35],
  [{ text: 'nf4-double', head: 'int8' }, 0.35],
];
const ONE = golden.goldenCases('300m').find(({ dtype }) => dtype === 'fp32');
const DIRECTORY = join(golden.GOLDEN, 'ckpt-300m');

const DEVICE = golden.TEST_DEVICE;

describe(`quantised weights: ckpt-300m on ${DEVICE}`, () => {
  for (const [weights, tolerance] of FORMS) {
    for (const dtype of ['fp32', 'bf16'] as const) {
      it(`${JSON.stringify(weights)} in ${dtype}: every stage of the oracle`, async () => {
        assert.ok(ONE);
        const model = await golden.loadNative(DIRECTORY, { dtype, device: DEVICE, weights });
        try {
          const stages = await model.trace(await golden.goldenPrompt(ONE), []).promise;
          const byName = new Map<string, NativeTensor>(stages.map((one) => [one.name, one]));
          let worst = 0;
          for (const [name, want] of golden.goldenTensors(ONE)) {
            if (/^(generated|answer)\.|^logits\.argmax$|^tiles/.test(name)) continue;
            const stage = byName.get(name);
            assert.ok(stage, name);
            const error = golden.relativeError(stage, want);
            assert.ok(error <= tolerance, `${name}: off by ${error.toExponential(2)}`);
            worst = Math.max(worst, error);
          }
          assert.ok(worst > 1e-4, `nothing was quantised: ${worst}`);
          const info = model.info();
          assert.equal(info.weights.text, weights.text);
          assert.ok(info.packedBytes > 0 && info.packedBytes < info.parameterBytes);
        } finally {
          await model.dispose().promise;
        }
      });
    }
  }

  it('answers the same with the plain kernels, as near as their roundings are', () => {
    const script = `
      const { FaceLlm } = await import('./lib/index.ts');
      const model = await FaceLlm.load(${JSON.stringify(DIRECTORY)}, { weights: 'int8', device: 'cpu', dtype: 'fp32' });
      const { choices } = await model.choose({ question: 'Is it?', choices: ['Yes', 'No', 'Perhaps'] });
      console.log(JSON.stringify(choices.map(({ probability }) => probability)));
      await model.dispose();`;
    const run = (isa: string): number[] => {
      const { stdout, stderr, status } = spawnSync(
        process.execPath,
        ['--import=./test/support/tsx.mjs', '--input-type=module', '--eval', script],
        { encoding: 'utf8', env: { ...process.env, FACELLM_CPU_ISA: isa } },
      );
      assert.equal(status, 0, stderr);
      return JSON.parse(stdout) as number[];
    };
    const [own, plain] = [run(''), run('scalar')];
    assert.equal(own.length, 3);
    own.forEach((value, i) => assert.ok(Math.abs(value - (plain[i] ?? NaN)) < 0.01, `${own.join()} ${plain.join()}`));
  });

  it('a word is the text layers and a head in 8 bits; what is chosen is told and part of the fingerprint', async () => {
    const load = (weights?: 'int8' | 'int4') =>
      FaceLlm.load(DIRECTORY, {
        ...{ device: DEVICE, dtype: 'fp32' },
        ...(weights === undefined ? {} : { weights }),
      });
    await using stored = await load();
    await using quantised = await load('int4');
    assert.equal(describeWeights(quantised.info.weights), 'text int4 (groups of 64), head int8');
    assert.equal(describeWeights(stored.info.weights), 'stored');
    const { model } = await readCheckpointConfig(DIRECTORY);
    const planned = (weights: 'stored' | 'int4'): number =>
      weightBytes(model, 4, resolveWeights(weights, model.text));
    assert.equal(
      stored.info.parameterBytes - quantised.info.parameterBytes,
      planned('stored') - planned('int4'),
    );
    assert.notEqual(quantised.fingerprint, stored.fingerprint);
  });

  it('each form takes what is planned for it', async () => {
    const { model } = await readCheckpointConfig(DIRECTORY);
    const bytes = async (weights: WeightForms): Promise<number> => {
      await using loaded = await FaceLlm.load(DIRECTORY, { device: DEVICE, dtype: 'fp32', weights });
      assert.match(describeWeights(loaded.info.weights), /text/);
      const stored = weightBytes(model, 4, resolveWeights('stored', model.text));
      return loaded.info.parameterBytes + stored - weightBytes(model, 4, resolveWeights(weights, model.text));
    };
    const wanted = await bytes({ text: 'int8' });
    for (const text of ['int4', 'fp8', 'nf4', 'nf4-double'] as const) {
      // Matrices begin on lines of 64 bytes.
      assert.ok(Math.abs((await bytes({ text, embeddings: 'int8' })) - wanted) < 1024, text);
    }
  });

  it('a head that shares the embeddings shares their codes, and is not left in another form', async () => {
    const root = mkdtempSync(join(tmpdir(), 'facellm-tied-'));
    try {
      const { directory } = await createModel({
        ...{ output: join(root, 'model'), texts: ['user\nIs it a face?\n\n', 'assistant\nYes. No.'] },
        ...{ shape: nanoShape(), vocabularySize: 400 },
      });
      const load = (weights?: WeightForms) =>
        FaceLlm.load(directory, { device: DEVICE, ...(weights && { weights }) });
      await assert.rejects(load({ embeddings: 'int8' }), /head int8/);
      await using stored = await load();
      await using head = await load({ head: 'int8' });
      await using both = await load({ head: 'int8', embeddings: 'int8' });
      const [a = NaN, b = NaN, c = NaN] = [stored, head, both].map(({ info }) => info.parameterBytes);
      assert.ok(c < a && a < b, `${a} ${b} ${c}`);
      assert.equal(describeWeights(both.info.weights), 'head int8, embeddings int8');
      const ask = { question: 'Is it a face?', choices: ['Yes', 'No'] };
      const [one, other] = [await stored.choose(ask), await both.choose(ask)];
      one.choices.forEach(({ probability }, i) =>
        assert.ok(Math.abs(probability - (other.choices[i]?.probability ?? NaN)) < 0.05),
      );
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  it('forms that there are not are refused before anything is read', async () => {
    const wrong = { weights: 'int3' } as unknown as { weights: 'int4' };
    await assert.rejects(FaceLlm.load(DIRECTORY, wrong), /weights/);
    const group = { weights: { text: 'int4', group: 48 } } as unknown as { weights: 'int4' };
    await assert.rejects(FaceLlm.load(DIRECTORY, group), /weights\.group/);
  });
});
