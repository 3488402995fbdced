/**
 * A checkpoint written anew: another layout, another dtype, adapters folded in. The engine goes tensor by tensor from
 * the old files to the new ones; this file decides what stands beside the weights. Everything is written into a folder
 * of another name, which takes the asked-for name when it is complete.
 */
import { statfs } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { loadAddon } from '../binding/load.js';
import type {
  NativeExportResult,
  NativeQuantisation,
  NativeTextConfig,
} from '../binding/native.js';
import { settle } from '../binding/settle.js';
import { InvalidArgumentError } from '../errors.js';
import {
  type CheckpointLayout,
  readCheckpointConfig,
  readCheckpointFiles,
  readRequiredJson,
  resolveCheckpoint,
} from '../checkpoint/index.js';
import { readAdapter, resolveAdapter } from '../lora/index.js';
import { readSourceCards, writeExportCard } from './export-card.js';
import { configFor, type ExportSource, writeCompanions, writeJson } from './export-companions.js';
import {
  abortSignal,
  callback,
  checkFields,
  field,
  fields,
  flag,
  list,
  name,
  type Shape,
  whole,
  word,
} from '../options/index.js';
import { weightsIdentity } from './fingerprint.js';
import { type Dtype, dtypeName, type LoadProgress } from './load.js';
import { newFolder } from './new-folder.js';
import { readServingSettings } from './serving-settings.js';
import { baseWarning, refuseFolded } from './trained-base.js';
import type { ModelWarning } from './warning.js';

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
  /**
   * Into a checkpoint that is stored quantised: adapters are added to what its codes stand for. Without it that is refused: merge
   * into the original weights, and quantise the result.
   * @default false
   */
  readonly ontoQuantised?: boolean | undefined;
  /** `BASE_DIFFERS` alone: an adapter was trained upon another base than it is folded into. */
  readonly onWarning?: ((warning: ModelWarning) => void) | undefined;
}

/** Forms that quantised files are written in, all of compressed-tensors. */
export type QuantizedForm = 'int4' | 'int8' | 'fp8';

export interface QuantizeOptions extends ExportOptions {
  /**
   * Of the text layers' projections: `int4` in groups (`pack-quantized`), `int8` and `fp8` with a scale a row (`int-quantized`,
   * `float-quantized`). Everything else stays as it is.
   */
  readonly weights: QuantizedForm;
  /** Columns of an int4 scale. @default 128 where it divides all layers' columns, else 64 or 32 */
  readonly group?: 32 | 64 | 128 | undefined;
  /** PEFT folders, folded in before, in fp32. @default none */
  readonly adapters?: readonly string[] | undefined;
  /** As {@link MergeOptions.ontoQuantised}. @default false */
  readonly ontoQuantised?: boolean | undefined;
  /** As {@link MergeOptions.onWarning}. */
  readonly onWarning?: ((warning: ModelWarning) => void) | undefined;
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
const quantizeOptions = fields<QuantizeOptions>({
  ...exportShape,
  weights: word('int4', 'int8', 'fp8'),
  group: field<32 | 64 | 128>('32, 64 or 128', (value) =>
    [32, 64, 128].includes(Number(value)),
  ).optional(),
  adapters: list(place, 'a list of folders').optional(),
  ontoQuantised: flag.optional(),
  onWarning: callback<(warning: ModelWarning) => void>().optional(),
});
const mergeOptions = fields<MergeOptions>({
  ...exportShape,
  adapters: list(place, 'at least one folder; exportModel() writes a model without any', 1),
  ontoQuantised: flag.optional(),
  onWarning: callback<(warning: ModelWarning) => void>().optional(),
});

/**
 * Folds adapters into a model: W + s B A (and DoRA's scaling of rows) in fp32, rounded once. Blocks the engine thread,
 * not the event loop.
 *
 * @throws CheckpointError, InvalidArgumentError (an output that is not empty), TrainingError FACELLM_RUN_WRITE
 */
export async function mergeAdapter(options: MergeOptions): Promise<ExportedModel> {
  const checked = checkFields(mergeOptions, options, WRONG_OPTIONS);
  const { adapters: folders, ontoQuantised, onWarning, ...rest } = checked;
  return write(rest, { folders, ontoQuantised, onWarning });
}

/** Writes a checkpoint anew, in another layout or dtype. As {@link mergeAdapter}. */
export async function exportModel(options: ExportOptions): Promise<ExportedModel> {
  return write(checkFields(exportOptions, options, WRONG_OPTIONS), { folders: [] });
}

/**
 * Writes a checkpoint with its text layers' projections in 8 or 4 bits, for this library, transformers and vLLM. Scales are found
 * without data, so that adapters of the original stay valid. As {@link mergeAdapter}.
 *
 * @throws as {@link mergeAdapter}; InvalidArgumentError FACELLM_INVALID_ARGUMENT for a group that does not divide a layer's columns
 */
export async function quantizeModel(options: QuantizeOptions): Promise<ExportedModel> {
  const checked = checkFields(quantizeOptions, options, WRONG_OPTIONS);
  const { weights, group, adapters: folders = [], ontoQuantised, onWarning, ...rest } = checked;
  return write(rest, { folders, ontoQuantised, onWarning }, { weights, group });
}

type Wanted = Pick<QuantizeOptions, 'weights' | 'group'>;

interface Folded {
  readonly folders: readonly string[];
  readonly ontoQuantised?: boolean | undefined;
  readonly onWarning?: ((warning: ModelWarning) => void) | undefined;
}

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT */
function quantisationOf(
  { weights, group }: Wanted,
  { hiddenSize, intermediateSize, headDim, numAttentionHeads }: NativeTextConfig,
): NativeQuantisation {
  if (weights !== 'int4') {
    if (group !== undefined) {
      throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', WRONG_OPTIONS, {
        details: [`group: of int4 alone, ${weights} has a scale a row`],
      });
    }
    const format = weights === 'int8' ? 'int-quantized' : 'float-quantized';
    return { format, bits: 8, group: 0, isSymmetric: true };
  }
  const columns = [hiddenSize, intermediateSize, headDim * numAttentionHeads];
  const fits = [128, 64, 32].filter((size) => columns.every((count) => count % size === 0));
  const chosen = group ?? fits[0];
  if (chosen === undefined || !fits.includes(chosen)) {
    throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', WRONG_OPTIONS, {
      details: [
        `group: layers have ${columns.join(', ')} columns, which ${fits.length === 0 ? 'none of 32, 64 and 128 divides' : `${fits.join(', ')} divide(s) and ${chosen} does not`}`,
      ],
    });
  }
  return { format: 'pack-quantized', bits: 4, group: chosen, isSymmetric: true };
}

