/** Vocabularies learnt here and by Hugging Face's BpeTrainer (scripts/export-bpe-fixture.py) from the same texts. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { trainBpe } from '../../lib/tokenizer/index.js';

interface Fixture {
  readonly texts: readonly string[];
  readonly cases: readonly {
    readonly texts: number;
    readonly vocabularySize: number;
    readonly minFrequency: number;
    readonly alphabet: readonly string[];
    readonly merges: readonly (readonly [string, string])[];
  }[];
}

const fixture = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', 'fixtures', 'bpe.json'), 'utf8'),
) as Fixture;

describe('golden: learning a vocabulary', () => {
  for (const { texts, vocabularySize, minFrequency, alphabet, merges } of fixture.cases) {
    it(`${texts} texts, ${vocabularySize} entries at most, pairs from ${minFrequency}: the same merges in the same order`, () => {
      const learnt = trainBpe({
        texts: fixture.texts.slice(0, texts),
        vocabularySize,
        minFrequency,
      });
      assert.deepEqual(learnt.merges, merges);
      assert.deepEqual(learnt.pieces, [...alphabet, ...merges.map((pair) => pair.join(''))]);
    });
  }

  it('the cases end for all three reasons', () => {
    const [full, rare, exhausted] = fixture.cases;
    assert.equal(full?.merges.length, 400 - 256);
    assert.ok(rare !== undefined && rare.merges.length < rare.vocabularySize - 256);
    assert.ok(exhausted !== undefined && exhausted.minFrequency === 1);
    assert.ok(exhausted.merges.length < exhausted.vocabularySize - 256);
  });
});
