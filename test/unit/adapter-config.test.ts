/** adapter_config.json as PEFT writes it, with everything that decides which modules are adapted. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { readAdapter, readAdapterConfig } from '../../lib/lora/index.js';
import { GOLDEN } from '../support/golden.js';

const BASE = { peft_type: 'LORA', r: 4, lora_alpha: 8, target_modules: ['q_proj'] };

describe('adapter_config.json', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'facellm-peft-'))));
  afterEach(() => rmSync(folder, { recursive: true }));
  const write = (json: object): void => {
    writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(json));
    writeFileSync(join(folder, 'adapter_model.safetensors'), '');
  };
  const modulesOf = async (json: object): Promise<string[]> => {
    write({ ...BASE, ...json });
    const { model } = await readCheckpointConfig(join(GOLDEN, 'ckpt-300m'));
    return (await readAdapter(folder, model)).source.modules.map(({ name }) => name);
  };
  const text = (layer: number, name: string): string =>
    `language_model.model.layers.${layer}.${name}`;

  it("PEFT's own file is read, unknown keys and all", async () => {
    const directory = join(GOLDEN, 'train-lora', 'adapter_final');
    const config = await readAdapterConfig(directory);
    assert.equal(config.rank, 16);
    assert.equal(config.alpha, 32);
    const raw = JSON.parse(readFileSync(join(directory, 'adapter_config.json'), 'utf8')) as {
      target_modules: string[];
    };
    assert.deepEqual(config.targets, raw.target_modules);
  });

  it('suffixes, full names, one pattern, all-linear', async () => {
    const q = await modulesOf({});
    assert.deepEqual(
      q.filter((name) => name.startsWith('language')),
      [0, 1].map((i) => text(i, 'self_attn.q_proj')),
    );
    assert.equal(q.length, 4); // the vision tower has projections of the same name
    const full = ['model.language_model.layers.1.mlp.up_proj'];
    assert.deepEqual(await modulesOf({ target_modules: full }), [text(1, 'mlp.up_proj')]);
    const pattern = '.*language_model.*\\.(q|v)_proj';
    assert.equal((await modulesOf({ target_modules: pattern })).length, 4);
    assert.equal((await modulesOf({ target_modules: 'all-linear' })).length, 2 * 6 + 2 + 2 * 7);
  });

  it('excluded modules and chosen layers', async () => {
    const target_modules = ['q_proj', 'up_proj'];
    const without = await modulesOf({ target_modules, exclude_modules: '.*vision_tower.*' });
    assert.deepEqual(
      without,
      [0, 1].flatMap((i) => [text(i, 'self_attn.q_proj'), text(i, 'mlp.up_proj')]),
    );
    const listed = await modulesOf({ target_modules, exclude_modules: ['q_proj'] });
    assert.deepEqual(listed, [text(0, 'mlp.up_proj'), text(1, 'mlp.up_proj')]);
    const layers = await modulesOf({
      target_modules,
      layers_to_transform: [1],
      layers_pattern: 'layers',
    });
    assert.deepEqual(layers, [text(1, 'self_attn.q_proj'), text(1, 'mlp.up_proj')]);
    assert.equal((await modulesOf({ target_modules, layers_to_transform: 0 })).length, 3);
    // A target without a module is no fault as long as another has one.
    assert.equal((await modulesOf({ target_modules: ['up_proj', 'absent'] })).length, 2);
    await assert.rejects(modulesOf({ target_modules: ['absent'] }), {
      code: 'FACELLM_ADAPTER_INVALID',
    });
  });

  it('lists everything that would change the result and is not computed', async () => {
    write({
      ...BASE,
      peft_type: 'LOHA',
      r: 0,
      bias: 'all',
      lora_bias: true,
      modules_to_save: ['lm_head'],
      target_parameters: ['x'],
    });
    await assert.rejects(readAdapterConfig(folder), (error) => {
      const { code, details } = error as { code: string; details: string[] };
      assert.equal(code, 'FACELLM_ADAPTER_INVALID');
      assert.deepEqual(details.map((line) => line.split(':')[0]).sort(), [
        'bias',
        'lora_bias',
        'modules_to_save',
        'peft_type',
        'r',
        'target_parameters',
      ]);
      return true;
    });
  });

  const problemsOf = async (json: object): Promise<readonly string[]> => {
    write({ ...BASE, ...json });
    try {
      await readAdapterConfig(folder);
      return [];
    } catch (error) {
      const { code, details } = error as { code: string; details: string[] };
      assert.equal(code, 'FACELLM_ADAPTER_INVALID');
      return details;
    }
  };

  it('an initialisation that changes the base weights is refused, with the way to a plain adapter', async () => {
    for (const init of ['pissa', 'pissa_niter_16', 'olora', 'OLoRA', 'corda', 'lora_ga']) {
      const [line = '', ...others] = await problemsOf({ init_lora_weights: init });
      assert.ok(line.startsWith(`init_lora_weights: "${init}"`), line);
      assert.match(line, /path_initial_model_for_weight_conversion=INITIAL/);
      assert.deepEqual(others, []);
    }
    assert.match((await problemsOf({ init_lora_weights: 'loftq' })).join(), /merge_and_unload/);
    for (const init of ['pissa_niter_', 'pissas', 'zeros', 5, {}]) {
      assert.match((await problemsOf({ init_lora_weights: init })).join(), /is unknown; expected/);
    }
    for (const init of [true, false, null, 'gaussian', 'Gaussian', 'orthogonal', 'eva', 'mica']) {
      assert.deepEqual(await problemsOf({ init_lora_weights: init }), [], String(init));
    }
  });

  it("every field of PEFT 0.21's LoraConfig is followed, without effect, or refused by name", async () => {
    const defaults = {
      ...{ task_type: 'CAUSAL_LM', auto_mapping: null, peft_version: '0.21.0', revision: null },
      ...{ base_model_name_or_path: 'x', inference_mode: true, lora_dropout: 0, bias: 'none' },
      ...{ exclude_modules: null, fan_in_fan_out: false, use_rslora: false, use_dora: false },
      ...{ modules_to_save: null, init_lora_weights: true, layers_to_transform: null },
      ...{ layers_pattern: null, rank_pattern: {}, alpha_pattern: {}, megatron_config: null },
      ...{ megatron_core: 'megatron.core', trainable_token_indices: null, loftq_config: {} },
      ...{ eva_config: null, corda_config: null, lora_ga_config: null, velora_config: null },
      ...{ alora_invocation_tokens: null, use_qalora: false, qalora_group_size: 16 },
      ...{ monteclora_config: null, layer_replication: null, lora_bias: false },
      ...{ target_parameters: null, use_bdlora: null, arrow_config: null, kasa_config: null },
      ensure_weight_tying: false,
    };
    assert.deepEqual(await problemsOf(defaults), []);
    const harmless = {
      ...{ eva_config: { rho: 2 }, corda_config: { x: 1 }, lora_ga_config: { x: 1 } },
      ...{ loftq_config: { loftq_bits: 4 }, velora_config: { x: 1 }, ensure_weight_tying: true },
      ...{ auto_mapping: { base_model_class: 'X' }, qalora_group_size: 32, task_type: null },
    };
    assert.deepEqual(await problemsOf({ ...defaults, ...harmless }), []);
    const refused = {
      ...{ alora_invocation_tokens: [1], arrow_config: { k: 1 }, kasa_config: { beta: 1 } },
      ...{ layer_replication: [[0, 2]], lora_bias: true, megatron_config: { x: 1 } },
      ...{ modules_to_save: ['lm_head'], monteclora_config: { x: 1 }, target_parameters: ['x'] },
      ...{ trainable_token_indices: [5], use_bdlora: { x: 1 }, use_qalora: true },
    };
    for (const [name, value] of Object.entries(refused)) {
      const [line = '', ...others] = await problemsOf({ ...defaults, [name]: value });
      assert.match(line, new RegExp(`^${name}: .*, which is not supported; merge`));
      assert.deepEqual(others, []);
    }
    assert.equal((await problemsOf({ ...defaults, ...refused })).length, 12);
    assert.match((await problemsOf({ use_new: true })).join(), /^use_new: PEFT 0\.21 has no such/);
    assert.deepEqual(await problemsOf({ use_new: false, new_config: null, new_list: [] }), []);
  });

  it('absent or broken files are named', async () => {
    await assert.rejects(readAdapterConfig(folder), { code: 'FACELLM_ADAPTER_INVALID' });
    writeFileSync(join(folder, 'adapter_config.json'), '{');
    await assert.rejects(readAdapterConfig(folder), { code: 'FACELLM_ADAPTER_INVALID' });
    writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(BASE));
    const { model } = await readCheckpointConfig(join(GOLDEN, 'ckpt-300m'));
    await assert.rejects(readAdapter(folder, model), /adapter_model\.safetensors/);
  });
});
