/** Pieces of text: whole characters only, stop strings however they are cut, options, shares. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import fc from 'fast-check';

import { type AnswerPiece, type AnswerResult, AnswerStream } from '../../lib/generation/answer.js';
import { softmax } from '../../lib/generation/choose.js';
import { generationShape, resolveGeneration } from '../../lib/generation/options.js';
import { StopStrings } from '../../lib/generation/stop-strings.js';
import { checkFields, fields } from '../../lib/options/index.js';
import { Tokenizer } from '../../lib/tokenizer/index.js';
import { GOLDEN } from '../support/golden.js';

describe('detokenizer', () => {
  let tokenizer: Tokenizer;
  before(async () => {
    tokenizer = await Tokenizer.load(join(GOLDEN, 'ckpt-300m'));
  });

  it('text survives encoding and decoding', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        // NFC is part of the tokenizer; lone surrogates have no UTF-8.
        const expected = Buffer.from(text.normalize('NFC')).toString();
        const plain = Buffer.from(text).toString();
        assert.equal(tokenizer.decode(tokenizer.encodePlain(plain)), expected.normalize('NFC'));
      }),
    );
  });

  it('pieces of any ids add up to the whole, and none is half a character', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 2078 })), (ids) => {
        const stream = tokenizer.detokenizer();
        const pieces = [...ids.map((id) => stream.push(id)), stream.finish()];
        assert.equal(pieces.join(''), tokenizer.decode(ids));
        for (const piece of pieces) assert.doesNotMatch(piece, /[\uD800-\uDFFF]/u);
      }),
    );
    const face = tokenizer.encodePlain('🙂');
    assert.ok(face.length > 1);
    const stream = tokenizer.detokenizer();
    assert.deepEqual(
      face.map((id) => stream.push(id)),
      [...face.slice(1).map(() => ''), '🙂'],
    );
  });
});

describe('stop strings', () => {
  it('show exactly what stands before the first one, however the text is cut', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c') });
    const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1 }), {
      minLength: 1,
    });
    fc.assert(
      fc.property(fc.array(text), stops, (pieces, texts) => {
        const filter = new StopStrings(texts);
        const shown = pieces.map((piece) => filter.push(piece)).join('') + filter.finish();
        const whole = pieces.join('');
        // The first stop string to be complete ends the text; its beginning is the cut.
        let cut = whole.length;
        for (let end = 1; end <= whole.length && cut === whole.length; end++) {
          for (const stop of texts) {
            if (whole.slice(0, end).endsWith(stop)) cut = Math.min(cut, end - stop.length);
          }
        }
        assert.ok(whole.startsWith(shown));
        assert.equal(filter.isStopped, cut < whole.length);
        if (pieces.every((piece) => piece.length <= 1)) assert.equal(shown, whole.slice(0, cut));
        else assert.ok(texts.every((stop) => !shown.includes(stop)));
      }),
    );
  });
});

const piece = (text: string, index = 0): AnswerPiece => ({ index, text, tokens: [] });

describe('answer stream', () => {
  it('gives pieces in order, then the failure', async () => {
    const stream = new AnswerStream(async (push) => {
      push(piece('a'));
      await Promise.resolve();
      push(piece('b'));
      throw new Error('broken');
    });
    const pieces: string[] = [];
    await assert.rejects(
      async () => {
        for await (const text of stream) pieces.push(text);
      },
      { message: 'broken' },
    );
    assert.deepEqual(pieces, ['a', 'b']);
  });

  it('is iterated once; the whole of it can be had any number of times', async () => {
    const stream = new AnswerStream((push) => {
      push(piece('a'));
      push(piece('b'));
      return Promise.resolve({ text: 'ab' } as AnswerResult);
    });
    const pieces: string[] = [];
    for await (const text of stream) pieces.push(text);
    assert.deepEqual(pieces, ['ab'], 'what a slow loop has missed is one piece');
    for (const again of [() => stream[Symbol.asyncIterator](), () => stream.toReadableStream()]) {
      assert.throws(again, { code: 'FACELLM_INVALID_ARGUMENT' });
    }
    assert.deepEqual([await stream.text(), await stream.text()], ['ab', 'ab']);
  });

  it('gives pieces of several answers one by one, and no text of them', async () => {
    const start = (push: (piece: AnswerPiece) => void): Promise<AnswerResult> => {
      push(piece('a'));
      push(piece('b', 1));
      push(piece('', 1));
      return Promise.resolve({ text: 'a' } as AnswerResult);
    };
    const stream = new AnswerStream(start, () => 2);
    const got: AnswerPiece[] = [];
    for await (const one of stream.pieces()) got.push(one);
    assert.deepEqual(got, [piece('a'), piece('b', 1), piece('', 1)]);
    assert.throws(() => stream.pieces(), { code: 'FACELLM_INVALID_ARGUMENT' });
    let signal: AbortSignal | undefined;
    const mixed = new AnswerStream(
      (_, own) => {
        signal = own;
        return new Promise((_resolve, reject) => {
          own.addEventListener('abort', () => reject(own.reason as Error));
        });
      },
      () => 2,
    );
    const refused = { code: 'FACELLM_INVALID_ARGUMENT', message: /^n: the texts of 2 answers/ };
    assert.throws(() => mixed[Symbol.asyncIterator](), refused);
    assert.equal(signal?.aborted, true);
    await assert.rejects(mixed.result(), refused);
  });

  it('leaving the loop, or cancelling the web stream, aborts', async () => {
    const start = (push: (piece: AnswerPiece) => void, signal: AbortSignal): Promise<never> => {
      push(piece('a'));
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    };
    const left = new AnswerStream(start);
    for await (const text of left) if (text === 'a') break;
    await assert.rejects(left.result(), { name: 'AbortError' });
    const cancelled = new AnswerStream(start);
    const reader = cancelled.toReadableStream().getReader();
    assert.equal((await reader.read()).value, 'a');
    await reader.cancel();
    await assert.rejects(cancelled.result(), { name: 'AbortError' });
  });
});

describe('options', () => {
  it('are greedy by default, and draw as soon as one of the draw is asked for', () => {
    const { sampling, maxNewTokens } = resolveGeneration({});
    assert.equal(sampling.isGreedy, true);
    assert.equal(maxNewTokens, 500);
    assert.deepEqual(resolveGeneration({ temperature: 0.5, seed: 3 }).sampling, {
      isGreedy: false,
      temperature: 0.5,
      topK: 50,
      topP: 1,
      minP: 0,
      repetitionPenalty: 1,
      seed: 3,
      frequencyPenalty: 0,
      presencePenalty: 0,
      biasIds: new Int32Array(),
      biases: new Float32Array(),
      minTokens: 0,
      topLogProbs: 0,
      logProbs: 'raw',
    });
  });

  it('draw by another seed at every call unless one is given', () => {
    const seeds = Array.from({ length: 20 }, () => resolveGeneration({ topK: 5 }).sampling.seed);
    assert.equal(new Set(seeds).size, seeds.length);
    assert.ok(seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0));
    assert.equal(resolveGeneration({ topK: 5, seed: 0 }).sampling.seed, 0);
    assert.equal(resolveGeneration({}).sampling.seed, 0);
  });

  it('lists every wrong one', () => {
    const wrong = { maxNewTokens: 0, temperature: -1, topP: 2, seed: 0.5, stop: [''] };
    assert.throws(
      () => checkFields(fields(generationShape), wrong, 'wrong'),
      (error: unknown) => {
        assert.equal((error as { details: string[] }).details.length, 5);
        return true;
      },
    );
  });

  it('shares add up to one however small the probabilities', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -2000, max: 0, noNaN: true }), { minLength: 1 }),
        (logs) => {
          const total = softmax(logs).reduce((sum, share) => sum + share, 0);
          assert.ok(Math.abs(total - 1) < 1e-9);
        },
      ),
    );
  });
});
