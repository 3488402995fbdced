/**
 * Penalties, biases, least lengths, and log-probabilities of model and draw: as transformers gives them, stored. Made by
 * scripts/options-reference.py; the cases lie in the file itself.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { NativeModel } from '../../lib/binding/native.js';
import * as golden from '../support/golden.js';
import { answer, compareWithReference, type OptionsResult } from '../support/options-reference.js';

const FILE = join(import.meta.dirname, '..', 'fixtures', 'generation-options.json');

describe('golden: options of an answer', () => {
  let model: NativeModel;
  const { cases } = JSON.parse(readFileSync(FILE, 'utf8')) as { cases: readonly OptionsResult[] };
  before(async () => {
    model = await golden.loadNative(join(golden.GOLDEN, 'ckpt-300m'), { dtype: 'fp32' });
  });
  after(() => model?.dispose().promise);

  for (const one of cases) {
    it(one.name, () => compareWithReference(model, one));
  }

  it('the cases tell options apart: without its own each gives other log-probabilities of the draw', async () => {
    for (const one of cases.filter(({ name }) => !['greedy', 'an end at its place'].includes(name))) {
      const { name, prompt, end_ids, max_new_tokens } = one;
      const plain = { name, prompt, end_ids, max_new_tokens };
      const { logProbs, ids } = await answer(model, plain, { logProbs: 'processed' });
      const differs = one.processed.log_probs.some(
        (value, i) => ids[i] !== one.ids[i] || Math.abs(value - (logProbs[i] ?? 0)) > 1e-3,
      );
      assert.ok(differs, name);
    }
  });
});
