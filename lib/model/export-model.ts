/**
 * A checkpoint written anew: another layout, another dtype, adapters folded in. The engine goes tensor by tensor from
 * the old files to the new ones; this file decides what stands beside the weights. Everything is written into a folder
 * of another name, which takes the asked-for name when it is complete.
 */
import { statfs } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { loadAddon } from '../binding/load.js';
import type { NativeExportResult } from '../binding/native.js';
import { settle } from '../binding/settle.js';
import {
  type CheckpointLayout,
  readCheckpointConfig,
  readCheckpointFiles,
  readRequiredJson,
  resolveCheckpoint,
} from '../checkpoint/index.js';
import { readAdapter, resolveAdapter } from '../lora/index.js';
import { writeExportCard } from './export-card.js';
import { configFor, type ExportSource, writeCompanions, writeJson } from './export-companions.js';
import {
  abortSignal,
  callback,
  checkFields,
  fields,
  list,
  name,
  type Shape,
  whole,
  word,
} from '../options/index.js';
import { type Dtype, dtypeName, type LoadProgress } from './load.js';
import { newFolder } from './new-folder.js';

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
const WRONG_OPTIONS = 'the export options are wrong';
const place = name('a folder, or a hub id in the local cache');

const exportShape: Shape<ExportOptions> = {
  model: place,
  output: name('a path'),
  layout: word('hf', 'original').optional(),
  dtype: dtypeName.optional(),
  maxShardBytes: whole(1, Number.MAX_SAFE_INTEGER, ' (bytes)').optional(),
  onProgress: callback<(progress: LoadProgress) => void>().optional(),
  signal: abortSignal.optional(),
};
const exportOptions = fields<ExportOptions>(exportShape);
const mergeOptions = fields<MergeOptions>({
  ...exportShape,
  adapters: list(place, 'at least one folder; exportModel() writes a model without any', 1),
});

/**
 * Folds adapters into a model: W + s B A (and DoRA's scaling of rows) in fp32, rounded once. Blocks the engine thread,
 * not the event loop.
 *
 * @throws CheckpointError, InvalidArgumentError (an output that is not empty), TrainingError FACELLM_RUN_WRITE
 */
export async function mergeAdapter(options: MergeOptions): Promise<ExportedModel> {
  const { adapters, ...rest } = checkFields(mergeOptions, options, WRONG_OPTIONS);
  return write(rest, adapters);
}

/** Writes a checkpoint anew, in another layout or dtype. As {@link mergeAdapter}. */
export async function exportModel(options: ExportOptions): Promise<ExportedModel> {
  return write(checkFields(exportOptions, options, WRONG_OPTIONS), []);
}

async function open(options: ExportOptions, adapters: readonly string[]): Promise<ExportSource> {
  const directory = await resolveCheckpoint(options.model);
  const config = await readCheckpointConfig(directory);
  return {
    directory,
    raw: await readRequiredJson(join(directory, 'config.json'), 'the checkpoint is incomplete'),
    config,
    layout: config.layout,
    target: options.layout ?? config.layout,
    dtype: options.dtype,
    adapters: await Promise.all(
      adapters.map(async (folder) => {
        const adapter = await resolveAdapter(folder);
        const { source } = await readAdapter(adapter, config.model);
        return { directory: adapter, source };
      }),
    ),
  };
}

async function write(options: ExportOptions, adapters: readonly string[]): Promise<ExportedModel> {
  options.signal?.throwIfAborted();
  const folder = await newFolder(options.output, options.signal);
  const source = await open(options, adapters);
  return folder.write(async (partial) => {
    await writeCompanions(source, partial);
    const result = await writeWeights(source, options, partial);
    await writeIndex(partial, result);
    await writeJson(join(partial, 'config.json'), configFor(source, isTied(result)));
    await writeExportCard(options.model, source, partial, basename(folder.output));
    return {
      directory: folder.output,
      layout: source.target,
      files: result.files.map(({ name }) => name),
      tensors: result.files.reduce((sum, { tensors }) => sum + tensors.length, 0),
      tensorBytes: result.tensorBytes,
    };
  });
}

/** What a file says of tying is no evidence (docs/internvl3.md, section 3.3): the tensors are. */
function isTied({ files }: NativeExportResult): boolean {
  return !files.some(({ tensors }) => tensors.includes('language_model.lm_head.weight'));
}

async function writeWeights(
  source: ExportSource,
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
  return settle(job, options.signal);
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
