/** Learning a vocabulary: its limits, its order of ties, and the files made of it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { InvalidArgumentError } from '../../lib/errors.js';
import { ADDED_TOKEN_COUNT, makeTokenizerFiles, trainBpe } from '../../lib/tokenizer/index.js';
import { GOLDEN } from '../support/golden.js';

const SETTINGS = { maxLength: 64, chatTemplate: '', processorTokens: {} };

function mergesOf(texts: readonly string[], size = 300, minFrequency = 1): string[] {
  const { merges } = trainBpe({ texts, vocabularySize: size, minFrequency });
  return merges.map((pair) => pair.join(' '));
}

describe('learning a vocabulary', () => {
  it('the most frequent pair first; of equals the one with the smaller ids, left before right', () => {
    assert.deepEqual(mergesOf(['ab cd ab'], 258), ['a b', 'c d']);
    // Four pairs, each once: ids follow code points, so the space's character comes last.
    assert.deepEqual(mergesOf(['bd bc'], 258), ['b c', 'b d']);
    assert.deepEqual(mergesOf(['ba', 'ab'], 258), ['a b', 'b a']);
  });

  it('runs of one letter merge from the left', () => {
    assert.deepEqual(mergesOf(['aaaaa']), ['a a', 'aa a', 'aa aaa']);
  });

  it('no merge crosses pieces of the pre-tokenisation', () => {
    const { pieces } = trainBpe({
      texts: Array<string>(9).fill('ab12, ab12'),
      vocabularySize: 300,
    });
    assert.deepEqual(pieces.slice(256), ['ab', 'Ġab']);
  });

  it('texts are normalised as the encoder does', () => {
    assert.deepEqual(mergesOf(['e\u0301']), mergesOf(['\u00e9']));
  });

  it('ends at its size, and where pairs become rare', () => {
    assert.deepEqual(mergesOf(['ab ab'], 256), []);
    assert.deepEqual(mergesOf(['ab ab cd'], 300, 2), ['a b']);
    assert.deepEqual(mergesOf(['', ' ']), []);
  });

  it('lists every wrong option', () => {
    for (const bad of [255, 1.5, NaN, 2 ** 24]) {
      assert.throws(
        () => trainBpe({ texts: [], vocabularySize: bad, minFrequency: 0 }),
        (error: unknown) => error instanceof InvalidArgumentError && error.details.length === 2,
      );
    }
  });

  it('files have the keys and the added tokens of a released tokenizer', () => {
    const { files, ids, vocabularySize } = makeTokenizerFiles(
      trainBpe({ texts: ['abc abc'], vocabularySize: 300 }),
      { ...SETTINGS, processorTokens: { video_token: '<video>' } },
    );
    assert.equal(vocabularySize, 256 + 2 + ADDED_TOKEN_COUNT);
    assert.equal(ids['</box>'], vocabularySize - 1);
    const golden = join(GOLDEN, 'ckpt-300m');
    const shift = 2048 - 258;
    type Added = readonly { readonly id: number }[];
    const [ours, theirs] = [
      files['tokenizer.json'] ?? '',
      readFileSync(join(golden, 'tokenizer.json'), 'utf8'),
    ].map(
      (text) =>
        JSON.parse(text) as Record<string, unknown> & { added_tokens: Added; model: object },
    );
    assert.ok(ours && theirs);
    assert.deepEqual(
      ours.added_tokens.map((token) => ({ ...token, id: token.id + shift })),
      theirs.added_tokens,
    );
    // All but the vocabulary: normalizer, pre-tokenizer, decoder and BPE's own switches.
    const rest = ({ model, ...others }: typeof ours): object => ({
      ...others,
      added_tokens: [],
      model: { ...model, vocab: {}, merges: [] },
    });
    assert.deepEqual(rest(ours), rest(theirs));
    const map = JSON.parse(readFileSync(join(golden, 'special_tokens_map.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    assert.deepEqual(
      (JSON.parse(files['special_tokens_map.json'] ?? '') as typeof map)[
        'additional_special_tokens'
      ],
      map['additional_special_tokens'],
    );
  });
});
