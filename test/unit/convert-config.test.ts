/** Configuration from one layout to the other: what the reader takes from either is the same. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  type CheckpointConfig,
  type CheckpointLayout,
  convertConfig,
  isCompanion,
  readCheckpointConfig,
} from '../../lib/checkpoint/index.js';
import type { JsonObject } from '../../lib/files/index.js';
import { GOLDEN } from '../support/golden.js';

function readJson(path: string): JsonObject {
  return JSON.parse(readFileSync(path, 'utf8')) as JsonObject;
}

describe('converted configuration', () => {
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'facellm-convert-'))));
  after(() => rmSync(folder, { recursive: true }));

  /** Writes `raw` beside the small files of a golden checkpoint and reads the folder. */
  async function read(name: string, raw: JsonObject): Promise<CheckpointConfig> {
    const target = mkdtempSync(join(folder, 'case-'));
    cpSync(join(GOLDEN, name), target, {
      recursive: true,
      filter: (file) => !/safetensors|\/config\.json$/.test(file),
    });
    if (name === 'ckpt-6b') {
      for (const file of ['tokenizer.json', 'vocab.json', 'merges.txt']) {
        cpSync(join(GOLDEN, 'ckpt-300m', file), join(target, file));
      }
    }
    writeFileSync(join(target, 'config.json'), JSON.stringify(raw));
    return readCheckpointConfig(target);
  }

  const change: readonly (readonly [
    string,
    (raw: Record<string, Record<string, unknown>>) => void,
  ])[] = [
    ['as released', () => {}],
    [
      'RoPE as transformers 5 writes it',
      ({ text_config: text = {} }) => {
        delete text['rope_theta'];
        delete text['rope_scaling'];
        text['rope_parameters'] = { rope_theta: 10000, rope_type: 'default' };
        delete text['torch_dtype'];
        text['dtype'] = 'bfloat16';
      },
    ],
    [
      'heads of a size of their own, another feature layer',
      (raw) => {
        (raw['text_config'] ?? {})['head_dim'] = 32;
        (raw as Record<string, unknown>)['vision_feature_layer'] = -2;
      },
    ],
  ];
  for (const name of ['ckpt-300m', 'ckpt-6b']) {
    for (const [how, edit] of change) {
      it(`${name}, ${how}: to the original layout and back`, async () => {
        const raw = structuredClone(readJson(join(GOLDEN, name, 'config.json')));
        edit(raw as Record<string, Record<string, unknown>>);
        const config = await read(name, raw);
        const options = { dtype: undefined, isTied: name === 'ckpt-6b' };
        const original = convertConfig(raw, config, { ...options, layout: 'original' });
        const asOriginal = await read(name, original);
        assert.deepEqual(asOriginal, { ...config, layout: 'original' });
        const back = convertConfig(original, asOriginal, { ...options, layout: 'hf' });
        assert.deepEqual(await read(name, back), config);
      });
    }
  }

  it("the oracle's original config comes out of its HF one, key for key where both are read", async () => {
    for (const [name, file] of [
      ['ckpt-300m', 'original-300m-config.json'],
      ['ckpt-6b', 'original-6b-config.json'],
    ] as const) {
      const raw = readJson(join(GOLDEN, name, 'config.json'));
      const oracle = readJson(join(GOLDEN, file));
      const made = convertConfig(raw, await read(name, raw), {
        layout: 'original',
        dtype: undefined,
        isTied: name === 'ckpt-6b',
      });
      // Ours leaves out auto_map: it would name code that is not in the folder.
      const keys = Object.keys(oracle).filter((key) => key !== 'auto_map');
      assert.deepEqual(Object.keys(made).sort(), keys.sort());
      const { vision_config: madeVision, llm_config: madeText, ...madeRest } = made;
      const { vision_config: vision, llm_config: text, auto_map: remoteCode, ...rest } = oracle;
      assert.ok(remoteCode);
      assert.deepEqual(madeRest, rest);
      assert.deepEqual(madeVision, { ...(vision as object), drop_path_rate: 0 });
      const chat = { eos_token_id: 2050, use_cache: true };
      assert.deepEqual(madeText, { ...(text as object), ...chat });
    }
  });

  it('another dtype reaches every place that states one', async () => {
    const raw = readJson(join(GOLDEN, 'ckpt-300m', 'config.json'));
    const config = await read('ckpt-300m', raw);
    for (const layout of ['hf', 'original'] as const) {
      const made = convertConfig(raw, config, { layout, dtype: 'fp32', isTied: false });
      assert.ok(!JSON.stringify(made).includes('bfloat16'));
      assert.equal((await read('ckpt-300m', made)).dtype, 'fp32');
    }
    const silent = convertConfig({ model_type: 'internvl' }, config, {
      layout: 'hf',
      dtype: 'bf16',
      isTied: false,
    });
    assert.equal(silent['torch_dtype'], 'bfloat16');
  });

  it('what a file states of tying follows the weights; one that states nothing stays so', async () => {
    const stated = readJson(join(GOLDEN, 'ckpt-300m', 'config.json'));
    const config = await readCheckpointConfig(join(GOLDEN, 'ckpt-300m'));
    const options = { layout: 'hf', dtype: undefined } as const;
    const places = (raw: JsonObject): unknown[] => [
      raw['tie_word_embeddings'],
      (raw['text_config'] as JsonObject)['tie_word_embeddings'],
    ];
    for (const isTied of [false, true]) {
      assert.deepEqual(places(convertConfig(stated, config, { ...options, isTied })), [
        isTied,
        isTied,
      ]);
    }
    const silent = Object.fromEntries(
      Object.entries(stated).filter(([key]) => key !== 'tie_word_embeddings'),
    );
    assert.ok(
      !('tie_word_embeddings' in convertConfig(silent, config, { ...options, isTied: true })),
    );
  });

  it('files that go along', () => {
    const goes = (name: string, from: CheckpointLayout, to: CheckpointLayout): boolean =>
      isCompanion(name, from, to);
    for (const name of ['tokenizer.json', 'vocab.json', 'generation_config.json', 'LICENSE']) {
      assert.ok(goes(name, 'hf', 'original') && goes(name, 'original', 'hf'), name);
    }
    assert.ok(goes('modeling_internvl_chat.py', 'original', 'original'));
    assert.ok(!goes('modeling_internvl_chat.py', 'original', 'hf'));
    assert.ok(!goes('preprocessor_config.json', 'original', 'hf'));
    assert.ok(goes('preprocessor_config.json', 'hf', 'hf'));
    for (const name of ['model.safetensors', 'config.json', 'optimizer.safetensors', 'run.json']) {
      assert.ok(!goes(name, 'hf', 'hf'), name);
    }
  });
});
