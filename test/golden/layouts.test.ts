/** The same weights in every layout, name form and dtype give bitwise the same logits. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as golden from '../support/golden.js';
import {
  type RawTensors,
  readRaw,
  toFormB,
  toFp32,
  toOriginal,
  writeCheckpoint,
} from '../support/original-layout.js';

async function logits(directory: string, one: golden.GoldenCase): Promise<Float32Array> {
  const model = await golden.loadNative(directory, { dtype: 'fp32' });
  try {
    const stages = await model.trace(await golden.goldenPrompt(one), []).promise;
    const found = stages.find(({ name }) => name === 'logits.last');
    assert.ok(found);
    return found.data;
  } finally {
    await model.dispose().promise;
  }
}

for (const name of golden.CHECKPOINTS) {
  describe(`layouts of ckpt-${name}`, () => {
    const source = join(golden.GOLDEN, `ckpt-${name}`);
    const folder = mkdtempSync(join(tmpdir(), 'facellm-layouts-'));
    let tensors: RawTensors;
    let one: golden.GoldenCase;
    let expected: Float32Array;
    before(async () => {
      tensors = readRaw(source);
      const found = golden
        .goldenCases(name)
        .find((c) => c.name === 'face_tiled' && c.dtype === 'fp32');
      assert.ok(found);
      one = found;
      expected = await logits(source, one);
    });
    after(() => {
      rmSync(folder, { recursive: true });
    });

    it('original: hashes are the oracle\'s, logits are equal', async () => {
      const original = toOriginal(tensors);
      const listed = JSON.parse(
        readFileSync(join(golden.GOLDEN, `original-${name}.json`), 'utf8'),
      ) as Record<string, { readonly sha256: string }>;
      for (const [key, { sha256 }] of Object.entries(listed)) {
        const bytes = original.get(key)?.bytes;
        assert.ok(bytes, key);
        assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256, key);
      }
      const target = join(folder, 'original');
      writeCheckpoint(source, target, original);
      copyFileSync(
        join(golden.GOLDEN, `original-${name}-config.json`),
        join(target, 'config.json'),
      );
      assert.deepEqual(await logits(target, one), expected);
    });

    it('form B, single file', async () => {
      const target = join(folder, 'form-b');
      writeCheckpoint(source, target, new Map([...tensors].map(([k, t]) => [toFormB(k), t])));
      assert.deepEqual(await logits(target, one), expected);
    });

    it('both forms mixed, fp32 files', async () => {
      const target = join(folder, 'mixed');
      const mixed = [...tensors].map(
        ([key, t], i) => [i % 2 === 0 ? key : toFormB(key), toFp32(t)] as const,
      );
      writeCheckpoint(source, target, new Map(mixed));
      assert.deepEqual(await logits(target, one), expected);
    });

    it('a stored head equal to the embedding is the same as a shared one', async () => {
      const embedding = tensors.get('language_model.model.embed_tokens.weight');
      assert.ok(embedding);
      const tied = new Map(tensors);
      tied.delete('language_model.lm_head.weight');
      const untied = new Map(tied).set('language_model.lm_head.weight', embedding);
      writeCheckpoint(source, join(folder, 'tied'), tied);
      const config = join(folder, 'tied', 'config.json');
      const json = JSON.parse(readFileSync(config, 'utf8')) as object;
      writeFileSync(config, JSON.stringify({ ...json, tie_word_embeddings: true }));
      writeCheckpoint(source, join(folder, 'untied'), untied);
      assert.deepEqual(
        await logits(join(folder, 'tied'), one),
        await logits(join(folder, 'untied'), one),
      );
    });
  });
}
