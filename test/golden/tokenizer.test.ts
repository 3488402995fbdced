/** Ids and texts against the reference's, both file forms (docs/internvl3.md, section 8). */
import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Tokenizer } from '../../lib/tokenizer/index.js';
import { GOLDEN } from '../support/golden.js';

interface Row {
  readonly text: string;
  readonly ids: readonly number[];
  readonly decoded: string;
  readonly decoded_without_special: string;
}

describe('golden: tokenizer', () => {
  let rows: readonly Row[];
  const tokenizers = new Map<string, Tokenizer>();
  let slow: string;

  before(async () => {
    rows = JSON.parse(await readFile(join(GOLDEN, 'infer-300m/tokenizer.json'), 'utf8')) as Row[];
    slow = await mkdtemp(join(tmpdir(), 'facellm-tokenizer-'));
    for (const name of ['vocab.json', 'merges.txt', 'tokenizer_config.json']) {
      await cp(join(GOLDEN, 'ckpt-300m', name), join(slow, name));
    }
    tokenizers.set('tokenizer.json', await Tokenizer.load(join(GOLDEN, 'ckpt-300m')));
    tokenizers.set('vocab.json + merges.txt', await Tokenizer.load(slow));
  });
  after(() => rm(slow, { recursive: true }));

  for (const form of ['tokenizer.json', 'vocab.json + merges.txt']) {
    it(`${form}: ids, and both ways of decoding`, () => {
      const tokenizer = tokenizers.get(form);
      assert.ok(tokenizer && rows.length > 20);
      for (const row of rows) {
        assert.deepEqual(tokenizer.encode(row.text), row.ids, JSON.stringify(row.text));
        assert.equal(tokenizer.decode(row.ids, { skipSpecialTokens: false }), row.decoded);
        assert.equal(tokenizer.decode(row.ids), row.decoded_without_special);
      }
    });
  }
});
