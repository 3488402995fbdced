/**
 * What stands beside an export's weights: the configuration in the layout asked for, files copied or made, the
 * training settings. All of it is written and read back before any weight is.
 */
import { copyFile, cp, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type {
  NativeAdapterSource,
  NativeModelConfig,
  NativeQuantisation,
} from '../binding/native.js';
import { HUB_TEMPLATE } from '../chat/index.js';
import {
  type CheckpointConfig,
  type CheckpointLayout,
  convertConfig,
  type GenerationDefaults,
  hfCompanions,
  isCompanion,
  readCheckpointConfig,
  readOptionalJson,
} from '../checkpoint/index.js';
import { createError } from '../errors.js';
import type { JsonObject } from '../files/index.js';
import type { Dtype } from './load.js';
import { SETTINGS_FILE } from './serving-settings.js';

/** A checkpoint to export, its small files read. */
export interface ExportSource {
  readonly directory: string;
  readonly raw: JsonObject;
  readonly config: CheckpointConfig;
  readonly layout: CheckpointLayout;
  /** Of the folder to write. */
  readonly target: CheckpointLayout;
  /** Absent: every tensor as it is stored. */
  readonly dtype: Dtype | undefined;
  /** In which form the text layers' projections are written. */
  readonly quantisation: NativeQuantisation | undefined;
  readonly adapters: readonly {
    readonly directory: string;
    readonly source: NativeAdapterSource;
  }[];
}

/** config.json of the folder to write. */
export function configFor(source: ExportSource, isTied: boolean): JsonObject {
  const { raw, config, target: layout, dtype, quantisation } = source;
  return convertConfig(raw, config, { layout, dtype, isTied, quantisation });
}

/**
 * Writes everything but the weights and their index.
 *
 * @throws CheckpointError FACELLM_CONFIG_INVALID where the layout cannot say what the checkpoint's files say
 */
export async function writeCompanions(source: ExportSource, partial: string): Promise<void> {
  const { directory, layout, target } = source;
  const names = (await readdir(directory)).filter((name) => isCompanion(name, layout, target));
  for (const name of names) {
    // Entries of the hub's cache are links.
    await cp(join(directory, name), join(partial, name), { recursive: true, dereference: true });
  }
  if (layout === 'original' && target === 'hf') await makeHfFiles(source, partial, names);
  await copySettings(source, partial);
  await writeJson(join(partial, 'config.json'), configFor(source, false));
  await checkReadsTheSame(source, partial);
}

async function makeHfFiles(
  { directory, config }: ExportSource,
  partial: string,
  copied: readonly string[],
): Promise<void> {
  const tokenizerConfig = (await readOptionalJson(join(directory, 'tokenizer_config.json'))) ?? {};
  const generationConfig =
    (await readOptionalJson(join(directory, 'generation_config.json'))) ?? {};
  const files = hfCompanions(config, { tokenizerConfig, generationConfig });
  for (const [name, json] of Object.entries(files)) await writeJson(join(partial, name), json);
  if (copied.some((name) => name.startsWith('chat_template.'))) return;
  // What the original tokenizer's file holds is for text alone: its code makes prompts with pictures without it.
  await writeFile(join(partial, 'chat_template.jinja'), HUB_TEMPLATE);
}

/** How the last adapter was trained, else how the model itself was. */
async function copySettings({ directory, adapters }: ExportSource, partial: string): Promise<void> {
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
  { directory, config: all, target, dtype, quantisation }: ExportSource,
  partial: string,
): Promise<void> {
  const written = await readCheckpointConfig(partial);
  const { quantisation: stored, ...config } = all;
  const model: NativeModelConfig = { ...config.model };
  Reflect.deleteProperty(model, 'quantisation');
  const wanted: CheckpointConfig = {
    ...config,
    // Of the head nothing is known before the weights are written.
    model: { ...model, tiesEmbeddings: false, ...(quantisation && { quantisation }) },
    ...(quantisation && { quantisation: { method: 'compressed-tensors', ...quantisation } }),
    // How answers are drawn is read in the HF layout alone.
    generation: withoutOptions(config.generation),
    layout: target,
    dtype: dtype ?? (stored === undefined ? config.dtype : 'bf16'),
  };
  const generation = withoutOptions(written.generation);
  const details = differences(wanted, { ...written, generation }, '');
  if (details.length === 0) return;
  throw createError(
    'FACELLM_CONFIG_INVALID',
    `the ${target} layout cannot say everything that the configuration in ${directory} says; nothing was written`,
    { details },
  );
}

function withoutOptions(generation: GenerationDefaults): GenerationDefaults {
  return { ...generation, options: {}, notFollowed: [] };
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

export async function writeJson(path: string, value: JsonObject): Promise<void> {
  await writeFile(path, `${JSON.stringify(value, null, 2)}\n`);
}
