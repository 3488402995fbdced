/** A process's place in a job, from torchrun's and Slurm's variables. */
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';

import { firstHost, readJobEnvironment } from '../../lib/distributed/environment.js';
import { deviceOfRank, threadsOfRank } from '../../lib/distributed/job.js';
import { FaceLlmError } from '../../lib/errors.js';

const TORCHRUN = {
  RANK: '5',
  WORLD_SIZE: '8',
  LOCAL_RANK: '1',
  LOCAL_WORLD_SIZE: '4',
  MASTER_ADDR: 'node0',
  MASTER_PORT: '29500',
};
const SLURM = {
  SLURM_JOB_ID: '40123',
  SLURM_STEP_ID: '2',
  SLURM_PROCID: '0',
  SLURM_NTASKS: '4',
  SLURM_LOCALID: '0',
  SLURM_NTASKS_PER_NODE: '2',
  SLURM_JOB_NODELIST: 'gpu[03-06,09]-ib,cpu1',
};

function problemsOf(variables: Record<string, string>): readonly string[] {
  try {
    readJobEnvironment(variables);
  } catch (error) {
    assert.ok(error instanceof FaceLlmError);
    assert.equal(error.code, 'FACELLM_DISTRIBUTED');
    return error.details;
  }
  return [];
}

describe('distributed: environment', () => {
  it('is undefined for a process on its own, in a batch script, and in a job of one', () => {
    assert.equal(readJobEnvironment({}), undefined);
    assert.equal(readJobEnvironment({ MASTER_ADDR: 'left over', RANK: '' }), undefined);
    assert.equal(readJobEnvironment({ ...SLURM, SLURM_STEP_ID: '' }), undefined);
    assert.equal(readJobEnvironment({ RANK: '0', WORLD_SIZE: '1' }), undefined);
  });

  it("reads torchrun's variables", () => {
    const job = { rank: 5, size: 8, localRank: 1, localSize: 4, address: 'node0', port: 29_500 };
    const rest = { hostsStore: false, prefix: 'facellm/0' };
    assert.deepEqual(readJobEnvironment(TORCHRUN), { ...job, ...rest });
  });

  it("leaves the store to torchrun's agent, each restart with keys of its own", () => {
    const first = { ...TORCHRUN, RANK: '0', LOCAL_RANK: '0' };
    assert.equal(readJobEnvironment(first)?.hostsStore, true);
    const agent = { TORCHELASTIC_USE_AGENT_STORE: 'True', TORCHELASTIC_RESTART_COUNT: '3' };
    const job = readJobEnvironment({ ...first, ...agent });
    assert.equal(job?.hostsStore, false);
    assert.equal(job?.prefix, 'facellm/3');
  });

  it("reads a Slurm step's variables; address and port follow from the job", () => {
    const job = { rank: 0, size: 4, localRank: 0, localSize: 2, address: 'gpu03-ib', port: 20_123 };
    const rest = { hostsStore: true, prefix: 'facellm/2' };
    assert.deepEqual(readJobEnvironment(SLURM), { ...job, ...rest });
    const given = readJobEnvironment({ ...SLURM, MASTER_ADDR: 'head', MASTER_PORT: '1234' });
    assert.deepEqual([given?.address, given?.port], ['head', 1234]);
  });

  it('prefers RANK and WORLD_SIZE to Slurm', () => {
    assert.equal(readJobEnvironment({ ...SLURM, ...TORCHRUN })?.size, 8);
  });

  it('lists every problem at once', () => {
    assert.deepEqual(problemsOf({ RANK: '-1', MASTER_PORT: 'x' }), [
      "RANK: expected a whole number of at least 0, got '-1'",
      'WORLD_SIZE: is not set',
      'LOCAL_RANK: is not set',
      'MASTER_ADDR: is not set',
      "MASTER_PORT: expected a whole number of at least 1, got 'x'",
    ]);
    assert.deepEqual(problemsOf({ ...TORCHRUN, RANK: '8', MASTER_PORT: '70000' }), [
      'the rank, 8, is not below the number of processes, 8',
      'MASTER_PORT: expected at most 65535, got 70000',
    ]);
    assert.deepEqual(problemsOf({ ...SLURM, SLURM_JOB_NODELIST: '', SLURM_LOCALID: '' }), [
      'SLURM_LOCALID: is not set',
      'MASTER_ADDR: is not set',
    ]);
  });

  it("finds the first host of Slurm's lists", () => {
    assert.equal(firstHost('node7'), 'node7');
    assert.equal(firstHost('a1,b2'), 'a1');
    assert.equal(firstHost('n[001-128]'), 'n001');
    assert.equal(firstHost('n[5]'), 'n5');
  });
});

describe('distributed: device and threads of a rank', () => {
  const at = (localRank: number, localSize: number) => ({
    ...{ rank: 0, size: 8, localRank, localSize },
    ...{ address: '', port: 1, hostsStore: false, prefix: '' },
  });

  it('takes GPU number LOCAL_RANK, or the one GPU that it sees, or the CPU', () => {
    assert.equal(deviceOfRank(undefined, 8, at(3, 8)), 'cuda:3');
    assert.equal(deviceOfRank('cuda', 8, at(3, 8)), 'cuda:3');
    assert.equal(deviceOfRank(undefined, 1, at(3, 1)), 'cuda:0');
    assert.equal(deviceOfRank(undefined, 0, at(3, 8)), 'cpu');
    assert.equal(deviceOfRank('cpu', 8, at(3, 8)), 'cpu');
  });

  it('refuses one GPU for all, and more ranks than GPUs', () => {
    assert.throws(() => deviceOfRank('cuda:1', 8, at(0, 8)), { code: 'FACELLM_INVALID_ARGUMENT' });
    assert.throws(() => deviceOfRank(undefined, 2, at(3, 4)), {
      code: 'FACELLM_DEVICE_UNAVAILABLE',
    });
  });

  it('shares the cores of a machine unless told otherwise', () => {
    assert.equal(threadsOfRank(7, at(0, 2), {}), 7);
    assert.equal(threadsOfRank(undefined, undefined, {}), undefined);
    assert.equal(threadsOfRank(undefined, at(0, 2), { OMP_NUM_THREADS: '3' }), undefined);
    const cores = availableParallelism();
    assert.equal(threadsOfRank(undefined, at(0, 2), {}), Math.max(1, Math.floor(cores / 2)));
    assert.equal(threadsOfRank(undefined, at(0, 1000), {}), 1);
  });
});
