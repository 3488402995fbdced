/** Adapters through the public API and the command line: load, swap, stack, unload, warn, merge, convert. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  type AnswerResult,
  exportModel,
  FaceLlm,
  mergeAdapter,
  type ModelWarning,
  facellm1b,
  train,
} from '../../lib/index.js';
import { loadAddon } from '../../lib/binding/load.js';
import { readCheckpointConfig, readCheckpointFiles } from '../../lib/checkpoint/index.js';
import { writeAdapter } from '../support/adapters.js';
import * as golden from '../support/golden.js';
import { readRaw, writeSafetensors } from '../support/original-layout.js';

const ROOT = join(import.meta.dirname, '..', '..');
const MAIN = join(ROOT, 'dist', 'cli', 'main.js');
const BASE = join(golden.GOLDEN, 'ckpt-300m');
const SHARDED = join(golden.GOLDEN, 'ckpt-6b');
const PHOTO = join(golden.GOLDEN, 'infer-300m', 'images', 'face_tiled_0.png');
const ASK = { image: PHOTO, question: 'Describe this face.', maxNewTokens: 12 } as const;
const SETTINGS = {
  template: 'training',
  system: 'You know faces.',
  tiles: 'off',
  limitsImageArea: true,
  dtype: 'bf16',
};

function facellm(args: readonly string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', cwd: ROOT });
}

const entry = async (answer: { result(): Promise<AnswerResult> }): Promise<readonly number[]> =>
  (await answer.result()).tokenIds;

describe('adapters, end to end', () => {
  let folder: string;
  let text: string;
  let vision: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-e2e-'));
    text = await writeAdapter(BASE, join(folder, 'text'), { seed: 11, b: 0.3 });
    writeFileSync(join(text, 'facellm_training.json'), JSON.stringify(SETTINGS));
    vision = await writeAdapter(BASE, join(folder, 'vision'), { seed: 12, b: 0.3, targets: '.*' });
  });
  after(() => rmSync(folder, { recursive: true }));

  it('load, per request, default, stack, unload: the base stays what it was', async () => {
    await using model = await FaceLlm.load(BASE, { dtype: 'fp32' });
    const base = await entry(model.ask(ASK));
    const same = { ...ASK, template: 'hub' } as const;
    const a = await model.loadAdapter(text);
    const b = await model.loadAdapter(vision, { name: 'second', scale: 0.5 });
    assert.deepEqual([a.name, b.name, b.facts.scale], ['text', 'second', 0.5]);
    assert.ok(b.facts.touchesVision && !a.facts.touchesVision);
    assert.deepEqual(await entry(model.ask(ASK)), base); // loaded is not active
    const withA = await entry(model.ask({ ...same, adapters: a }));
    const withB = await entry(model.ask({ ...same, adapters: b }));
    const both = await entry(model.ask({ ...same, adapters: [a, b] }));
    assert.equal(new Set([base, withA, withB, both].map(String)).size, 4);
    model.setAdapter(b);
    assert.deepEqual(model.activeAdapters, [b]);
    assert.deepEqual(await entry(model.ask(same)), withB);
    assert.deepEqual(await entry(model.ask({ ...same, adapters: null })), base);
    // A batch shares its stack; a question made before a swap keeps its adapter.
    const running = model.ask({ ...same, adapters: [a, b] });
    model.setAdapter(a);
    const unloading = b.unload();
    assert.deepEqual(await entry(running), both);
    await unloading;
    assert.deepEqual(model.adapters, [a]);
    const [one, two] = await model.chatBatch(
      [[{ role: 'user', content: 'Hello' }], [{ role: 'user', content: 'Who is it?' }]],
      { template: 'hub', maxNewTokens: 4 },
    );
    const alone = await entry(model.ask({ question: 'Hello', template: 'hub', maxNewTokens: 4 }));
    assert.deepEqual(one?.tokenIds, alone);
    assert.equal(two?.tokenIds.length, 4);
    await assert.rejects(model.ask({ ...same, adapters: b }).result(), {
      code: 'FACELLM_DISPOSED',
    });
    await a.unload();
    await a.unload();
    assert.deepEqual(await entry(model.ask(ASK)), base);
  });

  it("another model's handle, and adapters after dispose, are typed errors", async () => {
    const model = await FaceLlm.load(BASE, { dtype: 'fp32', adapter: [text, vision] });
    assert.equal(model.activeAdapters.length, 2);
    await using other = await FaceLlm.load(BASE, { dtype: 'fp32' });
    const [adapter] = model.adapters;
    assert.ok(adapter);
    assert.throws(() => other.setAdapter(adapter), { code: 'FACELLM_INVALID_ARGUMENT' });
    await assert.rejects(other.embedImages([PHOTO], { adapters: adapter }), {
      code: 'FACELLM_INVALID_ARGUMENT',
    });
    await model.dispose();
    await adapter.unload();
    await assert.rejects(model.loadAdapter(text), { code: 'FACELLM_DISPOSED' });
  });

  it('an adapter that does not fit lists every tensor, and a failed load leaves no model', async () => {
    const wrong = await writeAdapter(BASE, join(folder, 'wrong'), {});
    const tensors = readRaw(wrong);
    const keys = [...tensors.keys()];
    const [first = '', second = '', third = ''] = keys;
    const { dtype = 'F32', bytes = Buffer.alloc(0), shape = [] } = tensors.get(second) ?? {};
    tensors.set(second, { dtype, bytes, shape: [...shape].reverse() });
    tensors.delete(first);
    tensors.set('base_model.model.lm_head.lora_A.weight', { dtype, bytes, shape });
    const nan = Buffer.from(tensors.get(third)?.bytes ?? []);
    nan.writeFloatLE(NaN, 0);
    tensors.set(third, { ...(tensors.get(third) ?? { dtype, shape }), bytes: nan });
    writeSafetensors(join(wrong, 'adapter_model.safetensors'), tensors);
    await assert.rejects(FaceLlm.load(BASE, { adapter: wrong }), (error) => {
      const { code, details } = error as { code: string; details: string[] };
      assert.equal(code, 'FACELLM_ADAPTER_INVALID');
      assert.equal(details.length, 4, details.join('\n'));
      return true;
    });
    await assert.rejects(FaceLlm.load(BASE, { adapter: join(folder, 'absent') }), {
      code: 'FACELLM_CHECKPOINT_NOT_FOUND',
    });
    await assert.rejects(
      mergeAdapter({ model: BASE, adapters: [wrong], output: join(folder, 'no') }),
      {
        code: 'FACELLM_ADAPTER_INVALID',
      },
    );
    const smaller = withTokenizer(SHARDED, join(folder, 'smaller'));
    await assert.rejects(FaceLlm.load(smaller, { adapter: text }), {
      code: 'FACELLM_ADAPTER_INVALID',
    });
  });

  it('serves as trained by default, and warns once where told otherwise', async () => {
    const warnings: ModelWarning[] = [];
    const onWarning = (warning: ModelWarning): void => void warnings.push(warning);
    await using model = await FaceLlm.load(BASE, { dtype: 'fp32', adapter: text, onWarning });
    const asTrained = {
      template: 'training',
      system: SETTINGS.system,
      tiling: 'off',
      limitsImageArea: true,
      applyExif: false,
    } as const;
    const quiet = await model.ask(ASK).result();
    assert.deepEqual(await entry(model.ask({ ...ASK, ...asTrained })), quiet.tokenIds);
    assert.equal((await model.plan(PHOTO)).tiles, 1);
    assert.equal(warnings.length, 0);
    const own = [
      { role: 'system', content: 'Be short.' },
      { role: 'user', content: 'Hello' },
    ] as const;
    await model.chat(own, { maxNewTokens: 1 }).result();
    assert.equal(warnings.length, 0);
    const loud = await model.ask({ ...ASK, template: 'hub' }).result();
    await model.ask({ ...ASK, template: 'hub' }).result();
    assert.ok(loud.imageTokens > quiet.imageTokens);
    assert.equal(warnings.length, 1);
    assert.equal(warnings[0]?.adapter, 'text');
    assert.deepEqual(
      warnings[0]?.differences.map((line) => line.split(':')[0]),
      ['template', 'system', 'tiles', 'limitsImageArea', 'applyExif'],
    );
    // Without the adapter nobody was trained so: no record, no warning.
    await model.ask({ ...ASK, template: 'original', adapters: null }).result();
    assert.equal(warnings.length, 1);
  });

  it('an adapter that training leaves brings its settings along', async () => {
    const output = join(folder, 'run');
    const data = join(golden.GOLDEN, 'train-images', 'dataset.json');
    const recipe = {
      ...facellm1b(),
      dtype: 'fp32',
      maxSteps: 1,
      system: 'You know faces.',
    } as const;
    await train({ recipe, model: BASE, data, output, device: golden.TEST_DEVICE });
    const warnings: ModelWarning[] = [];
    const onWarning = (warning: ModelWarning): void => void warnings.push(warning);
    await using model = await FaceLlm.load(BASE, { dtype: 'fp32', adapter: output, onWarning });
    const { base, ...settings } = model.activeAdapters[0]?.facts.settings ?? {};
    assert.equal(base?.form, 'stored');
    assert.deepEqual(settings, {
      template: 'training',
      system: recipe.system,
      tiling: recipe.maxTiles === 0 ? 'off' : { minTiles: 1, maxTiles: recipe.maxTiles },
      limitsImageArea: recipe.limitsImageArea,
      applyExif: false,
      faces: 'off',
    });
    await model.ask({ ...ASK, maxNewTokens: 1 }).result();
    assert.equal(warnings.length, 0);
  });

  it('ask and choose take --adapter, and warn on stderr', () => {
    const common = ['--model', BASE, '--dtype', 'fp32', '--json'];
    const ask = (...args: string[]) =>
      facellm(['ask', PHOTO, ASK.question, ...common, '--max-new-tokens', '6', ...args]);
    const plain = ask();
    const adapted = ask('--adapter', text);
    assert.equal(adapted.status, 0, adapted.stderr);
    assert.doesNotMatch(adapted.stderr, /warning/);
    assert.notEqual(plain.stdout, adapted.stdout);
    const warned = ask('--template', 'hub', '--limit-area', 'off', '--adapter', text, vision);
    assert.match(warned.stderr, /^warning: the adapter text is used with other settings/m);
    assert.match(warned.stderr, /template: trained with training, now hub/);
    const chosen = facellm([
      ...['choose', PHOTO, 'Smiling?', ...common, '--adapter', text],
      ...['--choices', 'Yes', 'No'],
    ]);
    assert.equal(chosen.status, 0, chosen.stderr);
    const absent = ask('--adapter', join(folder, 'absent'));
    assert.equal(absent.status, 1);
    assert.match(absent.stderr, /FACELLM_CHECKPOINT_NOT_FOUND/);
  });

  it("merge writes shards, an index and all companions; the answers are the adapter's", async () => {
    const output = join(folder, 'merged');
    const args = ['merge', '--model', BASE, '--adapter', text, vision, '--output', output];
    const { status, stdout, stderr } = facellm([
      ...args,
      ...['--dtype', 'fp32', '--max-shard-size', '200KB', '--json'],
    ]);
    assert.equal(status, 0, stderr);
    const result = JSON.parse(stdout) as { files: string[]; tensors: number; tensorBytes: number };
    assert.ok(result.files.length > 2);
    const index = JSON.parse(
      readFileSync(join(output, 'model.safetensors.index.json'), 'utf8'),
    ) as {
      metadata: { total_size: number };
      weight_map: Record<string, string>;
    };
    assert.equal(index.metadata.total_size, result.tensorBytes);
    assert.equal(Object.keys(index.weight_map).length, result.tensors);
    assert.deepEqual([...new Set(Object.values(index.weight_map))].sort(), result.files);
    const names = readdirSync(output);
    for (const name of readdirSync(BASE).filter((one) => one !== 'model.safetensors')) {
      assert.ok(names.includes(name), name);
    }
    assert.ok(!names.some((name) => name.includes('tmp')));
    assert.deepEqual(
      JSON.parse(readFileSync(join(output, 'facellm_training.json'), 'utf8')),
      SETTINGS,
    );
    const warnings: ModelWarning[] = [];
    await using merged = await FaceLlm.load(output, {
      onWarning: (one) => void warnings.push(one),
    });
    assert.equal(merged.info.dtype, 'fp32');
    await using live = await FaceLlm.load(BASE, { dtype: 'fp32', adapter: [text, vision] });
    assert.deepEqual(await entry(merged.ask(ASK)), await entry(live.ask(ASK)));
    assert.equal(warnings.length, 0);
    await merged.ask({ ...ASK, template: 'hub', maxNewTokens: 1 }).result();
    assert.equal(warnings[0]?.adapter, undefined);
    assert.equal(warnings.length, 1);
    // Nothing is overwritten.
    const again = facellm(args);
    assert.equal(again.status, 2);
    assert.match(again.stderr, /is not empty/);
  });

  it('original layout and back: the same tensors, byte for byte, and the same configuration', async () => {
    for (const base of [BASE, withTokenizer(SHARDED, join(folder, 'ckpt-6b'))]) {
      const original = mkdtempSync(join(folder, 'original-'));
      const back = mkdtempSync(join(folder, 'back-'));
      await exportModel({ model: base, output: original, layout: 'original' });
      const hashes = base === BASE ? 'original-300m.json' : 'original-6b.json';
      const listed = JSON.parse(readFileSync(join(golden.GOLDEN, hashes), 'utf8')) as object;
      assert.deepEqual([...readRaw(original).keys()].sort(), Object.keys(listed).sort());
      await exportModel({ model: original, output: back, layout: 'hf' });
      const [before, after] = [readRaw(base), readRaw(back)];
      assert.deepEqual([...after.keys()].sort(), [...before.keys()].sort());
      for (const [name, { dtype, shape, bytes }] of before) {
        const other = after.get(name);
        assert.deepEqual([other?.dtype, other?.shape], [dtype, shape], name);
        assert.ok(other?.bytes.equals(bytes), name);
      }
      const config = await readCheckpointConfig(base);
      assert.deepEqual(await readCheckpointConfig(back), config);
      assert.deepEqual(await readCheckpointConfig(original), { ...config, layout: 'original' });
      assert.ok(!existsSync(join(original, 'preprocessor_config.json')));
    }
  });

  it('a layout that cannot say it all, a full disk, an abort: typed, and nothing is left behind', async () => {
    const odd = withTokenizer(BASE, join(folder, 'odd'));
    const file = join(odd, 'preprocessor_config.json');
    const preprocessor = JSON.parse(readFileSync(file, 'utf8')) as object;
    writeFileSync(file, JSON.stringify({ ...preprocessor, image_mean: [0.5, 0.5, 0.5] }));
    const parent = join(folder, 'parent');
    mkdirSync(parent);
    const output = join(parent, 'out');
    await assert.rejects(exportModel({ model: odd, output, layout: 'original' }), (error) => {
      const { code, details } = error as { code: string; details: string[] };
      assert.equal(code, 'FACELLM_CONFIG_INVALID');
      assert.equal(details[0], 'preprocessing.mean.0: 0.5 would become 0.485');
      return true;
    });
    const abort = new AbortController();
    const onProgress = (): void => abort.abort(new Error('enough'));
    await assert.rejects(
      exportModel({ model: BASE, output, maxShardBytes: 1, signal: abort.signal, onProgress }),
      /enough/,
    );
    await assert.rejects(exportModel({ model: BASE, output: join(BASE, 'config.json', 'x') }), {
      code: 'FACELLM_RUN_WRITE',
    });
    for (const wrong of [{ layout: 'gguf' }, { dtype: 'int8' }, { maxShardBytes: 0 }]) {
      await assert.rejects(exportModel({ model: BASE, output, ...wrong } as never), {
        code: 'FACELLM_INVALID_ARGUMENT',
      });
    }
    await assert.rejects(mergeAdapter({ model: BASE, output, adapters: [] }), {
      code: 'FACELLM_INVALID_ARGUMENT',
    });
    const [config, files] = await Promise.all([
      readCheckpointConfig(BASE),
      readCheckpointFiles(BASE),
    ]);
    const request = {
      config: config.model,
      files: files.dataFiles,
      weightMap: [],
      adapters: [],
      layout: 'hf',
      dtype: 'fp32',
      directory: parent,
      maxShardBytes: 5e9,
      availableBytes: files.totalBytes,
    } as const;
    const full = loadAddon().exportCheckpoint(request, () => {});
    await assert.rejects(full.promise, { code: 'FACELLM_RUN_WRITE', message: /bytes.*make room/s });
    assert.deepEqual(readdirSync(parent), []);
  });
});

/** A copy with the tokenizer that both golden checkpoints share. */
function withTokenizer(base: string, target: string): string {
  cpSync(base, target, { recursive: true });
  for (const file of ['tokenizer.json', 'vocab.json', 'merges.txt']) {
    cpSync(join(BASE, file), join(target, file));
  }
  return target;
}
