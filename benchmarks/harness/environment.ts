/** What a figure was measured on; part of every report. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { basename } from 'node:path';

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

/** Arguments for a report: of paths the last part alone, which says enough and nothing about the machine. */
export function reportArguments(
  values: Readonly<Record<string, string | boolean | undefined>>,
): Record<string, unknown> {
  const entries = Object.entries(values).filter(([key]) => key !== 'out');
  return Object.fromEntries(
    entries.map(([key, value]) => [key, typeof value === 'string' ? basename(value) : value]),
  );
}

/** What was measured, where and with which arguments, as JSON where `--out` says. */
export async function writeReport(
  values: Readonly<Record<string, string | boolean | undefined>>,
  figures: object,
): Promise<void> {
  if (typeof values.out !== 'string') return;
  const report = {
    environment: await describeEnvironment(),
    arguments: reportArguments(values),
    ...figures,
  };
  writeFileSync(values.out, `${JSON.stringify(report, null, 2)}\n`);
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
