/** Which tokens travel with which piece of text: none is lost, doubled or early, however texts are cut and end. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import type { AnswerPiece } from '../../lib/generation/answer.js';
import { AnswerText } from '../../lib/generation/answer-text.js';
import type { TextCoder } from '../../lib/tokenizer/index.js';
import { Detokenizer } from '../../lib/tokenizer/detokenizer.js';

const END = 0;
/** What ids 1, 2, ... write; halves of a character among them. */
const WRITTEN = ['a', 'b', 'ab', '<', 'b<', '<a', '🙂', '\u0001'].map((text) => Buffer.from(text));
const [FIRST_HALF, SECOND_HALF] = [WRITTEN.length + 1, WRITTEN.length + 2];
WRITTEN.push(Buffer.from('é').subarray(0, 1), Buffer.from('é').subarray(1));

const tokenizer: TextCoder = {
  controlTokens: new Map(),
  vocabSize: WRITTEN.length + 1,
  encodeSegments: () => [],
  detokenizer: () => new Detokenizer((id) => WRITTEN[id - 1]),
};

function write(ids: readonly number[], stops: readonly string[], most = 100) {
  const pieces: AnswerPiece[] = [];
  const text = new AnswerText({
    ...{ index: 3, tokenizer, stops, most, ends: new Set([END]) },
    push: (piece) => pieces.push(piece),
  });
  ids.forEach((id, i) => text.add({ id, logProb: -i }));
  text.finish();
  return { pieces, answer: text.answer(), isOver: text.isOver };
}

const tokensOf = (pieces: readonly AnswerPiece[]): (readonly [string, readonly number[]])[] =>
  pieces.map(({ text, tokens }) => [text, tokens.map(({ id }) => id)] as const);

describe('text and tokens of an answer', () => {
  it('a half character comes with what completes it, the closing token last', () => {
    const { pieces, answer } = write([1, FIRST_HALF, SECOND_HALF, 2, END, 1], []);
    assert.deepEqual(tokensOf(pieces), [
      ['a', [1]],
      ['é', [FIRST_HALF, SECOND_HALF]],
      ['b', [2]],
      ['', [END]],
    ]);
    assert.deepEqual(tokensOf(write([FIRST_HALF, END], []).pieces), [
      ['\ufffd', [FIRST_HALF]],
      ['', [END]],
    ]);
    assert.equal(answer.finishReason, 'stop');
    assert.deepEqual(answer.tokenIds, [1, FIRST_HALF, SECOND_HALF, 2, END]);
  });

  it('what might begin a stop string comes when it did not, or not at all', () => {
    // '<', then 'a': no stop string; 'b<' and 'b' is one.
    const { pieces, answer } = write([4, 1, 5, 2, 1], ['<b']);
    assert.deepEqual(tokensOf(pieces), [
      ['<a', [4, 1]],
      ['b', [5]],
      ['', [2]],
    ]);
    assert.equal(answer.text, '<ab');
    assert.deepEqual([answer.finishReason, answer.stopString], ['stop-string', '<b']);
  });

  it('names the stop string that stands first', () => {
    assert.equal(write([3], ['b', 'ab', 'a']).answer.stopString, 'ab');
    assert.equal(write([1, 2], ['b']).answer.stopString, 'b');
    assert.equal('stopString' in write([1], ['b']).answer, false);
  });

  it('ends with its last token by the limit, showing what it held', () => {
    const { pieces, answer, isOver } = write([1, 4, 1], ['<b'], 2);
    assert.deepEqual(tokensOf(pieces), [
      ['a', [1]],
      ['<', [4]],
    ]);
    assert.deepEqual([answer.finishReason, isOver], ['length', true]);
  });

  it('pieces together are the answer, and no token is shown before its text', () => {
    const ids = fc.array(fc.nat({ max: WRITTEN.length }), { maxLength: 30 });
    const stops = fc.array(fc.constantFrom('<b', 'ab', '<a<', '🙂b', 'éa'), { maxLength: 3 });
    fc.assert(
      fc.property(ids, stops, fc.integer({ min: 1, max: 30 }), (given, texts, most) => {
        const { pieces, answer } = write(given, texts, most);
        assert.equal(pieces.map(({ text }) => text).join(''), answer.text);
        const tokens = pieces.flatMap((piece) => piece.tokens);
        assert.deepEqual(
          tokens.map(({ id }) => id),
          answer.tokenIds,
        );
        assert.deepEqual(
          tokens.map(({ logProb }) => logProb),
          answer.logProbs,
        );
        assert.ok(pieces.every(({ index }) => index === 3));
        assert.ok(pieces.slice(0, -1).every(({ text }) => text !== ''));
        // What has been shown is never more than the tokens of the pieces so far write.
        const writer = tokenizer.detokenizer();
        let [written, shown] = ['', ''];
        pieces.forEach((piece, i) => {
          for (const { id } of piece.tokens) written += writer.push(id);
          shown += piece.text;
          const isLast = i === pieces.length - 1 || pieces[i + 1]?.text === '';
          if (!isLast) assert.ok(written.startsWith(shown), `${shown} after ${written}`);
        });
      }),
    );
  });
});
