/**
 * A checkpoint written anew: another layout, another dtype, adapters folded in. The engine goes tensor by tensor from
 * the old files to the new ones; this file decides what stands beside the weights. Everything is written into a folder
 * of another name, which takes the asked-for name when it is complete.
 */
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

import { loadAddon } from '../binding/load.js';
import type { NativeAdapterSource, NativeExportResult } from '../binding/native.js';
import { HUB_TEMPLATE } from '../chat/index.js';
import {
  type CheckpointConfig,
  type CheckpointLayout,
  convertConfig,
  hfCompanions,
  isCompanion,
  type JsonObject,
  readCheckpointConfig,
  readCheckpointFiles,
  readOptionalJson,
  readRequiredJson,
  resolveCheckpoint,
} from '../checkpoint/index.js';
import { createError, FaceLlmError, fromNative, InvalidArgumentError } from '../errors.js';
import { readAdapter } from '../lora/index.js';
import type { Dtype, LoadProgress } from './load.js';
import { SETTINGS_FILE } from './serving-settings.js';

export interface ExportOptions {
  /** Checkpoint folder, in either layout, or a hub id in the local cache. */
  readonly model: string;
  /** New folder; if it exists, it must be empty. */
  readonly output: string;
  /** `hf`: what transformers reads; `original`: InternVLChatModel's. @default the checkpoint's own */
  readonly layout?: CheckpointLayout | undefined;
  /** @default every tensor as it is stored */
  readonly dtype?: Dtype | undefined;
  /** Weights are split into files of at most this size. @default 5,000,000,000 */
  readonly maxShardBytes?: number | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  /** Stops between two tensors; nothing is left behind. */
  readonly signal?: AbortSignal | undefined;
}

export interface MergeOptions extends ExportOptions {
  /** PEFT folders, folded in in this order. At least one. */
  readonly adapters: readonly string[];
}

export interface ExportedModel {
  readonly directory: string;
  readonly layout: CheckpointLayout;
  /** Names of the weight files. */
  readonly files: readonly string[];
  readonly tensors: number;
  /** Of all tensors together. */
  readonly tensorBytes: number;
}

const DEFAULT_SHARD_BYTES = 5e9;

/**
 * Folds adapters into a model: W + s B A (and DoRA's scaling of rows) in fp32, rounded once. Blocks the engine thread,
 * not the event loop.
 *
 * @throws CheckpointError, InvalidArgumentError (an output that is not empty), TrainingError FACELLM_RUN_WRITE
 */
export async function mergeAdapter(options: MergeOptions): Promise<ExportedModel> {
  if (!Array.isArray(options.adapters) || options.adapters.length === 0) {
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      'adapters: expected at least one folder; exportModel() writes a model without any',
    );
  }
  return write(options, options.adapters);
}

/** Writes a checkpoint anew, in another layout or dtype. As {@link mergeAdapter}. */
export function exportModel(options: ExportOptions): Promise<ExportedModel> {
  return write(options, []);
}

function checkOptions({ layout, dtype, maxShardBytes }: ExportOptions): void {
  const details: string[] = [];
  if (layout !== undefined && layout !== 'hf' && layout !== 'original') {
    details.push(`layout: expected hf or original, got ${String(layout)}`);
  }
  if (dtype !== undefined && dtype !== 'bf16' && dtype !== 'fp32') {
    details.push(`dtype: expected bf16 or fp32, got ${String(dtype)}`);
  }
  if (maxShardBytes !== undefined && !(Number.isSafeInteger(maxShardBytes) && maxShardBytes > 0)) {
    details.push(`maxShardBytes: expected a number of bytes, got ${maxShardBytes}`);
  }
  if (details.length === 0) return;
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the export options are wrong', {
    details,
  });
}

async function checkOutput(output: string): Promise<void> {
  let names: readonly string[];
  try {
    names = await readdir(output);
  } catch (cause) {
    if ((cause as { code?: unknown }).code === 'ENOENT') return;
    throw writeError(output, cause);
  }
  if (names.length === 0) return;
  throw new InvalidArgumentError(
    'FACELLM_INVALID_ARGUMENT',
    `${output} is not empty (${names.length} entries); nothing is overwritten: name a new folder`,
  );
}

