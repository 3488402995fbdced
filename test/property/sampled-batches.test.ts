/** Batches whose tokens are drawn: each row has draws of its own, from the distribution that it was asked for. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import type { NativeModel, NativePrompt, NativeSampling } from '../../lib/binding/native.js';
import { assertClose, type Generated, generate, GREEDY } from '../support/generate.js';
import * as golden from '../support/golden.js';

const DRAWN: NativeSampling = { ...GREEDY, isGreedy: false, temperature: 1.5, seed: 7 };

describe('sampled batches', () => {
  let model: NativeModel;
  let prompts: NativePrompt[];
  before(async () => {
    model = await golden.loadNative(join(golden.GOLDEN, 'ckpt-300m'), { dtype: 'fp32' });
    const names = ['text_only', 'face_square', 'two_images'];
    const cases = golden
      .goldenCases('300m')
      .filter((c) => c.dtype === 'fp32' && names.includes(c.name));
    prompts = await Promise.all(cases.map(golden.goldenPrompt));
  });
  after(() => model.dispose().promise);

  const draw = (
    rows: readonly (NativePrompt | undefined)[],
    eosIds: readonly number[] = [],
  ): Promise<Generated[]> =>
    generate(model, rows as NativePrompt[], { sampling: DRAWN, eosIds, usesPrefixCache: true });

  it("a row's draws do not depend on who else is in the batch, nor on how many", async () => {
    const [a, b, c] = prompts;
    const whole = await draw([a, b, c, a]);
    const batches = [[a], [a, b], [a, c, c], [a, c, b, a], [a, b, c, a, b, c]];
    for (const batch of batches) {
      const rows = await draw(batch);
      const others = [a, b, c, a];
      rows.forEach((row, i) => {
        if (i >= others.length || batch[i] !== others[i]) return;
        assert.deepEqual(row.ids, whole[i]?.ids, `row ${i} of ${batch.length}`);
        assertClose(row.logProbs, whole[i]?.logProbs ?? []);
      });
    }
  });

  it('a row that ends early leaves the draws of the others alone', async () => {
    const [a, b, c] = prompts;
    const free = await draw([a, b, c]);
    const end = free[1]?.ids[3] ?? -1;
    const stopped = await draw([a, b, c], [end]);
    stopped.forEach((row, i) => {
      const ids = free[i]?.ids ?? [];
      const until = ids.indexOf(end);
      assert.deepEqual(row.ids, until < 0 ? ids : ids.slice(0, until + 1));
    });
  });

  it('the same prompt in every row: no two rows draw alike, and a second time all do', async () => {
    const rows = new Array(16).fill(prompts[0]) as NativePrompt[];
    const drawn = (await draw(rows)).map(({ ids }) => ids.join(' '));
    assert.equal(new Set(drawn).size, rows.length);
    assert.deepEqual(
      (await draw(rows)).map(({ ids }) => ids.join(' ')),
      drawn,
    );
  });

  it('over many rows tokens come as often as the model says', async () => {
    const [prompt] = prompts;
    assert.ok(prompt);
    const every = Array.from({ length: 2079 }, (_, id) => Int32Array.of(id));
    const { logProbs } = await model.choose({
      ...{ prompt, adapters: [], choices: every, usesPrefixCache: false, prefixGroup: 0 },
    }).promise;
    // The four likeliest, as topK keeps them.
    const kept = [...logProbs.entries()].sort(([, x], [, y]) => y - x).slice(0, 4);
    const total = kept.reduce((sum, [, logProb]) => sum + Math.exp(logProb), 0);
    const count = 400;
    const rows = await generate(model, new Array<NativePrompt>(count).fill(prompt), {
      sampling: { ...DRAWN, temperature: 1, topK: 4 },
      ...{ maxNewTokens: 1, usesPrefixCache: true },
    });
    const seen = new Map<number, number>(kept.map(([id]) => [id, 0]));
    for (const { ids } of rows) seen.set(ids[0] ?? -1, (seen.get(ids[0] ?? -1) ?? NaN) + 1);
    let chiSquare = 0;
    for (const [id, logProb] of kept) {
      const expected = (count * Math.exp(logProb)) / total;
      chiSquare += ((seen.get(id) ?? NaN) - expected) ** 2 / expected;
    }
    // Three degrees of freedom: exceeded once in ten thousand seeds, and this seed is always the same.
    assert.ok(chiSquare < 21.1, `chi-square ${chiSquare}`);
  });
});
