/** What a model may use, planned from its configuration: defaults, bounds, and whether a device has it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { loadAddon } from '../../lib/binding/load.js';
import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { memoryLack } from '../../lib/cli/doctor-memory.js';
import { planCheckpoint } from '../../lib/model/checkpoint-memory.js';
import { blocksOf, describeMemory, planMemory } from '../../lib/model/memory-plan.js';
import { GOLDEN } from '../support/golden.js';

const CHECKPOINT = join(GOLDEN, 'ckpt-300m');
const MIB = 2 ** 20;

describe('memory of a model', () => {
  it('in whole blocks, by default for four requests of the whole context, at most 1 GiB beside the prefixes', async () => {
    const { text } = (await readCheckpointConfig(CHECKPOINT)).model;
    const tokenBytes = 2 * text.numHiddenLayers * text.numKeyValueHeads * text.headDim * 4;
    const plan = planMemory(text, 'fp32', 'cpu', {});
    assert.equal(plan.kvBytes, 4 * blocksOf(text.maxPositionEmbeddings) * 64 * tokenBytes);
    assert.deepEqual([plan.maxRows, plan.maxContext], [16, text.maxPositionEmbeddings]);
    assert.equal(planMemory(text, 'bf16', 'cuda', {}).maxRows, 256);
    const large = { ...text, numHiddenLayers: 30 * text.numHiddenLayers };
    assert.equal(planMemory(large, 'fp32', 'cpu', {}).kvBytes, (1024 + 512) * MIB);
    // A request of n tokens holds n + 1 slots.
    assert.deepEqual([blocksOf(63), blocksOf(64), blocksOf(127)], [1, 2, 2]);
    const told = describeMemory(
      text,
      { dtype: 'fp32', device: 'cpu' },
      planMemory(text, 'fp32', 'cpu', { maxContext: 100, kvMemory: 2 * 64 * tokenBytes + 5 }),
      undefined,
    );
    assert.deepEqual([told.blocks, told.kvPoolBytes], [2, 2 * 64 * tokenBytes]);
  });

  it('a pool smaller than one request is refused with the numbers', async () => {
    const { text } = (await readCheckpointConfig(CHECKPOINT)).model;
    assert.throws(() => planMemory(text, 'fp32', 'cpu', { kvMemory: 1000, maxContext: 100 }), {
      code: 'FACELLM_INVALID_ARGUMENT',
      message:
        /kvMemory: 1000 bytes hold 0 tokens, a request of 100 takes \d+; give more, or maxContext/,
    });
  });

  it('is told before anything is loaded as the loaded model tells it, weights by their files', async () => {
    const config = await readCheckpointConfig(CHECKPOINT);
    const options = { device: 'cpu', dtype: 'bf16', maxContext: 1000, maxRows: 3 } as const;
    const memory = await planCheckpoint(loadAddon(), CHECKPOINT, config, options);
    const { FaceLlm } = await import('../../lib/index.js');
    await using model = await FaceLlm.load(CHECKPOINT, options);
    const { engine, requestsAtOnce } = await model.plan([]);
    const { weightBytes = 0, ...rest } = memory;
    const { weightBytes: loaded = 0, ...same } = engine;
    assert.deepEqual(rest, same);
    assert.equal(loaded, model.info.parameterBytes);
    // The test's file has a large header for its size.
    assert.ok(Math.abs(weightBytes / loaded - 1) < 0.05, `${weightBytes} and ${loaded}`);
    assert.equal(requestsAtOnce, 3);
    assert.equal((await model.stats()).totalBlocks, engine.blocks);
  });

  it('a device that lacks it is named, of several by its place', async () => {
    const config = await readCheckpointConfig(CHECKPOINT);
    const plan = (device: string) =>
      planCheckpoint(loadAddon(), CHECKPOINT, config, { device, kvMemory: 300 * MIB });
    const gpu = (mib: number) => ({ memoryBytes: mib * MIB }) as never;
    const gpus = [gpu(100), gpu(8000)];
    const lack = async (device: string, total: number): Promise<string | undefined> =>
      memoryLack(await plan(device), { gpus }, { total: total * MIB });
    assert.match((await lack('cpu', 500)) ?? '', /55\d\.\d MiB at most, the device has 500\.0 MiB/);
    assert.equal(await lack('cpu', 600), undefined);
    assert.match((await lack('cuda', 600)) ?? '', /the device has 100\.0 MiB/);
    assert.equal(await lack('cuda:1', 1), undefined);
  });
});
