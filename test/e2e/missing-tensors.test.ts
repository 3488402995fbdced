/** A tensor that is not in the files is never made up: the head is the embedding only where config.json says so. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { exportModel, FaceLlm, type FaceLlmError } from '../../lib/index.js';
import { GOLDEN, TEST_DEVICE } from '../support/golden.js';
import {
  readRaw,
  toOriginal,
  type RawTensors,
  writeCheckpoint,
} from '../support/original-layout.js';

const HEAD = 'language_model.lm_head.weight';
const EMBEDDING = 'language_model.model.embed_tokens.weight';

/** What the two places of a config.json say of tying. */
interface Tying {
  readonly top?: boolean;
  readonly text?: boolean;
}

describe('a checkpoint without tensors', () => {
  let folder: string;
  let tensors: RawTensors;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-missing-'));
    tensors = readRaw(join(GOLDEN, 'ckpt-300m'));
  });
  after(() => rmSync(folder, { recursive: true }));

  /** The tiny checkpoint without a head. */
  function write(name: string, layout: 'hf' | 'original', { top, text }: Tying): string {
    const directory = join(folder, name);
    const rest = new Map([...tensors].filter(([key]) => key !== HEAD));
    writeCheckpoint(
      join(GOLDEN, 'ckpt-300m'),
      directory,
      layout === 'hf' ? rest : toOriginal(rest),
    );
    const path =
      layout === 'hf' ? join(directory, 'config.json') : join(GOLDEN, 'original-300m-config.json');
    const config = JSON.parse(readFileSync(path, 'utf8')) as Record<string, object>;
    const section = layout === 'hf' ? 'text_config' : 'llm_config';
    // JSON leaves out what is undefined.
    const written = {
      ...config,
      tie_word_embeddings: top,
      [section]: { ...config[section], tie_word_embeddings: text },
    };
    writeFileSync(join(directory, 'config.json'), JSON.stringify(written));
    return directory;
  }

  const missing = (name: string) => (error: unknown) => {
    const { code, details } = error as FaceLlmError;
    assert.equal(code, 'FACELLM_CHECKPOINT_INVALID');
    assert.ok(
      details.some((line) => line.startsWith(`missing tensor ${name}`)),
      details.join(),
    );
    return true;
  };

  const refused: readonly (readonly ['hf' | 'original', Tying])[] = [
    ['hf', { top: false, text: false }],
    ['hf', { top: false, text: true }],
    ['hf', { text: false }],
    ['hf', {}],
    ['original', { top: false, text: false }],
    ['original', { top: true, text: false }],
    ['original', {}],
  ];
  for (const [layout, tying] of refused) {
    it(`${layout}, ${JSON.stringify(tying)}: the head is missing, and nothing is exported`, async () => {
      const directory = write(`${layout}-no-${JSON.stringify(tying)}`, layout, tying);
      await assert.rejects(FaceLlm.load(directory, { device: TEST_DEVICE }), missing(HEAD));
      const output = join(folder, 'exported');
      await assert.rejects(exportModel({ model: directory, output }), missing(HEAD));
    });
  }

  const tied: readonly (readonly ['hf' | 'original', Tying])[] = [
    ['hf', { top: true, text: true }],
    ['hf', { top: true, text: false }],
    ['hf', { text: true }],
    ['original', { top: false, text: true }],
    ['original', { top: true }],
  ];
  for (const [layout, tying] of tied) {
    it(`${layout}, ${JSON.stringify(tying)}: the head is the embedding`, async () => {
      const directory = write(`${layout}-${JSON.stringify(tying)}`, layout, tying);
      await using model = await FaceLlm.load(directory, { device: TEST_DEVICE });
      const embedding = tensors.get(EMBEDDING);
      assert.ok(embedding);
      const all = join(folder, `whole-${layout}-${JSON.stringify(tying)}`);
      writeCheckpoint(join(GOLDEN, 'ckpt-300m'), all, new Map(tensors).set(HEAD, embedding));
      await using whole = await FaceLlm.load(all, { device: TEST_DEVICE });
      const ask = async (one: FaceLlm): Promise<readonly number[]> =>
        (await one.ask({ question: 'Hi?', template: 'hub', maxNewTokens: 4 }).result()).logProbs;
      assert.deepEqual(await ask(model), await ask(whole));
    });
  }

  it('any other tensor is listed, all of them at once', async () => {
    const gone = [
      EMBEDDING,
      'language_model.model.norm.weight',
      'language_model.model.layers.1.self_attn.k_proj.bias',
      'multi_modal_projector.linear_2.bias',
      'vision_tower.encoder.layer.0.lambda_1',
      'vision_tower.embeddings.cls_token',
    ];
    const directory = join(folder, 'holes');
    const rest = new Map([...tensors].filter(([key]) => !gone.includes(key)));
    writeCheckpoint(join(GOLDEN, 'ckpt-300m'), directory, rest);
    const loading = FaceLlm.load(directory, { device: TEST_DEVICE });
    await assert.rejects(loading, (error: unknown) => gone.every((name) => missing(name)(error)));
  });
});
