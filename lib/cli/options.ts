/** Options that the commands share: their flags, and their values checked before anything is loaded. */
import { type Command, InvalidArgumentError as UsageError, Option } from 'commander';

import type { TemplateName } from '../chat/index.js';
import type { TilingOptions } from '../image/index.js';
import type { LoadOptions, WeightForm } from '../model/index.js';

/** What a loaded model may use at once. */
export interface EngineFlags {
  readonly maxContext?: number;
  readonly maxRows?: number;
  readonly kvMemory?: number;
  readonly deterministic?: boolean;
}

export interface ModelFlags extends EngineFlags {
  readonly model: string;
  readonly subfolder?: string;
  readonly device?: string;
  readonly dtype?: 'fp32' | 'bf16';
  readonly weights?: WeightForm;
  readonly threads?: number;
  /** False with `--no-mmap`. */
  readonly mmap: boolean;
  readonly adapter?: readonly string[];
  readonly download?: boolean;
}

export interface PromptFlags {
  readonly template?: TemplateName;
  readonly system?: string;
  readonly tiles?: TilingOptions;
  readonly limitArea?: 'on' | 'off';
  /** False with `--no-exif`. */
  readonly exif: boolean;
}

export interface OutputFlags {
  readonly json?: boolean;
}

export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
    throw new UsageError(`Expected a whole number of at least ${least}.`);
  };
}

export function decimal(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new UsageError('Expected a number.');
}

/** `off` or `MIN..MAX`. */
export function tiles(text: string): TilingOptions {
  if (text === 'off') return 'off';
  const match = /^(\d{1,4})\.\.(\d{1,4})$/.exec(text);
  if (match !== null) {
    const [minTiles, maxTiles] = [Number(match[1]), Number(match[2])];
    if (minTiles >= 1 && minTiles <= maxTiles) return { minTiles, maxTiles };
  }
  throw new UsageError('Expected off, or MIN..MAX such as 1..12.');
}

/** Decimal units, as transformers' `max_shard_size`. */
export function shardSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(KB|MB|GB)$/i.exec(text);
  const unit = { KB: 1e3, MB: 1e6, GB: 1e9 }[match?.[2]?.toUpperCase() ?? ''];
  const bytes = Math.floor(Number(match?.[1]) * (unit ?? NaN));
  if (Number.isSafeInteger(bytes) && bytes >= 1) return bytes;
  throw new UsageError('Expected a size such as 5GB or 500MB.');
}

/** Bytes, or a size in decimal or binary units. */
export function memorySize(text: string): number {
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  const match = /^(\d+(?:\.\d+)?)(MB|GB|MiB|GiB)$/.exec(text);
  const unit = { MB: 1e6, GB: 1e9, MiB: 2 ** 20, GiB: 2 ** 30 }[match?.[2] ?? ''];
  const bytes = Math.floor(Number(match?.[1]) * (unit ?? NaN));
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new UsageError('Expected bytes, or a size such as 512MiB or 2GiB.');
}

function device(text: string): string {
  if (/^(cpu|cuda(:\d{1,3})?)$/.test(text)) return text;
  throw new UsageError('Expected cpu, cuda or cuda:N.');
}

/** Written out: `--help` loads nothing. */
const WEIGHT_FORMS: readonly WeightForm[] = [
  ...(['stored', 'int8', 'int4', 'fp8', 'nf4', 'nf4-double'] as const),
];

export function weightsOption(): Option {
  return new Option(
    '--weights <form>',
    "keep the text layers' weights in 8 or 4 bits, and the head in 8 (CPU; default: stored)",
  ).choices(WEIGHT_FORMS);
}

export const DOWNLOAD = ['--download', 'fetch what the cache lacks of a hub id'] as const;

export function addDeviceOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--device <name>', 'cpu, cuda or cuda:N (default: a GPU if usable)').argParser(
        device,
      ),
    )
    .addOption(new Option('--dtype <name>', 'default: as stored').choices(['fp32', 'bf16']))
    .addOption(weightsOption());
}

export function addModelOptions(command: Command): Command {
  const model = command
    .requiredOption(
      '--model <dir>',
      'checkpoint folder, or a hub id in the local Hugging Face cache',
    )
    .option('--subfolder <name>', 'folder inside the checkpoint')
    .option(...DOWNLOAD);
  return addDeviceOptions(model)
    .option('--threads <n>', 'threads of the engine', wholeNumber(1))
    .option('--no-mmap', 'copy the weights instead of mapping their files');
}

/** Of what is planned when a model is loaded. */
export function addEngineOptions(command: Command): Command {
  return command
    .option(
      '--max-context <n>',
      "tokens of prompt and answer (default: the model's limit)",
      wholeNumber(2),
    )
    .option(
      '--max-rows <n>',
      'answers computed at a time (default: 16 on a CPU, 256 on a GPU)',
      wholeNumber(1),
    )
    .option(
      '--kv-memory <size>',
      'of keys and values, such as 2GiB (default: `facellm plan` tells)',
      memorySize,
    );
}

/** Where requests are computed together. */
export function addDeterministicOption(command: Command): Command {
  return command.option(
    '--deterministic',
    'answers are the same, bit for bit, in any company (CPU)',
  );
}

/** Of what `facellm calibrate` has written. */
export const CALIBRATION = [
  '--calibration <file>',
  'of `facellm calibrate`, for this model and these questions: calibrated probabilities, too',
] as const;

export function addPromptOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--template <name>',
        'form of the prompt (default: as trained if recorded, else by the layout: hub or original)',
      ).choices(['hub', 'original', 'training']),
    )
    .option('--system <text>', 'system turn ("" for none)')
    .option('--tiles <range>', 'MIN..MAX, or off for one tile (default: by the checkpoint)', tiles)
    .addOption(
      new Option('--limit-area <switch>', 'shrink pictures above 768 x 768 pixels').choices([
        'on',
        'off',
      ]),
    )
    .option('--no-exif', 'leave pictures as stored instead of turning them upright');
}

export function addAdapterOption(command: Command): Command {
  return command.option('--adapter <dir...>', 'PEFT adapters; their effects add up');
}

export function addJsonOption(command: Command): Command {
  return command.option('--json', 'print one JSON object');
}

/** Flags to the API's load options; absent ones stay absent. */
export function loadOptionsOf(flags: ModelFlags): LoadOptions {
  const { device, dtype, weights, subfolder, threads, mmap, adapter } = flags;
  const { maxContext, maxRows, kvMemory, deterministic } = flags;
  return {
    ...{ device, dtype, weights, subfolder, threads, mmap, adapter },
    ...{ maxContext, maxRows, kvMemory, deterministic },
  };
}

/** Flags to the API's prompt options; absent ones stay absent. */
export function promptOptions(flags: PromptFlags): {
  readonly template?: TemplateName | undefined;
  readonly system?: string | undefined;
  readonly tiling?: TilingOptions | undefined;
  readonly limitsImageArea?: boolean | undefined;
  readonly applyExif?: boolean | undefined;
} {
  return {
    template: flags.template,
    system: flags.system,
    tiling: flags.tiles,
    limitsImageArea: flags.limitArea === undefined ? undefined : flags.limitArea === 'on',
    applyExif: flags.exif ? undefined : false,
  };
}
