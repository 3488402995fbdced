/** How long samples with several answers are: one prompt for all, and as many tokens as are computed. */
import assert from 'node:assert/strict';

import type { TrainingRecord } from '../../lib/data/index.js';
import { checkRecipe, nano } from '../../lib/index.js';
import type { TextCoder } from '../../lib/tokenizer/index.js';
import { type EncodedRecord, encodeAnswers } from '../../lib/training/encode-record.js';
import { SampleSet, type SampleSetParts } from '../../lib/training/sample-set.js';

/** A token a character; what is not from outside is one token. */
const coder = {
  encodeSegments: (segments: readonly { text: string; trusted: boolean }[]) =>
    Promise.resolve(
      Int32Array.from(
        segments.flatMap(({ text, trusted }) =>
          trusted ? [1] : Array.from(text, (one) => one.charCodeAt(0)),
        ),
      ),
    ),
  controlTokens: new Map(),
} as unknown as TextCoder;

const record: TrainingRecord = {
  ...{ index: 0, images: [], system: undefined, facts: {} },
  turns: [{ user: 'abcdefghijklmnopqrstuvwxyz', assistant: 'no' }],
};
const others = ['yes', 'it is a very long answer'];

const promptOf = ({ ids, isLearnt }: EncodedRecord): readonly number[] =>
  [...ids].filter((_, i) => isLearnt[i] === 0);

describe('unit: lengths of samples with several answers', () => {
  it('answers to one question follow one prompt, cut as the longest needs', async () => {
    for (const cutoffLength of [100, 40, 30, 20]) {
      const options = { system: '', cutoffLength };
      const encoded = await encodeAnswers(coder, record, others, [], options);
      const [own, ...rest] = encoded.map((one) => {
        assert.ok(one !== undefined && one.length <= cutoffLength && one.learntTokens > 0);
        return one;
      });
      assert.ok(own !== undefined);
      for (const one of rest) assert.deepEqual(promptOf(one), promptOf(own));
      const isWhole = cutoffLength === 100;
      assert.equal(promptOf(own).length === 28, isWhole, String(cutoffLength));
    }
  });

  for (const sharesPrefix of [false, true]) {
    it(`the question counts ${sharesPrefix ? 'once, where it is computed once' : 'with each answer'}`, async () => {
      const recipe = checkRecipe({ ...nano(), system: '', sharesPrefix });
      const parts = {
        ...{ coder, recipe },
        config: { model: { imageSeqLength: 16 } },
        alternativesOf: () => ({ objective: 'expected-reward', others, rewards: [1, 0, 0] }),
      } as unknown as SampleSetParts;
      const { lengths, samples } = await SampleSet.encode([record], parts, () => undefined);
      const [prompt, answers] = [28, [2, 3, 24].map((length) => length + 1)];
      const learnt = answers.reduce((sum, length) => sum + length, 0);
      assert.equal(samples[0]?.others.length, 2);
      assert.deepEqual([...lengths], [(sharesPrefix ? 1 : 3) * prompt + learnt]);
    });
  }
});
