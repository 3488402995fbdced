/**
 * What an answer follows from besides the request: with equal fingerprints, and `deterministic` on both sides, equal
 * requests get equal bytes. Weights are told apart by samples of every tensor (files/sampled-hash.ts): a change of single
 * bytes may go unnoticed, reading gigabytes at every start would not.
 */
import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';

import type { NativeAdapterSource, NativeModelInfo, NativeRuntimeInfo } from '../binding/native.js';
import type { CheckpointFiles } from '../checkpoint/index.js';
import { createError } from '../errors.js';
import { sampledWeightsHash, sha256, sha256OfFile } from '../files/index.js';
import type { Adapter } from './adapter.js';

/** Configs, tokenizers and templates; what else lies in a checkpoint's folder changes no answer. */
const PROMPT_FILES = new Set(['.json', '.jinja', '.txt', '.model']);
const DIGITS = 12;

const unreadable = (path: string) => (cause: unknown) =>
  createError('FACELLM_CHECKPOINT_NOT_FOUND', `${path} cannot be read; it was there a moment ago`, {
    cause,
  });

/**
 * Of a checkpoint's files: weights, configs, tokenizer, templates. In lower-case hex.
 *
 * @param weights {@link weightsIdentity} of the same files, where it is known
 * @throws CheckpointError FACELLM_CHECKPOINT_NOT_FOUND
 */
export async function checkpointIdentity(
  files: CheckpointFiles,
  weights: Promise<string> = weightsIdentity(files),
): Promise<string> {
  const entries = await readdir(files.directory, { withFileTypes: true });
  const names = entries.flatMap((entry) =>
    !entry.isDirectory() && PROMPT_FILES.has(extname(entry.name)) ? [entry.name] : [],
  );
  const hashes = await Promise.all(
    names.sort().map(async (name) => {
      const path = join(files.directory, name);
      return `${name} ${await sha256OfFile(path, unreadable(path))}`;
    }),
  );
  return sha256([await weights, ...hashes].join('\n'));
}

/** Of a checkpoint's weights alone. @throws as {@link checkpointIdentity} */
export function weightsIdentity({ dataFiles }: CheckpointFiles): Promise<string> {
  return sampledWeightsHash(dataFiles);
}

/** Of a loaded model without adapters, on whatever machine: what it computes, but for last digits. */
export function modelContent(checkpoint: string, { dtype, weights }: NativeModelInfo): string {
  return sha256(JSON.stringify({ checkpoint, dtype, weights }));
}

/** Of a loaded model without adapters. */
export function modelIdentity(
  checkpoint: string,
  { device, dtype, weights }: NativeModelInfo,
  runtime: NativeRuntimeInfo,
  deterministic: boolean,
): string {
  const { version, libtorch, isCudaBuild, cpuCapability, cpuLevel, widensBf16, threads, gpus } =
    runtime;
  const build = { version, libtorch, isCudaBuild };
  // Kernels differ from processor to processor.
  const machine =
    device === 'cpu'
      ? { cpuCapability, cpuLevel, widensBf16, threads }
      : gpus.map(({ name }) => name);
  return sha256(
    JSON.stringify({ checkpoint, device, dtype, weights, build, machine, deterministic }),
  );
}

/** Of an adapter: its weights, and what it does with them. */
export async function adapterIdentity({
  file,
  modules,
  usesDora,
}: NativeAdapterSource): Promise<string> {
  return sha256(
    `${await sha256OfFile(file, unreadable(file))} ${JSON.stringify({ modules, usesDora })}`,
  );
}

/** With the adapters in memory, in whatever order they were loaded: 12 digits of lower-case hex. */
export function fingerprint(identity: string, adapters: readonly Adapter[]): string {
  const hashes = adapters.map(({ facts }) => facts.contentHash).sort();
  return sha256([identity, ...hashes].join('\n')).slice(0, DIGITS);
}
