/**
 * Finds the weight files of a checkpoint folder: model.safetensors, or the shards that
 * model.safetensors.index.json lists. As in transformers the single file wins where both exist
 * (docs/internvl3.md, section 3.4). The addon checks what is inside.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { createError } from '../errors.js';
import { type CheckpointLayout, readLayout } from './config.js';
import { findImpostor, type JsonObject, systemCode } from '../files/index.js';
import { readOptionalJson } from './json-file.js';
import { checked, expected, parseObject, type Problems } from './schema.js';

export interface CheckpointFiles {
  readonly directory: string;
  readonly layout: CheckpointLayout;
  /** Full paths, shards in name order. */
  readonly dataFiles: readonly string[];
  /** Tensor name and index into `dataFiles`; empty for a single file. */
  readonly weightMap: readonly (readonly [string, number])[];
  /** Size of all data files. */
  readonly totalBytes: number;
}

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/** A plain file name: an index must not lead out of its folder. */
function isShardName(name: unknown): name is string {
  return typeof name === 'string' && /^[^/\\\0]+\.safetensors$/.test(name);
}

const indexSchema = z.object({
  weight_map: z.record(
    z.string(),
    checked<string>('the name of a .safetensors file in this folder', isShardName),
    { error: (issue) => expected('an object from tensor to file', issue.input) },
  ),
});

/** Size in bytes, or why the file cannot be used. */
async function sizeOf(path: string): Promise<number | string> {
  try {
    const status = await stat(path);
    return status.isFile() ? status.size : 'is not a regular file';
  } catch (error) {
    const code = systemCode(error);
    return code === 'ENOENT' ? 'is missing' : `cannot be read (${code})`;
  }
}

/** Else the engine would read a pointer's text as the length of a header. */
async function refuseImpostors(directory: string, names: readonly string[]): Promise<void> {
  const found = await Promise.all(names.map((name) => findImpostor(join(directory, name))));
  const details = names.flatMap((name, i) => (found[i] ? [`${name} ${found[i].text}`] : []));
  if (details.length === 0) return;
  throw createError(
    'FACELLM_CHECKPOINT_INVALID',
    `${details.length} of ${names.length} weight file(s) in ${directory} are not there, first: ${details[0]}`,
    { details },
  );
}

function parseIndex(path: string, raw: JsonObject): [string, string][] {
  const problems: Problems = [];
  const index = parseObject(indexSchema, raw, INDEX, problems);
  const entries = Object.entries(index?.weight_map ?? {});
  if (index !== undefined && entries.length === 0) problems.push(`${INDEX}: weight_map is empty`);
  if (problems.length === 0) return entries;
  throw createError(
    'FACELLM_CHECKPOINT_INVALID',
    `${path} has ${problems.length} problem(s), first: ${problems[0]}; fetch the checkpoint again`,
    { details: problems },
  );
}

/**
 * Throws FACELLM_CHECKPOINT_NOT_FOUND listing every absent file, FACELLM_CHECKPOINT_INVALID for a
 * bad index, FACELLM_CONFIG_INVALID if config.json is no InternVL3 config.
 */
export async function readCheckpointFiles(directory: string): Promise<CheckpointFiles> {
  const { layout } = await readLayout(directory);
  const single = join(directory, SINGLE);
  const singleSize = await sizeOf(single);
  if (typeof singleSize === 'number') {
    await refuseImpostors(directory, [SINGLE]);
    return { directory, layout, dataFiles: [single], weightMap: [], totalBytes: singleSize };
  }
  const indexPath = join(directory, INDEX);
  const raw = await readOptionalJson(indexPath);
  if (raw === undefined) {
    throw createError(
      'FACELLM_CHECKPOINT_NOT_FOUND',
      `there are no weights in ${directory}: expected ${SINGLE}, or ${INDEX} with its shards; ` +
        'fetch the checkpoint again, or convert other formats to safetensors',
      { details: [`${SINGLE}: ${singleSize}`, `${INDEX}: is missing`] },
    );
  }
  const entries = parseIndex(indexPath, raw);
  const names = [...new Set(entries.map(([, file]) => file))].sort();
  const sizes = await Promise.all(names.map((name) => sizeOf(join(directory, name))));
  const details = names.flatMap((name, i) =>
    typeof sizes[i] === 'number' ? [] : [`${name}: ${sizes[i]}`],
  );
  if (details.length > 0) {
    throw createError(
      'FACELLM_CHECKPOINT_NOT_FOUND',
      `${details.length} of ${names.length} shards listed in ${indexPath} cannot be used; ` +
        'fetch the checkpoint again',
      { details },
    );
  }
  await refuseImpostors(directory, names);
  const indexOf = new Map(names.map((name, i) => [name, i]));
  return {
    directory,
    layout,
    dataFiles: names.map((name) => join(directory, name)),
    weightMap: entries.map(([tensor, file]) => [tensor, indexOf.get(file) ?? -1] as const),
    totalBytes: sizes.reduce<number>((sum, size) => sum + Number(size), 0),
  };
}
