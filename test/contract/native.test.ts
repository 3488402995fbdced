/** The addon and lib/binding/native*.ts say the same: every class with methods, and what the calls return. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { builtInDetector } from '../../lib/faces/detector.js';
import { loadAddon } from '../../lib/binding/load.js';
import type { NativeModel, NativeProcessGroup, NativeTrainer } from '../../lib/binding/native.js';
import { declaredInterfaces } from '../support/declared-interfaces.js';
import { GREEDY } from '../support/generate.js';
import { HAS_GLOO } from '../support/gloo.js';
import { NEEDS_GLOO, skip } from '../support/skip.js';
import * as golden from '../support/golden.js';
import { createTrainer, NO_ANSWERS } from '../support/training.js';

const BINDING = join(import.meta.dirname, '..', '..', 'lib', 'binding');
const declared = declaredInterfaces(
  readdirSync(BINDING)
    .filter((name) => /^native(-\w+)*\.ts$/.test(name))
    .map((name) => join(BINDING, name)),
);

const loadModel = (): Promise<NativeModel> =>
  golden.loadNative(join(golden.GOLDEN, 'ckpt-300m'), { dtype: 'fp32' });

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as { port: number };
  await new Promise((closed) => server.close(closed));
  return port;
}

/** A job of this process alone; on the CPU, since NCCL is not in every libtorch, nor on the pretend device. */
async function joinGroup(): Promise<NativeProcessGroup> {
  return loadAddon().joinGroup({
    ...{ rank: 0, size: 1, address: '127.0.0.1', port: await freePort(), hostsStore: true },
    ...{ prefix: 'contract', device: 'cpu', joinTimeoutSeconds: 60 },
  }).promise;
}

/** What an object of the addon holds, from its class too. */
function membersOf(object: object): string[] {
  const names = new Set<string>();
  for (let at = object; at !== Object.prototype; at = Object.getPrototypeOf(at) as object) {
    for (const name of Object.getOwnPropertyNames(at)) names.add(name);
  }
  names.delete('constructor');
  return [...names].sort();
}

/** Holds `object` to the interface of this name. */
function assertDeclared(object: object, name: string): void {
  assert.deepEqual(membersOf(object), [...(declared.get(name)?.members ?? [])].sort(), name);
}

describe('contract: addon and native.ts', () => {
  let model: NativeModel;
  let trainer: NativeTrainer;
  before(async () => {
    [model, trainer] = [await loadModel(), await createTrainer()];
  });
  after(async () => {
    await model.dispose().promise;
    await trainer.dispose().promise;
  });

  const classes: Record<string, () => Promise<object> | object> = {
    NativeAddon: loadAddon,
    NativeModel: () => model,
    NativeTrainer: () => trainer,
    NativeJob: () => model.clearCaches(),
    NativeFaceDetector: async () => (await builtInDetector()).native,
  };
  for (const [name, object] of Object.entries(classes)) {
    it(`${name}: exactly the members that are declared`, async () => {
      assertDeclared(await object(), name);
    });
  }

  it('NativeProcessGroup: exactly the members that are declared', async function () {
    if (!HAS_GLOO) skip(this, NEEDS_GLOO);
    const group = await joinGroup();
    assertDeclared(group, 'NativeProcessGroup');
    assertDeclared(group.info(), 'NativeGroupInfo');
    await group.leave().promise;
  });

  it('these are all the interfaces with methods', () => {
    const withMethods = [...declared].filter(([, { methods }]) => methods.length > 0);
    assert.deepEqual(
      withMethods.map(([name]) => name).sort(),
      [...Object.keys(classes), 'NativeProcessGroup'].sort(),
    );
  });

  it('what the calls return has exactly the fields that are declared', async () => {
    const prompt = { ids: Int32Array.of(5, 6, 7), images: [] };
    const batches: object[] = [];
    model.onTokens((batch) => batches.push(batch));
    const generated = await model.generate({
      ...{ prompt, adapters: [], rows: 1, firstRow: 0, maxNewTokens: 1, eosIds: [] },
      ...{ sampling: GREEDY, usesPrefixCache: false, isMasked: false },
    }).promise;
    const chosen = await model.choose({
      ...{ prompt, adapters: [], choices: [Int32Array.of(8), Int32Array.of(9)] },
      usesPrefixCache: false,
      prefixGroup: 0,
    }).promise;
    const [tensor] = await model.trace(prompt, []).promise;
    const sample = { ids: prompt.ids, labels: prompt.ids, weight: 1, images: [] };
    const micro = {
      ...{ samples: [sample], denominator: 2, draw: 0, isLast: true },
      ...NO_ANSWERS,
    };
    const results: Record<string, object> = {
      NativeRuntimeInfo: await loadAddon().runtimeInfo().promise,
      NativeAttentionBackend:
        (await loadAddon().attentionBackends(golden.TEST_DEVICE).promise)[0] ?? {},
      NativeModelInfo: model.info(),
      NativeTrainerInfo: trainer.info(),
      NativeGenerateResult: generated,
      NativeRowResult: generated.rows[0] ?? {},
      NativeTimings: generated.timings,
      NativeTokenBatch: batches[0] ?? {},
      NativeStats: await model.stats().promise,
      NativeChooseResult: chosen,
      NativeTensor: tensor ?? {},
      NativeMicroResult: await trainer.accumulate(micro).promise,
      NativeEvaluateResult: await trainer.evaluate(micro).promise,
      NativeUpdateResult: await trainer.update({ learningRate: 0, maxGradNorm: 0 }).promise,
    };
    for (const [name, result] of Object.entries(results)) assertDeclared(result, name);
  });

  it('rejects wrong fields with a list, and never throws for them', async () => {
    const wrong = { ids: [1, 2], images: 'none' } as never;
    await assert.rejects(model.trace(wrong, []).promise, (error: unknown) => {
      const { code, details } = error as { code: string; details: string[] };
      assert.equal(code, 'FACELLM_INVALID_ARGUMENT');
      assert.equal(details.length, 2);
      return true;
    });
    await assert.rejects(model.generate(undefined as never).promise, {
      code: 'FACELLM_INVALID_ARGUMENT',
    });
  });
});
