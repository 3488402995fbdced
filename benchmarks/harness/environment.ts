/** What a figure was measured on; part of every report. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';

import { loadAddon } from '../../lib/binding/load.js';

function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

export async function describeEnvironment(): Promise<Record<string, unknown>> {
  const runtime = await loadAddon().runtimeInfo().promise;
  return {
    date: new Date().toISOString(),
    commit: commit(),
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    runtime,
  };
}

/** Jiffies that all processors spent working, and those stolen by other guests of the host. */
export function readLoad(): {
  readonly busy: number;
  readonly stolen: number;
  readonly total: number;
} {
  try {
    const line = readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '';
    const fields = line.trim().split(/\s+/).slice(1).map(Number);
    const total = fields.reduce((sum, field) => sum + field, 0);
    return { busy: total - (fields[3] ?? 0) - (fields[4] ?? 0), stolen: fields[7] ?? 0, total };
  } catch {
    return { busy: 0, stolen: 0, total: 1 };
  }
}
