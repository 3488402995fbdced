/** Leases, unloading during work and wrong handles, against a fake of the engine. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type {
  NativeAdapterInfo,
  NativeAdapterSource,
  NativeModel,
} from '../../lib/binding/native.js';
import { type CheckpointConfig, readCheckpointConfig } from '../../lib/checkpoint/index.js';
import type { Adapter } from '../../lib/model/adapter.js';
import { AdapterSet } from '../../lib/model/adapter-set.js';
import { type AdapterKind, writeAdapter } from '../support/adapters.js';
import { GOLDEN } from '../support/golden.js';

const CHECKPOINT = join(GOLDEN, 'ckpt-300m');

class FakeEngine {
  readonly loaded: NativeAdapterSource[] = [];
  readonly unloaded: number[] = [];
  unloadError: Error | undefined;
  onLoad = (): void => {};

  readonly native = {
    loadAdapter: (source: NativeAdapterSource) => {
      const id = this.loaded.push(source);
      this.onLoad();
      const info: NativeAdapterInfo = { id, parameterCount: 1, bytes: 4, touchesVision: false };
      return { promise: Promise.resolve(info), cancel: () => {} };
    },
    unloadAdapter: (id: number) => {
      this.unloaded.push(id);
      const promise = this.unloadError ? Promise.reject(this.unloadError) : Promise.resolve();
      return { promise, cancel: () => {} };
    },
  } as unknown as NativeModel;
}

/** Lets everything that is ready run. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('adapters of a model', () => {
  let folder: string;
  let config: CheckpointConfig;
  let engine: FakeEngine;
  let adapters: AdapterSet;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-adapters-'));
    config = await readCheckpointConfig(CHECKPOINT);
    const kinds: Record<string, AdapterKind> = {
      plain: {},
      pattern: {
        rank: 2,
        alpha: 6,
        usesRsLora: true,
        rankPattern: { q_proj: 8 },
        alphaPattern: { 'mlp.up_proj': 1 },
      },
      dora: { usesDora: true, targets: '.*layers\\.0\\.self_attn\\.q_proj' },
      elsewhere: { targets: ['fc1'] },
    };
    for (const [name, kind] of Object.entries(kinds)) {
      await writeAdapter(CHECKPOINT, join(folder, name), kind);
    }
  });
  after(() => rmSync(folder, { recursive: true }));
  beforeEach(() => {
    engine = new FakeEngine();
    adapters = new AdapterSet(engine.native, config);
  });
  const load = (name: string, options = {}): Promise<Adapter> =>
    adapters.load(join(folder, name), options);

  it('of a file that goes while it is loaded nothing stays', async () => {
    await writeAdapter(CHECKPOINT, join(folder, 'goes'), {});
    engine.onLoad = () => rmSync(join(folder, 'goes'), { recursive: true });
    const names = await load('goes').then(
      () => adapters.loaded.map(({ name }) => name),
      () => [],
    );
    assert.equal(engine.loaded.length - engine.unloaded.length, names.length);
  });

  it('resolve ranks, patterns and the scale into modules', async () => {
    const adapter = await load('pattern', { scale: 0.5, name: 'mine' });
    assert.equal(adapter.name, 'mine');
    const of = (end: string) => engine.loaded[0]?.modules.find(({ name }) => name.endsWith(end));
    assert.equal(of('q_proj')?.rank, 8);
    assert.equal(of('q_proj')?.scaling, (0.5 * 6) / Math.sqrt(8));
    assert.equal(of('up_proj')?.scaling, 0.5 / Math.sqrt(2));
    assert.equal(of('down_proj')?.scaling, (0.5 * 6) / Math.sqrt(2));
    await assert.rejects(load('plain', { scale: NaN }), { code: 'FACELLM_INVALID_ARGUMENT' });
  });

  it('a request keeps what it was made with', async () => {
    const [a, b] = [await load('plain'), await load('elsewhere')];
    assert.deepEqual(adapters.lease(undefined).ids, []);
    adapters.setDefaults([a, b]);
    const lease = adapters.lease(undefined);
    adapters.setDefaults(b);
    assert.deepEqual(lease.ids, [1, 2]);
    assert.deepEqual(adapters.lease(undefined).ids, [2]);
    assert.deepEqual(adapters.lease(a).ids, [1]);
    assert.deepEqual(adapters.lease(null).ids, []);
    adapters.setDefaults(null);
    assert.deepEqual(adapters.defaults, []);
    assert.deepEqual(adapters.loaded, [a, b]);
  });

  it('unloading waits for the requests under way and happens once', async () => {
    const adapter = await load('plain');
    adapters.setDefaults(adapter);
    const [first, second] = [adapters.lease(undefined), adapters.lease(adapter)];
    const unloading = adapter.unload();
    assert.equal(adapter.unload(), unloading);
    assert.deepEqual([adapters.defaults, adapters.loaded], [[], []]);
    first.release();
    first.release();
    await settle();
    assert.deepEqual(engine.unloaded, []);
    assert.throws(() => adapters.lease(adapter), { code: 'FACELLM_DISPOSED' });
    assert.throws(() => adapters.setDefaults(adapter), { code: 'FACELLM_DISPOSED' });
    second.release();
    await unloading;
    assert.deepEqual(engine.unloaded, [1]);
    await adapter[Symbol.asyncDispose]();
    assert.deepEqual(engine.unloaded, [1]);
  });

  it('unloading after the model is gone is no failure; another failure is one', async () => {
    const [a, b] = [await load('plain'), await load('plain')];
    engine.unloadError = Object.assign(new Error('gone'), { code: 'FACELLM_DISPOSED' });
    await a.unload();
    engine.unloadError = Object.assign(new Error('broken'), { code: 'FACELLM_INTERNAL' });
    await assert.rejects(b.unload(), { code: 'FACELLM_INTERNAL' });
  });

  it('refuses what cannot work, and then holds nothing', async () => {
    const [a, dora, elsewhere] = [await load('plain'), await load('dora'), await load('elsewhere')];
    const other = await new AdapterSet(new FakeEngine().native, config).load(
      join(folder, 'plain'),
      {},
    );
    for (const [wrong, code] of [
      [other, 'FACELLM_INVALID_ARGUMENT'],
      [[a, a], 'FACELLM_INVALID_ARGUMENT'],
      ['plain' as never, 'FACELLM_INVALID_ARGUMENT'],
      [[a, undefined as never], 'FACELLM_INVALID_ARGUMENT'],
    ] as const) {
      assert.throws(() => adapters.lease(wrong), { code });
    }
    assert.throws(
      () => adapters.setDefaults([a, dora]),
      (error) => {
        const { code, details } = error as { code: string; details: string[] };
        assert.equal(code, 'FACELLM_ADAPTER_INVALID');
        assert.deepEqual(details, [
          'language_model.model.layers.0.self_attn.q_proj: plain and dora',
        ]);
        return true;
      },
    );
    assert.deepEqual(adapters.defaults, []);
    adapters.setDefaults([dora, elsewhere]); // no module in common
    await Promise.all([a.unload(), elsewhere.unload()]);
    assert.deepEqual(engine.unloaded, [1, 3]);
  });
});
