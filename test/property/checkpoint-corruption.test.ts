/** Damaged checkpoints: a typed error or a usable model, never a crash, nothing loaded by half. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as golden from '../support/golden.js';
import { type RawTensors, readRaw, writeCheckpoint } from '../support/original-layout.js';

/** Numerical Recipes' generator: the same damage in every run. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('damaged checkpoints', () => {
  const source = join(golden.GOLDEN, 'ckpt-300m');
  const folder = mkdtempSync(join(tmpdir(), 'facellm-damaged-'));
  const target = join(folder, 'checkpoint');
  const file = join(target, 'model.safetensors');
  let whole: Buffer;
  let tensors: RawTensors;
  before(() => {
    tensors = readRaw(source);
    writeCheckpoint(source, target, tensors);
    whole = readFileSync(file);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  async function outcome(): Promise<string> {
    try {
      const model = await golden.loadNative(target, { dtype: 'bf16' });
      await model.trace({ ids: Int32Array.of(1, 2, 3), images: [] }, []).promise;
      await model.dispose().promise;
      return 'loaded';
    } catch (error) {
      const code = String((error as { code?: unknown }).code);
      assert.match(code, /^FACELLM_(CHECKPOINT_INVALID|NON_FINITE)$/, String(error));
      assert.ok((error as { details: unknown[] }).details.length > 0);
      return code;
    }
  }

  it('60 truncations are refused', async () => {
    const next = random(1);
    for (let i = 0; i < 60; i++) {
      writeFileSync(file, whole.subarray(0, 1 + Math.floor(next() * (whole.length - 1))));
      assert.equal(await outcome(), 'FACELLM_CHECKPOINT_INVALID');
    }
  });

  it('80 flipped bytes, in the header and in the data', async () => {
    const next = random(2);
    const header = 8 + Number(whole.readBigUInt64LE(0));
    const seen = new Set<string>();
    for (let i = 0; i < 80; i++) {
      const damaged = Buffer.from(whole);
      const place = Math.floor(next() * (i % 2 === 0 ? header : whole.length));
      damaged[place] = (damaged[place] ?? 0) ^ (1 + Math.floor(next() * 255));
      writeFileSync(file, damaged);
      seen.add(await outcome());
    }
    assert.ok(seen.has('FACELLM_CHECKPOINT_INVALID') && seen.has('loaded'), [...seen].join());
  });

  it('lists every missing, unexpected and mis-shaped tensor at once', async () => {
    const wrong = new Map(tensors);
    wrong.delete('language_model.model.norm.weight');
    wrong.delete('vision_tower.encoder.layer.0.lambda_1');
    const norm = tensors.get('multi_modal_projector.layer_norm.bias');
    assert.ok(norm);
    wrong.set('multi_modal_projector.layer_norm.bias', {
      ...norm,
      shape: [2, (norm.shape[0] ?? 0) / 2],
    });
    wrong.set('stranger.weight', norm);
    writeCheckpoint(source, target, wrong);
    await assert.rejects(golden.loadNative(target, { dtype: 'fp32' }), (error: unknown) => {
      const { code, message, details } = error as Error & { code: string; details: string[] };
      assert.equal(code, 'FACELLM_CHECKPOINT_INVALID');
      assert.match(message, /\(4 problem\(s\)\)/);
      assert.equal(details.length, 4, details.join('\n'));
      const text = details.join('\n');
      for (const name of [
        'norm.weight',
        'layer.0.lambda_1',
        'layer_norm.bias',
        'stranger.weight',
      ]) {
        assert.ok(text.includes(name), name);
      }
      assert.ok(text.includes('model.safetensors'));
      return true;
    });
  });

  it('names tensors that hold NaN or infinity', async () => {
    const wrong = new Map(tensors);
    const norm = tensors.get('language_model.model.norm.weight');
    assert.ok(norm);
    const bytes = Buffer.from(norm.bytes);
    bytes.writeUInt16LE(0x7fc0, 10);
    wrong.set('language_model.model.norm.weight', { ...norm, bytes });
    writeCheckpoint(source, target, wrong);
    await assert.rejects(golden.loadNative(target, { dtype: 'fp32' }), (error: unknown) => {
      const { code, message, details } = error as Error & { code: string; details: string[] };
      assert.equal(code, 'FACELLM_NON_FINITE');
      assert.match(message, /\(1 tensor\(s\)\)/);
      assert.match(details.join(), /norm\.weight/);
      return true;
    });
  });
});
