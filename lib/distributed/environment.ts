/**
 * A process's place in a job, told by whoever started it: torchrun's variables (RANK, WORLD_SIZE, LOCAL_RANK,
 * MASTER_ADDR, MASTER_PORT; also what `facellm train --processes` sets), else those of a step that Slurm's
 * srun started. Without either the process is on its own.
 */
import { createError } from '../errors.js';

export type Variables = Readonly<Record<string, string | undefined>>;

export interface JobEnvironment {
  readonly rank: number;
  readonly size: number;
  /** Among the processes of this machine. */
  readonly localRank: number;
  readonly localSize: number;
  /** Where the job's store is. */
  readonly address: string;
  readonly port: number;
  /** Whether this process opens the store; torchrun's agent may have. */
  readonly hostsStore: boolean;
  /** Tells the keys of this attempt from those of one before a restart. */
  readonly prefix: string;
}

/** Reads variables and collects what is wrong with them. */
class Reader {
  readonly problems: string[] = [];
  readonly #variables: Variables;

  constructor(variables: Variables) {
    this.#variables = variables;
  }

  has(name: string): boolean {
    return (this.#variables[name] ?? '') !== '';
  }

  text(name: string, fallback?: string): string {
    const value = this.#variables[name] ?? '';
    if (value !== '') return value;
    if (fallback === undefined) this.problems.push(`${name}: is not set`);
    return fallback ?? '';
  }

  number(name: string, least: number, fallback?: number): number {
    if (!this.has(name) && fallback !== undefined) return fallback;
    const text = this.text(name);
    if (text === '') return NaN;
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
    this.problems.push(`${name}: expected a whole number of at least ${least}, got '${text}'`);
    return NaN;
  }
}

/**
 * @returns undefined for a process on its own
 * @throws TrainingError FACELLM_DISTRIBUTED listing every variable that is missing or wrong
 */
export function readJobEnvironment(variables: Variables): JobEnvironment | undefined {
  const reader = new Reader(variables);
  const isTorchrun = reader.has('RANK') || reader.has('WORLD_SIZE');
  // A batch script's own shell knows its allocation, too; only srun's tasks are ranks.
  const isSlurm = reader.has('SLURM_STEP_ID') && reader.has('SLURM_PROCID');
  if (!isTorchrun && !isSlurm) return undefined;
  const job = isTorchrun ? readTorchrun(reader) : readSlurm(reader);
  if (job.rank >= job.size) {
    reader.problems.push(
      `the rank, ${job.rank}, is not below the number of processes, ${job.size}`,
    );
  }
  if (job.port > 65_535)
    reader.problems.push(`MASTER_PORT: expected at most 65535, got ${job.port}`);
  if (reader.problems.length > 0) {
    throw createError(
      'FACELLM_DISTRIBUTED',
      `the variables that place this process in a job are wrong (${reader.problems.length} problem(s)); start ` +
        'it with torchrun, srun or `facellm train --processes N`, or unset RANK and WORLD_SIZE',
      { details: reader.problems },
    );
  }
  return job.size === 1 ? undefined : job;
}

function readTorchrun(reader: Reader): JobEnvironment {
  const rank = reader.number('RANK', 0);
  const size = reader.number('WORLD_SIZE', 1);
  const agentHosts = reader.text('TORCHELASTIC_USE_AGENT_STORE', 'False') === 'True';
  const attempt = reader.text('TORCHELASTIC_RESTART_COUNT', '0');
  // A lone process needs no meeting place.
  const isAlone = size === 1;
  return {
    rank,
    size,
    localRank: reader.number('LOCAL_RANK', 0, isAlone ? 0 : undefined),
    localSize: reader.number('LOCAL_WORLD_SIZE', 1, 1),
    address: reader.text('MASTER_ADDR', isAlone ? '' : undefined),
    port: reader.number('MASTER_PORT', 1, isAlone ? 1 : undefined),
    hostsStore: rank === 0 && !agentHosts,
    prefix: `facellm/${attempt}`,
  };
}

function readSlurm(reader: Reader): JobEnvironment {
  const rank = reader.number('SLURM_PROCID', 0);
  const id = reader.number('SLURM_JOB_ID', 0, 0);
  const nodes = reader.text('SLURM_STEP_NODELIST', reader.text('SLURM_JOB_NODELIST', ''));
  return {
    rank,
    size: reader.number(
      reader.has('SLURM_STEP_NUM_TASKS') ? 'SLURM_STEP_NUM_TASKS' : 'SLURM_NTASKS',
      1,
    ),
    localRank: reader.number('SLURM_LOCALID', 0),
    localSize: reader.number('SLURM_NTASKS_PER_NODE', 1, 1),
    address: reader.text('MASTER_ADDR', nodes === '' ? undefined : firstHost(nodes)),
    // Jobs that share a node differ in their numbers.
    port: reader.number('MASTER_PORT', 1, id === 0 ? undefined : 20_000 + (id % 20_000)),
    hostsStore: rank === 0,
    prefix: `facellm/${reader.text('SLURM_STEP_ID', '0')}`,
  };
}

/** The first name of Slurm's `gpu[03-06,09]-ib,cpu1`: `gpu03-ib`. */
export function firstHost(nodes: string): string {
  const [, head = '', list, tail = ''] = /^([^,[]*)(?:\[([^\]]*)\])?([^,[]*)/.exec(nodes) ?? [];
  return list === undefined ? head : `${head}${list.split(/[,-]/)[0] ?? ''}${tail}`;
}
