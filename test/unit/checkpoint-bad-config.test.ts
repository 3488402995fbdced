/** lib/checkpoint/config: every wrong value is refused by name, and all of them at once. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { FaceLlmError } from '../../lib/errors.js';
import {
  copyGolden,
  errorOf,
  type Json,
  readGolden,
  setKey,
  TestFolder,
} from './checkpoint-folder.js';

type Case = readonly [path: string, value: unknown, problem: RegExp];

const HF_CASES: readonly Case[] = [
  ['downsample_ratio', 0.3, /downsample_ratio: expected 1 divided by .* received 0.3/],
  ['downsample_ratio', '0.5', /downsample_ratio: expected 1 divided by .* received "0.5"/],
  ['image_seq_length', 256, /image_seq_length: must be/],
  ['image_token_id', 5000, /image_token_id: must be below text_config.vocab_size/],
  ['image_token_id', 2071, /image_token_id: expected 2072, the tokenizer's <IMG_CONTEXT>/],
  ['projector_hidden_act', 'silu', /projector_hidden_act: expected "gelu", received "silu"/],
  ['vision_feature_layer', 3, /vision_feature_layer: names no layer/],
  ['vision_feature_layer', -4, /vision_feature_layer: names no layer/],
  ['vision_feature_layer', [-1], /vision_feature_layer: expected a whole number/],
  ['vision_feature_select_strategy', 'full', /vision_feature_select_strategy: expected "default"/],
  ['torch_dtype', 'float8', /torch_dtype: expected bfloat16, float16, float32, received "float8"/],
  ['text_config', undefined, /text_config: /],
  ['text_config', 5, /text_config: /],
  ['text_config.model_type', 'qwen3', /text_config.model_type: expected "qwen2"/],
  ['text_config.hidden_size', undefined, /text_config.hidden_size: expected .* it is missing/],
  ['text_config.hidden_size', 64.5, /text_config.hidden_size: expected a whole number/],
  ['text_config.hidden_size', 2 ** 40, /text_config.hidden_size: expected a whole number/],
  ['text_config.num_hidden_layers', 0, /text_config.num_hidden_layers: expected a whole number/],
  [
    'text_config.num_attention_heads',
    6,
    /text_config.num_attention_heads: must divide hidden_size/,
  ],
  ['text_config.num_key_value_heads', 3, /text_config.num_key_value_heads: must divide/],
  ['text_config.head_dim', 15, /text_config.head_dim: must be even/],
  ['text_config.vocab_size', -1, /text_config.vocab_size: expected a whole number/],
  ['text_config.rms_norm_eps', 0, /text_config.rms_norm_eps: expected a number above 0/],
  ['text_config.hidden_act', 'gelu', /text_config.hidden_act: expected "silu"/],
  ['text_config.use_sliding_window', true, /text_config.use_sliding_window: expected false/],
  [
    'text_config.layer_types',
    ['full_attention', 'sliding_attention'],
    /text_config.layer_types.1: expected "full_attention"/,
  ],
  ['text_config.rope_theta', undefined, /text_config.rope_theta: is missing/],
  ['text_config.rope_theta', 'x', /text_config.rope_theta: expected a number above 1/],
  [
    'text_config.rope_scaling',
    { type: 'yarn' },
    /text_config.rope_scaling.type: expected "default"/,
  ],
  ['text_config.rope_scaling', { type: 'dynamic' }, /text_config.rope_scaling.factor: dynamic/],
  [
    'text_config.rope_scaling',
    { type: 'dynamic', factor: 2, partial_rotary_factor: 0.5 },
    /text_config.rope_scaling.partial_rotary_factor: expected 1/,
  ],
  ['vision_config', undefined, /vision_config: /],
  ['vision_config.image_size', [56, 112], /vision_config.image_size: expected a square size/],
  ['vision_config.image_size', [56, 56, 56], /vision_config.image_size: expected a square size/],
  ['vision_config.patch_size', 0, /vision_config.patch_size: expected a square size/],
  ['vision_config.patch_size', 15, /vision_config.patch_size: must divide image_size/],
  ['vision_config.num_attention_heads', 3, /vision_config.num_attention_heads: must divide/],
  [
    'vision_config.norm_type',
    'batch',
    /vision_config.norm_type: expected "layer_norm" or "rms_norm"/,
  ],
  ['vision_config.attention_bias', 'yes', /vision_config.attention_bias: expected true or false/],
  ['vision_config.hidden_act', 'gelu_new', /vision_config.hidden_act: expected "gelu"/],
  ['vision_config.num_channels', 4, /vision_config.num_channels: expected 3/],
  ['vision_config.use_mask_token', true, /vision_config.use_mask_token: expected false/],
  [
    'vision_config.use_absolute_position_embeddings',
    false,
    /vision_config.use_absolute_position_embeddings: expected true/,
  ],
];

const ORIGINAL_CASES: readonly Case[] = [
  ['ps_version', 'v1', /ps_version: expected "v2", received "v1"/],
  ['ps_version', undefined, /ps_version: expected "v2", but it is missing/],
  ['template', 'Hermes-2', /template: expected "internvl2_5"/],
  ['pad2square', true, /pad2square: expected false/],
  ['select_layer', 9, /select_layer: names no layer/],
  ['force_image_size', 70, /downsample_ratio: the patches of a tile cannot be joined/],
  ['min_dynamic_patch', 13, /min_dynamic_patch: must not exceed max_dynamic_patch/],
  ['llm_config.model_type', 'internlm2', /llm_config.model_type: expected "qwen2"/],
  ['llm_config.num_key_value_heads', undefined, /llm_config.num_key_value_heads: expected/],
  ['vision_config.qk_normalization', 1, /vision_config.qk_normalization: expected true or false/],
  ['vision_config.hidden_size', undefined, /vision_config.hidden_size: expected/],
  ['llm_config.vocab_size', 2060, /tokenizer: <IMG_CONTEXT> has id 2072, not below/],
];

const PREPROCESSOR_CASES: readonly Case[] = [
  ['size', { height: 56, width: 57 }, /size: expected a square size/],
  ['size', { shortest_edge: 56 }, /size: expected a square size/],
  ['size', undefined, /size: expected a square size.*missing/],
  ['size', 448, /size: expected 56, the vision tower's image_size, received 448/],
  ['image_mean', [0.5, 0.5], /image_mean: expected three numbers/],
  ['image_mean', undefined, /image_mean: expected three numbers, but it is missing/],
  ['image_std', [0.2, 0, 0.2], /image_std: expected three numbers above 0/],
  ['rescale_factor', 0, /rescale_factor: expected a number above 0/],
  ['resample', 2, /resample: expected 3/],
  [
    'image_processor_type',
    'CLIPImageProcessor',
    /image_processor_type: expected "GotOcr2ImageProcessor"/,
  ],
  ['do_normalize', false, /do_normalize: expected true/],
  ['min_patches', 13, /min_patches: must not exceed max_patches/],
  ['max_patches', 0, /max_patches: expected a whole number/],
];

describe('readCheckpointConfig of bad files', () => {
  let folder: TestFolder;

  beforeEach(async () => {
    folder = await TestFolder.create();
    await copyGolden('ckpt-300m', folder);
  });
  afterEach(() => folder.remove());

  async function problemsOf(
    source: string,
    file: string,
    changes: Json,
  ): Promise<readonly string[]> {
    const json = await readGolden(source);
    for (const [path, value] of Object.entries(changes)) setKey(json, path, value);
    await folder.write(file, json);
    const error = await errorOf(readCheckpointConfig(folder.path));
    assert.equal(error.code, 'FACELLM_CONFIG_INVALID');
    assert.ok(error.message.includes(folder.path), error.message);
    return error.details;
  }

  const groups = [
    ['HF config.json', 'ckpt-300m/config.json', 'config.json', HF_CASES],
    ['original config.json', 'original-300m-config.json', 'config.json', ORIGINAL_CASES],
    [
      'preprocessor_config.json',
      'ckpt-300m/preprocessor_config.json',
      'preprocessor_config.json',
      PREPROCESSOR_CASES,
    ],
  ] as const;
  for (const [title, source, file, cases] of groups) {
    for (const [path, value, problem] of cases) {
      it(`${title}: ${path} = ${JSON.stringify(value) ?? 'absent'}`, async () => {
        const details = await problemsOf(source, file, { [path]: value });
        const matching = details.filter((detail) => problem.test(detail));
        assert.equal(matching.length, 1, `${problem} in ${JSON.stringify(details)}`);
        assert.match(matching[0] ?? '', /^(\w+\.json|tokenizer): /);
      });
    }
  }

  it('lists problems of all files and all levels at once', async () => {
    await folder.write('generation_config.json', { eos_token_id: [] });
    await folder.write('processor_config.json', { image_seq_length: 5 });
    await rm(folder.at('preprocessor_config.json'));
    const details = await problemsOf('ckpt-300m/config.json', 'config.json', {
      image_token_id: -1,
      projector_hidden_act: 'relu',
      'text_config.num_key_value_heads': 3,
      'text_config.hidden_size': 'big',
      'vision_config.patch_size': 15,
      'vision_config.norm_type': 'x',
    });
    const keys = details.map((detail) => detail.split(': ').slice(0, 2).join(': '));
    assert.deepEqual(keys.sort(), [
      'config.json: image_token_id',
      'config.json: projector_hidden_act',
      'config.json: text_config.hidden_size',
      'config.json: text_config.num_key_value_heads',
      'config.json: vision_config.norm_type',
      'config.json: vision_config.patch_size',
      'generation_config.json: eos_token_id',
      'preprocessor_config.json: is missing, and processor_config.json has no image_processor',
    ]);
  });

  it('checks the other files against config.json', async () => {
    await folder.write('processor_config.json', { image_seq_length: 5 });
    await folder.write('generation_config.json', { eos_token_id: [2050, 9999] });
    const details = await problemsOf('ckpt-300m/config.json', 'config.json', {});
    assert.equal(details.length, 2);
    assert.match(details.join('\n'), /processor_config.json: image_seq_length: expected 4 as in/);
    assert.match(details.join('\n'), /eos_token_id: 9999 not below vocab_size 2079/);
  });

  it('names unknown model types', async () => {
    for (const type of ['llava', 'toString', undefined, 5]) {
      const details = await problemsOf('ckpt-300m/config.json', 'config.json', {
        model_type: type,
      });
      assert.match(details.join(), /config.json: model_type: expected "internvl" \(HF layout\)/);
    }
  });

  it('names original checkpoints whose tokenizer lacks the tokens', async () => {
    for (const name of ['added_tokens.json', 'tokenizer_config.json', 'tokenizer.json']) {
      await rm(folder.at(name));
    }
    const details = await problemsOf('original-300m-config.json', 'config.json', {});
    assert.deepEqual(
      details.map((detail) => detail.split(' is in none')[0]),
      ['tokenizer: <IMG_CONTEXT>', 'tokenizer: <|im_end|>'],
    );
  });

  it('lists files that are not JSON together', async () => {
    await folder.write('added_tokens.json', '{"a": ');
    await folder.write('generation_config.json', '[1]');
    await folder.write('preprocessor_config.json', 'x');
    const details = await problemsOf('ckpt-300m/config.json', 'config.json', {});
    assert.deepEqual(
      details.map((detail) => detail.split(':')[0]),
      ['added_tokens.json', 'generation_config.json', 'preprocessor_config.json'],
    );
  });

  it('survives any value anywhere', async function () {
    this.timeout(600_000); // thousands of files, and the machine may be busy
    const pathsOf = (value: unknown, prefix: string): string[] =>
      Object.entries(value as object).flatMap(([key, inner]) => {
        const path = `${prefix}${key}`;
        const isNested = typeof inner === 'object' && inner !== null && !Array.isArray(inner);
        return isNested ? [path, ...pathsOf(inner, `${path}.`)] : [path];
      });
    const values = [null, {}, [], [[]], -1, 1e300, '', 'x', true, undefined];
    let refused = 0;
    for (const source of ['ckpt-300m/config.json', 'original-300m-config.json']) {
      const golden = await readGolden(source);
      for (const path of pathsOf(golden, '')) {
        for (const value of values) {
          const json = structuredClone(golden);
          setKey(json, path, value);
          await folder.write('config.json', json);
          try {
            await readCheckpointConfig(folder.path);
          } catch (error) {
            assert.ok(error instanceof FaceLlmError, `${path}: ${String(error)}`);
            assert.equal(error.code, 'FACELLM_CONFIG_INVALID');
            assert.notEqual(error.details.length, 0);
            refused += 1;
          }
        }
      }
    }
    assert.ok(refused > 300, String(refused));
  });

  it('needs config.json', async () => {
    await rm(join(folder.path, 'config.json'));
    const error = await errorOf(readCheckpointConfig(folder.path));
    assert.equal(error.code, 'FACELLM_CHECKPOINT_NOT_FOUND');
    await folder.write('config.json', '{');
    const broken = await errorOf(readCheckpointConfig(folder.path));
    assert.equal(broken.code, 'FACELLM_CONFIG_INVALID');
  });
});