async function open(
  options: ExportOptions,
  { folders, ontoQuantised = false, onWarning }: Folded,
  wanted: Wanted | undefined,
): Promise<ExportSource> {
  const directory = await resolveCheckpoint(options.model);
  const config = await readCheckpointConfig(directory);
  if (folders.length > 0 && config.quantisation !== undefined && !ontoQuantised) {
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      `${options.model} is stored quantised (${config.quantisation.method}): merge into the original weights and quantise the ` +
        'result, or, for an adapter that was trained upon these files, merge with ontoQuantised (--onto-quantised)',
    );
  }
  const weightsHash = await weightsIdentity(await readCheckpointFiles(directory));
  const { quantisation } = config;
  // Folded into the numbers that the files stand for.
  const base = { weightsHash, quantisation, weights: { text: 'stored', group: 0 } } as const;
  return {
    directory,
    raw: await readRequiredJson(join(directory, 'config.json'), 'the checkpoint is incomplete'),
    config,
    layout: config.layout,
    target: options.layout ?? config.layout,
    dtype: options.dtype,
    quantisation: wanted && quantisationOf(wanted, config.model.text),
    adapters: await Promise.all(
      folders.map(async (folder) => {
        const adapter = await resolveAdapter(folder);
        const { source } = await readAdapter(adapter, config.model);
        const settings = await readServingSettings(adapter, 'FACELLM_ADAPTER_INVALID');
        refuseFolded(folder, settings?.base, base);
        const warning = baseWarning(basename(adapter), settings?.base, base, 'merge');
        if (warning !== undefined) onWarning?.(warning);
        return { directory: adapter, source };
      }),
    ),
  };
}

async function write(
  options: ExportOptions,
  folded: Folded,
  wanted?: Wanted,
): Promise<ExportedModel> {
  options.signal?.throwIfAborted();
  const folder = await newFolder(options.output, options.signal);
  const source = await open(options, folded, wanted);
  const cards = await readSourceCards(source);
  return folder.write(async (partial) => {
    await writeCompanions(source, partial);
    const result = await writeWeights(source, options, partial);
    await writeIndex(partial, result);
    await writeJson(join(partial, 'config.json'), configFor(source, isTied(result)));
    await writeExportCard(options.model, source, cards, partial, basename(folder.output));
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
      ...(source.quantisation && { quantisation: source.quantisation }),
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