interface Source {
  readonly directory: string;
  readonly raw: JsonObject;
  readonly config: CheckpointConfig;
  readonly layout: CheckpointLayout;
  /** Of the folder to write. */
  readonly target: CheckpointLayout;
  readonly adapters: readonly {
    readonly directory: string;
    readonly source: NativeAdapterSource;
  }[];
}

async function open(options: ExportOptions, adapters: readonly string[]): Promise<Source> {
  const directory = await resolveCheckpoint(options.model);
  const config = await readCheckpointConfig(directory);
  return {
    directory,
    raw: await readRequiredJson(join(directory, 'config.json'), 'the checkpoint is incomplete'),
    config,
    layout: config.layout,
    target: options.layout ?? config.layout,
    adapters: await Promise.all(
      adapters.map(async (folder) => {
        const adapter = await resolveCheckpoint(folder);
        const { source } = await readAdapter(adapter, config.model);
        return { directory: adapter, source };
      }),
    ),
  };
}

async function write(options: ExportOptions, adapters: readonly string[]): Promise<ExportedModel> {
  checkOptions(options);
  options.signal?.throwIfAborted();
  const output = resolve(options.output);
  await checkOutput(output);
  const source = await open(options, adapters);
  const partial = await makePartial(output);
  try {
    await writeCompanions(source, options, partial);
    const result = await writeWeights(source, options, partial);
    await writeIndex(partial, result);
    await writeJson(join(partial, 'config.json'), configFor(source, options, isTied(result)));
    options.signal?.throwIfAborted();
    await rename(partial, output);
    return {
      directory: output,
      layout: source.target,
      files: result.files.map(({ name }) => name),
      tensors: result.files.reduce((sum, { tensors }) => sum + tensors.length, 0),
      tensorBytes: result.tensorBytes,
    };
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    options.signal?.throwIfAborted();
    throw error instanceof FaceLlmError ? error : writeError(output, error);
  }
}

/** Beside the output, on the same disk: a rename moves no bytes. */
async function makePartial(output: string): Promise<string> {
  try {
    await mkdir(dirname(output), { recursive: true });
    return await mkdtemp(join(dirname(output), `${basename(output)}.partial-`));
  } catch (cause) {
    throw writeError(output, cause);
  }
}

function configFor(source: Source, options: ExportOptions, tied: boolean): JsonObject {
  const { raw, config, target: layout } = source;
  return convertConfig(raw, config, { layout, dtype: options.dtype, isTied: tied });
}

/** What a file says of tying is no evidence (spec internvl3.md, section 3.3): the tensors are. */
function isTied({ files }: NativeExportResult): boolean {
  return !files.some(({ tensors }) => tensors.includes('language_model.lm_head.weight'));
}

async function writeCompanions(
  source: Source,
  options: ExportOptions,
  partial: string,
): Promise<void> {
  const { directory, layout, target } = source;
  const names = (await readdir(directory)).filter((name) => isCompanion(name, layout, target));
  for (const name of names) await copyFile(join(directory, name), join(partial, name));
  if (layout === 'original' && target === 'hf') await makeHfFiles(source, partial, names);
  await copySettings(source, partial);
  await writeJson(join(partial, 'config.json'), configFor(source, options, false));
  await checkReadsTheSame(source, options, partial);
}

async function makeHfFiles(
  { directory, config }: Source,
  partial: string,
  copied: readonly string[],
): Promise<void> {
  const tokenizerConfig = (await readOptionalJson(join(directory, 'tokenizer_config.json'))) ?? {};
  const generationConfig =
    (await readOptionalJson(join(directory, 'generation_config.json'))) ?? {};
  const files = hfCompanions(config, { tokenizerConfig, generationConfig });
  for (const [name, json] of Object.entries(files)) await writeJson(join(partial, name), json);
  const hasTemplate =
    copied.some((name) => name.startsWith('chat_template.')) ||
    typeof tokenizerConfig['chat_template'] === 'string';
  if (!hasTemplate) await writeFile(join(partial, 'chat_template.jinja'), HUB_TEMPLATE);
}

