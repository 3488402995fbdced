/** Many questions about one picture in one call: each as alone, what they share computed once, refused before work. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { type ChooseItem, FaceLlm } from '../../lib/index.js';
import * as golden from '../support/golden.js';

const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');
const PHOTO = join(golden.GOLDEN, 'infer-300m', 'images', 'face_square_0.png');

const ITEMS: readonly ChooseItem[] = [
  { id: 'smile', question: 'Is this person smiling?', choices: ['Yes', 'No'] },
  { question: 'How old?', choices: ['young', { text: 'old', label: 'above 60' }, 'in between'] },
  { id: 'hat', question: 'A hat?', choices: ['Yes', 'No', 'That cannot be seen'] },
];

describe('choose with items', () => {
  let model: FaceLlm;
  before(async () => {
    model = await FaceLlm.load(CHECKPOINT, { device: golden.TEST_DEVICE, dtype: 'fp32' });
  });
  after(() => model.dispose());

  it('gives each question what it gives alone, in any order', async () => {
    const results = await model.choose({ image: PHOTO, items: ITEMS });
    assert.deepEqual(
      results.map(({ id }) => id),
      ['smile', '1', 'hat'],
    );
    const turned = await model.choose({ image: PHOTO, items: ITEMS.toReversed() });
    for (const [i, { question, choices }] of ITEMS.entries()) {
      const alone = await model.choose({ image: PHOTO, question, choices, reusePrefix: false });
      for (const one of [results[i], turned[ITEMS.length - 1 - i]]) {
        assert.ok(one);
        assert.equal(one.promptHash, alone.promptHash);
        assert.equal(one.best.text, alone.best.text);
        assert.ok(Math.abs(one.mass - alone.mass) <= 1e-4 * alone.mass);
        assert.ok(Math.abs(one.entropy - alone.entropy) <= 1e-4);
        one.choices.forEach(({ logProb }, k) => {
          const want = alone.choices[k]?.logProb ?? NaN;
          assert.ok(Math.abs(logProb - want) <= 1e-4 * Math.max(1, Math.abs(want)));
        });
      }
    }
    assert.deepEqual(
      results[1]?.choices.map(({ label }) => label),
      ['young', 'above 60', 'in between'],
    );
  });

  it('computes picture and common beginning once, whatever the cache', async () => {
    const beginning = 'Look at this face. '.repeat(30);
    const items = Array.from({ length: 64 }, (_, i) => ({
      question: `${beginning}Question ${i}?`,
      choices: ['Yes', 'No'],
    }));
    for (const reusePrefix of [true, false]) {
      await model.clearCaches();
      const before = await model.stats();
      const results = await model.choose({ image: PHOTO, items, reusePrefix });
      const after = await model.stats();
      assert.equal(after.tilesEncoded, before.tilesEncoded + 1);
      const whole = results.reduce((sum, { promptTokens }) => sum + promptTokens, 0);
      const computed = after.tokensComputed - before.tokensComputed;
      assert.ok(computed < whole / 3, `${computed} of ${whole}, reusePrefix ${reusePrefix}`);
      assert.deepEqual([after.usedBlocks, after.pinnedImages], [0, 0]);
      if (!reusePrefix) assert.equal(after.cachedBlocks, 0);
    }
  });

  it('refuses what is wrong by name, before work', async () => {
    const one = ITEMS[0] as ChooseItem;
    const many = Array.from({ length: 65 }, () => ({ question: 'Who?', choices: ['A', 'B'] }));
    const texts = Array.from({ length: 257 }, (_, i) => `answer ${i}`);
    const { steps } = await model.stats();
    const wrong: readonly (readonly [readonly ChooseItem[], RegExp])[] = [
      [many, /^items: expected a list of 1\.\.64 questions, each with its choices, received 65$/],
      [[], /^items: expected a list of 1\.\.64 questions/],
      [[{ ...one, choices: ['one'] }], /^items\[0\]\.choices: expected a list of 2\.\.256 texts/],
      [[{ ...one, choices: texts }], /^items\[0\]\.choices: expected .* received 257$/],
      [[one, one], /^items\[1\]\.id: "smile" is that of items\[0\]/],
      [[one, { id: '', question: '', choices: ['A', ''] }], /^items\[1\]\./],
    ];
    for (const [items, line] of wrong) {
      await assert.rejects(model.choose({ image: PHOTO, items }), (error: unknown) => {
        const { code, details } = error as { code: string; details: string[] };
        assert.equal(code, 'FACELLM_INVALID_ARGUMENT');
        assert.match(details[0] ?? '', line);
        return true;
      });
    }
    assert.equal((await model.stats()).steps, steps);
  });
});
