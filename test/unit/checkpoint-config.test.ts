/** lib/checkpoint/config: both layouts of the golden checkpoints, and variants that must be equal. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { type CheckpointConfig, readCheckpointConfig } from '../../lib/checkpoint/index.js';
import {
  copyGolden,
  GOLDEN,
  type Json,
  readGolden,
  setKey,
  TestFolder,
} from './checkpoint-folder.js';

describe('readCheckpointConfig', () => {
  let folder: TestFolder;

  beforeEach(async () => {
    folder = await TestFolder.create();
  });
  afterEach(() => folder.remove());

  /** The golden HF checkpoint with keys of one file changed. */
  async function readChanged(changes: Json, file = 'config.json'): Promise<CheckpointConfig> {
    await copyGolden('ckpt-300m', folder);
    const json = await readGolden(join('ckpt-300m', file));
    for (const [path, value] of Object.entries(changes)) setKey(json, path, value);
    await folder.write(file, json);
    return readCheckpointConfig(folder.path);
  }

  async function readOriginal(name: string, changes: Json = {}): Promise<CheckpointConfig> {
    await copyGolden(`ckpt-${name}`, folder);
    await rm(folder.at('preprocessor_config.json'));
    const json = await readGolden(`original-${name}-config.json`);
    for (const [path, value] of Object.entries(changes)) setKey(json, path, value);
    await folder.write('config.json', json);
    return readCheckpointConfig(folder.path);
  }

  it('reads the HF layout', async () => {
    const config = await readCheckpointConfig(join(GOLDEN, 'ckpt-300m'));
    assert.deepEqual(config, {
      layout: 'hf',
      model: {
        vision: {
          hiddenSize: 64,
          intermediateSize: 96,
          numHiddenLayers: 2,
          numAttentionHeads: 2,
          imageSize: 56,
          patchSize: 14,
          hasQkvBias: true,
          hasQkNorm: false,
          isRmsNorm: false,
          normEps: 1e-6,
          hasFinalNorm: false,
        },
        text: {
          hiddenSize: 64,
          intermediateSize: 96,
          numHiddenLayers: 2,
          numAttentionHeads: 4,
          numKeyValueHeads: 2,
          headDim: 16,
          vocabSize: 2079,
          maxPositionEmbeddings: 32768,
          rmsNormEps: 1e-6,
          ropeTheta: 1e6,
          ropeDynamicFactor: 2,
        },
        downsampleRatio: 0.5,
        imageSeqLength: 4,
        imageTokenId: 2072,
        visionFeatureLayer: -1,
        keepsClsToken: false,
        tiesEmbeddings: false,
      },
      preprocessing: {
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
        rescaleFactor: 1 / 255,
      },
      dtype: 'bf16',
      tileSize: 56,
      minTiles: 1,
      maxTiles: 12,
      useThumbnail: true,
      generation: { eosTokenIds: [2050], bosTokenId: 2048, options: {}, notFollowed: [] },
    });
  });

  it('reads the 6B tower', async () => {
    const { vision } = (await readCheckpointConfig(join(GOLDEN, 'ckpt-6b'))).model;
    assert.deepEqual([vision.hasQkvBias, vision.hasQkNorm, vision.isRmsNorm], [false, true, true]);
  });

  for (const name of ['300m', '6b']) {
    it(`reads the original layout as the same model: ${name}`, async () => {
      const hf = await readCheckpointConfig(join(GOLDEN, `ckpt-${name}`));
      const original = await readOriginal(name);
      assert.deepEqual(original, { ...hf, layout: 'original' });
    });
  }

  it('takes the tile limits of the original layout', async () => {
    const tiled = await readOriginal('300m', { max_dynamic_patch: 6, use_thumbnail: false });
    assert.deepEqual([tiled.minTiles, tiled.maxTiles, tiled.useThumbnail], [1, 6, false]);
    const fixed = await readOriginal('300m', { dynamic_image_size: false });
    assert.deepEqual([fixed.minTiles, fixed.maxTiles], [1, 1]);
  });

  it('lets force_image_size win', async () => {
    const changes = { force_image_size: 112, 'vision_config.image_size': 448 };
    const config = await readOriginal('300m', changes);
    assert.deepEqual([config.tileSize, config.model.imageSeqLength], [112, 16]);
    const absent = await readOriginal('300m', { force_image_size: null });
    assert.equal(absent.tileSize, 56);
  });

  it('finds the ids of the original layout in each tokenizer file', async () => {
    await readOriginal('300m');
    const files = ['added_tokens.json', 'tokenizer_config.json', 'tokenizer.json'];
    for (const name of files) {
      const config = await readCheckpointConfig(folder.path);
      assert.equal(config.model.imageTokenId, 2072, `with ${name}`);
      assert.deepEqual(config.generation.eosTokenIds, [2050]);
      await rm(folder.at(name));
    }
    await folder.write('vocab.json', { '<IMG_CONTEXT>': 7, '<|im_end|>': 8 });
    const config = await readCheckpointConfig(folder.path);
    assert.deepEqual([config.model.imageTokenId, config.generation.eosTokenIds], [7, [8]]);
  });

  it('reads both spellings of RoPE', async () => {
    const rope = async (changes: Json): Promise<number[]> => {
      const { text } = (await readChanged(changes)).model;
      return [text.ropeTheta, text.ropeDynamicFactor];
    };
    const none = { 'text_config.rope_theta': undefined, 'text_config.rope_scaling': null };
    assert.deepEqual(
      await rope({
        ...none,
        'text_config.rope_parameters': { rope_theta: 5e5, rope_type: 'dynamic', factor: 3 },
      }),
      [5e5, 3],
    );
    const plain = { rope_theta: 1e6, rope_type: 'default' };
    assert.deepEqual(await rope({ ...none, 'text_config.rope_parameters': plain }), [1e6, 0]);
    assert.deepEqual(await rope({ 'text_config.rope_scaling': null }), [1e6, 0]);
    const old = { type: 'dynamic', factor: 2.5 };
    assert.deepEqual(await rope({ 'text_config.rope_scaling': old }), [1e6, 2.5]);
  });

  it('reads both spellings of the dtype', async () => {
    const dtype = async (changes: Json): Promise<string> => (await readChanged(changes)).dtype;
    const none = { torch_dtype: undefined };
    assert.equal(await dtype({ torch_dtype: 'float16' }), 'fp16');
    assert.equal(await dtype({ ...none, dtype: 'torch.float32' }), 'fp32');
    assert.equal(await dtype({ ...none, 'text_config.torch_dtype': 'float32' }), 'fp32');
    assert.equal(await dtype({ ...none, 'text_config.torch_dtype': undefined }), 'bf16');
  });

  it('accepts sizes as one number and keys left at their class defaults', async () => {
    const config = await readChanged({
      'vision_config.image_size': 56,
      'vision_config.patch_size': 14,
      'vision_config.norm_type': undefined,
      'vision_config.layer_norm_eps': undefined,
      'vision_config.hidden_act': undefined,
      'vision_config.num_channels': undefined,
      'vision_config.use_mean_pooling': false,
      'text_config.head_dim': 32,
      'text_config.layer_types': ['full_attention', 'full_attention'],
      vision_feature_layer: -2,
      unknown_key: { any: 'thing' },
    });
    const { vision, text } = config.model;
    assert.deepEqual([vision.imageSize, vision.patchSize, vision.isRmsNorm], [56, 14, false]);
    assert.deepEqual([vision.normEps, vision.hasFinalNorm, text.headDim], [1e-6, true, 32]);
    assert.equal(config.model.visionFeatureLayer, -2);
  });

  it('keeps the order of several end tokens and falls back to the text config', async () => {
    const file = 'generation_config.json';
    const ids = async (value: unknown): Promise<readonly number[]> =>
      (await readChanged({ eos_token_id: value }, file)).generation.eosTokenIds;
    assert.deepEqual(await ids([2050, 2048]), [2050, 2048]);
    assert.deepEqual(await ids(undefined), [2050]);
    await rm(folder.at(file));
    assert.deepEqual((await readCheckpointConfig(folder.path)).generation, {
      eosTokenIds: [2050],
      bosTokenId: 2048,
      options: {},
      notFollowed: [],
    });
    const padded = await readChanged({ pad_token_id: 2048 }, file);
    assert.equal(padded.generation.padTokenId, 2048);
  });

  it('finds the image processor inside processor_config.json', async () => {
    const image = await readGolden('ckpt-300m/preprocessor_config.json');
    setKey(image, 'max_patches', 5);
    const config = await readChanged({ image_processor: image }, 'processor_config.json');
    assert.equal(config.maxTiles, 5);
    await rm(folder.at('preprocessor_config.json'));
    assert.equal((await readCheckpointConfig(folder.path)).maxTiles, 5);
  });
});