/** How the last adapter was trained, else how the model itself was. */
async function copySettings({ directory, adapters }: Source, partial: string): Promise<void> {
  for (const folder of [...adapters.map((one) => one.directory).reverse(), directory]) {
    try {
      await copyFile(join(folder, SETTINGS_FILE), join(partial, SETTINGS_FILE));
      return;
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ENOENT') throw error;
    }
  }
}

/** A layout that cannot express this checkpoint is refused before any weight is written. */
async function checkReadsTheSame(
  { directory, config, target }: Source,
  { dtype }: ExportOptions,
  partial: string,
): Promise<void> {
  const written = await readCheckpointConfig(partial);
  const wanted: CheckpointConfig = { ...config, layout: target, dtype: dtype ?? config.dtype };
  const details = differences(wanted, written, '');
  if (details.length === 0) return;
  throw createError(
    'FACELLM_CONFIG_INVALID',
    `the ${target} layout cannot say everything that the configuration in ${directory} says; nothing was written`,
    { details },
  );
}

function differences(wanted: unknown, written: unknown, path: string): string[] {
  if (typeof wanted !== 'object' || wanted === null) {
    if (Object.is(wanted, written)) return [];
    return [`${path}: ${JSON.stringify(wanted)} would become ${JSON.stringify(written)}`];
  }
  const keys = new Set([...Object.keys(wanted), ...Object.keys(written ?? {})]);
  return [...keys].flatMap((key) =>
    differences(
      (wanted as Record<string, unknown>)[key],
      (written as Record<string, unknown> | undefined)?.[key],
      path === '' ? key : `${path}.${key}`,
    ),
  );
}

async function writeWeights(
  source: Source,
  options: ExportOptions,
  partial: string,
): Promise<NativeExportResult> {
  const files = await readCheckpointFiles(source.directory);
  const { bavail, bsize } = await statfs(partial);
  options.signal?.throwIfAborted();
  const job = loadAddon().exportCheckpoint(
    {
      config: source.config.model,
      files: files.dataFiles,
      weightMap: files.weightMap,
      adapters: source.adapters.map((adapter) => adapter.source),
      layout: source.target,
      dtype: options.dtype ?? '',
      directory: partial,
      maxShardBytes: options.maxShardBytes ?? DEFAULT_SHARD_BYTES,
      availableBytes: Math.min(bavail * bsize, Number.MAX_SAFE_INTEGER),
    },
    (bytesDone, bytesTotal) => options.onProgress?.({ bytesDone, bytesTotal }),
  );
  const cancel = (): void => job.cancel();
  options.signal?.addEventListener('abort', cancel, { once: true });
  try {
    return await job.promise;
  } catch (error) {
    throw fromNative(error);
  } finally {
    options.signal?.removeEventListener('abort', cancel);
  }
}

/** None for a single file, as transformers has it. */
async function writeIndex(
  partial: string,
  { files, tensorBytes }: NativeExportResult,
): Promise<void> {
  if (files.length === 1) return;
  const entries = files.flatMap(({ name, tensors }) => tensors.map((tensor) => [tensor, name]));
  await writeJson(join(partial, 'model.safetensors.index.json'), {
    metadata: { total_size: tensorBytes },
    weight_map: Object.fromEntries(entries.sort()),
  });
}

async function writeJson(path: string, value: JsonObject): Promise<void> {
  await writeFile(path, `${JSON.stringify(value, null, 2)}\n`);
}

function writeError(output: string, cause: unknown): FaceLlmError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return createError(
    'FACELLM_RUN_WRITE',
    `${output} cannot be written; check the path, its permissions and the room on its disk`,
    { details: [reason], cause },
  );
}
