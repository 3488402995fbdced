/** Which modules an adapter touches: as PEFT matches them. */
import assert from 'node:assert/strict';

import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { FaceLlmError } from '../../lib/index.js';
import { adapterConfigJson, readAdapterConfig } from '../../lib/lora/adapter-config.js';
import { type LoraOptions, resolveTargets } from '../../lib/lora/targets.js';
import { BASE } from '../support/training.js';
import { TestFolder } from './checkpoint-folder.js';

const LORA: LoraOptions = {
  rank: 16,
  alpha: 32,
  targets: 'all',
  rankPattern: {},
  alphaPattern: {},
  usesRsLora: false,
};

describe('LoRA targets', () => {
  let resolve: (changed: Partial<LoraOptions>) => ReturnType<typeof resolveTargets>;
  let layers = 0;
  before(async () => {
    const config = (await readCheckpointConfig(BASE)).model;
    layers = config.text.numHiddenLayers;
    resolve = (changed) => resolveTargets(config, { ...LORA, ...changed });
  });

  it('all: the seven projections of every text layer, nothing of vision, projector and head', () => {
    const names = resolve({}).map(({ name }) => name);
    assert.equal(names.length, 7 * layers);
    assert.ok(names.every((name) => name.startsWith('language_model.model.layers.')));
  });

  it('a bare suffix also hits the vision tower, as in PEFT; a full name hits one', () => {
    const names = resolve({ targets: ['q_proj'] }).map(({ name }) => name);
    assert.ok(names.some((name) => name.startsWith('vision_tower.')));
    const one = 'model.language_model.layers.1.mlp.up_proj';
    assert.deepEqual(
      resolve({ targets: [one] }).map(({ name }) => name),
      ['language_model.model.layers.1.mlp.up_proj'],
    );
  });

  it('one pattern matches whole names', () => {
    const names = resolve({ targets: '.*language_model.*\\.(q|v)_proj' }).map(({ name }) => name);
    assert.equal(names.length, 2 * layers);
    assert.throws(() => resolve({ targets: 'q_proj' }), { code: 'FACELLM_ADAPTER_INVALID' });
    assert.throws(() => resolve({ targets: '(' }), { code: 'FACELLM_ADAPTER_INVALID' });
  });

  it('ranks and alphas by pattern, scale by alpha / rank or its root', () => {
    const modules = resolve({
      rankPattern: { 'layers.0.*q_proj': 4 },
      alphaPattern: { v_proj: 8 },
    });
    const of = (end: string) => modules.find(({ name }) => name.endsWith(end));
    assert.deepEqual([of('0.self_attn.q_proj')?.rank, of('0.self_attn.q_proj')?.scaling], [4, 8]);
    assert.equal(of('1.self_attn.q_proj')?.rank, 16);
    assert.equal(of('0.self_attn.v_proj')?.scaling, 0.5);
    assert.equal(resolve({ usesRsLora: true })[0]?.scaling, 8);
  });

  it('every target without a module is named', () => {
    assert.throws(
      () => resolve({ targets: ['q_proj', 'query', 'lm_head'] }),
      (error: FaceLlmError) => {
        assert.deepEqual(error.details, [
          'query: the model has no such module',
          'lm_head: the model has no such module',
        ]);
        return true;
      },
    );
  });
});

describe('adapter_config.json', () => {
  let folder: TestFolder;
  before(async () => {
    folder = await TestFolder.create();
  });
  after(() => folder.remove());

  it('is read back as it was written', async () => {
    const config = (await readCheckpointConfig(BASE)).model;
    const written = {
      ...LORA,
      dropout: 0.05,
      usesDora: true,
      usesRsLora: true,
      rankPattern: { q_proj: 4 },
    };
    const modules = resolveTargets(config, written);
    await folder.write('adapter_config.json', adapterConfigJson(written, modules, 'base'));
    const read = await readAdapterConfig(folder.path);
    for (const [key, value] of Object.entries({ ...written, targets: read.targets })) {
      assert.deepEqual(read[key as keyof typeof read], value, key);
    }
    assert.deepEqual(resolveTargets(config, read), modules);
  });

  it('what it cannot do here is refused with every reason', async () => {
    await folder.write('adapter_config.json', {
      peft_type: 'IA3',
      r: 0,
      lora_alpha: 1,
      target_modules: [],
      bias: 'all',
      future_key: 1,
    });
    await assert.rejects(readAdapterConfig(folder.path), (error: FaceLlmError) => {
      assert.equal(error.code, 'FACELLM_ADAPTER_INVALID');
      for (const key of ['peft_type', 'r', 'target_modules', 'bias']) {
        assert.ok(
          error.details.some((detail) => detail.startsWith(`${key}: `)),
          key,
        );
      }
      return true;
    });
    await folder.write('adapter_config.json', 'not JSON');
    await assert.rejects(readAdapterConfig(folder.path), { code: 'FACELLM_ADAPTER_INVALID' });
  });
});
