/**
 * What a run's answers depend on. Two runs with equal settings ask the same model the same questions in
 * the same way; a journal is only carried on under the settings that it was begun with.
 */
import type { ModelIdentity } from '../model-under-test.js';

export type SettingValue =
  | string
  | number
  | boolean
  | null
  | readonly SettingValue[]
  | { readonly [key: string]: SettingValue };

export interface RunSettings {
  readonly facellm: string;
  readonly benchmark: string;
  /** sha256 over the data. */
  readonly data: string;
  /** How the benchmark was put together: its setting, its limit. */
  readonly benchmarkOptions: Readonly<Record<string, SettingValue>>;
  readonly questions: number;
  readonly readings: readonly string[];
  readonly model: ModelIdentity;
  /** Template, system turn, tiles, dtype. */
  readonly prompt: Readonly<Record<string, SettingValue>>;
  readonly maxNewTokens: number;
  readonly batchSize: number;
  readonly seed: number;
}

function flatten(value: unknown, path: string, into: Map<string, string>): Map<string, string> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) {
      flatten(inner, path === '' ? key : `${path}.${key}`, into);
    }
    return into;
  }
  return into.set(path, JSON.stringify(value) ?? 'nothing');
}

/** Each setting that differs: `batchSize: 8 here, 16 there`. */
export function settingDifferences(here: unknown, there: unknown): string[] {
  const ours = flatten(here, '', new Map());
  const theirs = flatten(there, '', new Map());
  return [...new Set([...ours.keys(), ...theirs.keys()])]
    .filter((key) => ours.get(key) !== theirs.get(key))
    .map(
      (key) => `${key}: ${ours.get(key) ?? 'nothing'} now, ${theirs.get(key) ?? 'nothing'} then`,
    );
}
