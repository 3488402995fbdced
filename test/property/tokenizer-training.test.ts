/** Learnt vocabularies: equal to those of the plainest algorithm, and any text comes back from its ids. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';

import { preTokenise } from '../../lib/tokenizer/byte-level.js';
import { makeTokenizerFiles, Tokenizer, trainBpe } from '../../lib/tokenizer/index.js';

/** Counts everything anew before each merge. */
function trainPlainly(
  texts: readonly string[],
  alphabet: readonly string[],
  size: number,
  minFrequency: number,
): string[] {
  const ids = new Map(alphabet.map((piece, id) => [piece, id]));
  // Test texts are ASCII letters and spaces; the space is the only byte with a character of its own.
  let words = texts.flatMap((text) =>
    preTokenise(text).map((piece) => Array.from(piece.replaceAll(' ', 'Ġ'))),
  );
  const merges: string[] = [];
  while (alphabet.length + merges.length < size) {
    const counts = new Map<string, number>();
    for (const word of words) {
      for (let i = 1; i < word.length; i++) {
        const pair = `${word[i - 1]} ${word[i]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    }
    const idsOf = (pair: string): number[] => pair.split(' ').map((part) => ids.get(part) ?? -1);
    const [best] = [...counts].sort(([a, countA], [b, countB]) => {
      const [[leftA = 0, rightA = 0], [leftB = 0, rightB = 0]] = [idsOf(a), idsOf(b)];
      return countB - countA || leftA - leftB || rightA - rightB;
    });
    if (best === undefined || best[1] < minFrequency) break;
    const [left = '', right = ''] = best[0].split(' ');
    words = words.map((word) => {
      const merged: string[] = [];
      for (let i = 0; i < word.length; i++) {
        const isPair = word[i] === left && word[i + 1] === right;
        merged.push(isPair ? left + right : (word[i] ?? ''));
        if (isPair) i++;
      }
      return merged;
    });
    ids.set(left + right, alphabet.length + merges.length);
    merges.push(best[0]);
  }
  return merges;
}

describe('property: learning a vocabulary', () => {
  it('the merges of the plainest algorithm', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 12 });
    const texts = fc.array(fc.array(word, { maxLength: 8 }).map((words) => words.join(' ')));
    fc.assert(
      fc.property(
        texts,
        fc.integer({ min: 256, max: 330 }),
        fc.integer({ min: 1, max: 4 }),
        (corpus, vocabularySize, minFrequency) => {
          const learnt = trainBpe({ texts: corpus, vocabularySize, minFrequency });
          assert.deepEqual(
            learnt.merges.map((pair) => pair.join(' ')),
            trainPlainly(corpus, learnt.pieces.slice(0, 256), vocabularySize, minFrequency),
          );
          assert.equal(new Set(learnt.pieces).size, learnt.pieces.length);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('decode(encode(text)) is the text in NFC, in both file forms, which agree', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'facellm-bpe-'));
    try {
      const texts = [
        'user\nWho is the person in the picture?',
        'The person is smiling. '.repeat(9),
        '女性の笑顔 女性の笑顔',
      ];
      const { files, vocabularySize } = makeTokenizerFiles(
        trainBpe({ texts, vocabularySize: 400, minFrequency: 1 }),
        { maxLength: 512, chatTemplate: '', processorTokens: {} },
      );
      for (const name of ['vocab.json', 'merges.txt', 'tokenizer_config.json']) {
        await writeFile(join(folder, name), files[name] ?? '');
      }
      const slow = await Tokenizer.load(folder);
      await writeFile(join(folder, 'tokenizer.json'), files['tokenizer.json'] ?? '');
      const fast = await Tokenizer.load(folder);
      assert.equal(fast.vocabSize, vocabularySize);
      const part = fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.constantFrom(...texts, '<|im_end|>', '<img>', '\r\n', '\u0085'),
      );
      fc.assert(
        fc.property(
          fc.array(part).map((parts) => parts.join('')),
          (text) => {
            const ids = fast.encodePlain(text);
            assert.equal(fast.decode(ids), text.normalize('NFC'));
            assert.deepEqual(slow.encodePlain(text), ids);
            assert.deepEqual(slow.encode(text), fast.encode(text));
          },
        ),
        { numRuns: 500 },
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
