/**
 * Options of answers, greedy and drawn, beside transformers' own processors at every place, over random options and prompts.
 * Optional: FACELLM_ORACLE_PYTHON names a Python with torch and transformers.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as golden from '../support/golden.js';
import {
  answer,
  compareWithReference,
  type OptionsCase,
  type OptionsResult,
} from '../support/options-reference.js';
import { NEEDS_ORACLE, skip } from '../support/skip.js';

const PYTHON = process.env['FACELLM_ORACLE_PYTHON'];
const SCRIPTS = join(import.meta.dirname, '..', '..', 'scripts');
const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');
const CASES = 24;

let state = 7;
/** A linear congruential generator (constants of Numerical Recipes): the same cases every time. */
function draw(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return (state / 2 ** 32) * below;
}
const whole = (below: number): number => Math.floor(draw(below));
const word = (): number => 20 + whole(2000);

function randomCase(i: number): OptionsCase {
  const maybe = <T>(value: T): T | undefined => (draw(1) < 0.5 ? value : undefined);
  const prompt = Array.from({ length: 5 + whole(40) }, word);
  const bias = Object.fromEntries(
    Array.from({ length: 6 }, () => [word(), Math.round(draw(1600) - 800) / 100]),
  );
  const one = {
    ...{ name: `case ${i}`, prompt, max_new_tokens: 12 },
    end_ids: Array.from({ length: 400 }, word),
    min_new_tokens: maybe(1 + whole(10)),
    repetition_penalty: maybe(0.6 + draw(1)),
    frequency_penalty: maybe(draw(4) - 2),
    presence_penalty: maybe(draw(4) - 2),
    sequence_bias: maybe(bias),
    ...(i % 2 === 0
      ? {}
      : { temperature: 0.3 + draw(2), top_k: maybe(2 + whole(60)), top_p: maybe(0.3 + draw(0.69)) }),
  };
  return JSON.parse(JSON.stringify(one)) as OptionsCase;
}

describe('options of answers beside transformers, live', () => {
  it('greedy and drawn: ids, and raw and processed log-probabilities of every place', async function () {
    if (PYTHON === undefined) return skip(this, NEEDS_ORACLE);
    const folder = mkdtempSync(join(tmpdir(), 'facellm-options-live-'));
    const model = await golden.loadNative(CHECKPOINT, { dtype: 'fp32' });
    try {
      const cases = await Promise.all(
        Array.from({ length: CASES }, async (_, i) => {
          const one = randomCase(i);
          if (one.temperature === undefined) return one;
          return { ...one, ids: (await answer(model, one, { seed: i })).ids };
        }),
      );
      const [asked, answered] = [join(folder, 'cases.json'), join(folder, 'out.json')];
      writeFileSync(asked, JSON.stringify({ checkpoint: CHECKPOINT, cases }));
      const run = spawnSync(PYTHON, [join(SCRIPTS, 'options-reference.py'), asked, answered], {
        ...{ encoding: 'utf8', maxBuffer: 2 ** 26 },
        env: { ...process.env, PYTHONPATH: SCRIPTS },
      });
      assert.equal(run.status, 0, run.stderr);
      const results = (JSON.parse(readFileSync(answered, 'utf8')) as { cases: OptionsResult[] })
        .cases;
      for (const [i, one] of results.entries()) await compareWithReference(model, one, i);
      assert.equal(results.length, CASES);
    } finally {
      await model.dispose().promise;
      rmSync(folder, { recursive: true });
    }
  }).timeout(300_000);
});
