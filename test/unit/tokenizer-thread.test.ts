/** The tokenizer's thread gives what the tokenizer gives, and ends cleanly. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { FaceLlmError } from '../../lib/errors.js';
import { Tokenizer, TokenizerThread } from '../../lib/tokenizer/index.js';
import { GOLDEN } from '../support/golden.js';

const DIRECTORY = join(GOLDEN, 'ckpt-300m');
const code = (wanted: string) => (error: unknown) =>
  error instanceof FaceLlmError && error.code === wanted;

describe('tokenizer thread', () => {
  it('encodes and decodes as the tokenizer itself, many requests at once', async () => {
    const plain = await Tokenizer.load(DIRECTORY);
    await using thread = await TokenizerThread.load(DIRECTORY);
    assert.equal(thread.vocabSize, plain.vocabSize);
    assert.deepEqual([...thread.controlTokens], [...plain.controlTokens]);
    const texts = Array.from(
      { length: 50 },
      (_, i) => `${i} naïve <|im_end|> 😀 ${'x '.repeat(i)}`,
    );
    await Promise.all(
      texts.map(async (text, i) => {
        const segments = [{ text, trusted: i % 2 === 0 }];
        const ids = await thread.encodeSegments(segments);
        assert.deepEqual(ids, plain.encodeSegments(segments));
        const stream = thread.detokenizer({ skipSpecialTokens: false });
        assert.equal(ids.map((id) => stream.push(id)).join('') + stream.finish(), text);
      }),
    );
  });

  it('a damaged tokenizer: the error of the tokenizer itself', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'facellm-thread-'));
    try {
      await writeFile(join(folder, 'tokenizer.json'), '{"model":{"vocab":{"a":-1},"merges":[]}}');
      await assert.rejects(TokenizerThread.load(folder), (error: unknown) => {
        assert.ok(code('FACELLM_TOKENIZER_INVALID')(error));
        assert.ok((error as FaceLlmError).details.some((line) => line.includes('model.vocab')));
        return true;
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('what is under way at the end is rejected, and so is what comes after', async () => {
    const thread = await TokenizerThread.load(DIRECTORY);
    const segments = [{ text: 'long '.repeat(50_000), trusted: false }];
    const waiting = assert.rejects(thread.encodeSegments(segments), code('FACELLM_DISPOSED'));
    await Promise.all([thread.dispose(), thread.dispose()]);
    await waiting;
    await assert.rejects(thread.encodeSegments(segments), code('FACELLM_DISPOSED'));
  });
});
