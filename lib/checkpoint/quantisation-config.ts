/**
 * What a checkpoint says of quantised weights, and by which method: compressed-tensors, AWQ's gemm form, GPTQ, bitsandbytes' nf4
 * (docs/quantisation.md, "Files"). A field that is not understood is refused by its name: half of a scheme would be another one.
 */
import { join } from 'node:path';

import { isJsonObject, type JsonObject } from '../files/index.js';
import { compressedTensors } from './compressed-tensors.js';
import { omit, readListedJson } from './json-file.js';
import { awq, bitsandbytes, gptq } from './quantisation-methods.js';
import { expected, type Problems } from './schema.js';
import type { StoredQuantisation } from './stored-quantisation.js';

const METHODS: Readonly<
  Record<
    string,
    (object: JsonObject, place: string, problems: Problems) => StoredQuantisation | undefined
  >
> = { 'compressed-tensors': compressedTensors, awq, gptq, bitsandbytes };

/** Files of their own that older tools write, and the method that each stands for. */
const OWN_FILES = { 'quantize_config.json': 'gptq', 'quant_config.json': 'awq' } as const;

/**
 * Of a checkpoint that is not quantised undefined, as after reporting what is wrong.
 *
 * @param raw config.json
 */
export async function readQuantisation(
  directory: string,
  raw: JsonObject,
  problems: Problems,
): Promise<StoredQuantisation | undefined> {
  const sections = [
    ['config.json', raw] as const,
    ...['text_config', 'llm_config'].map(
      (name) => [`config.json: ${name}`, isJsonObject(raw[name]) ? raw[name] : {}] as const,
    ),
  ];
  for (const [place, section] of sections) {
    for (const key of ['quantization_config', 'compression_config']) {
      const value = section[key];
      if (value === undefined || value === null) continue;
      const at = place === 'config.json' ? `config.json: ${key}` : `${place}.${key}`;
      if (isJsonObject(value)) return byMethod(value['quant_method'], value, at, problems);
      problems.push(`${at}: ${expected('an object', value)}`);
      return undefined;
    }
  }
  for (const [file, method] of Object.entries(OWN_FILES)) {
    const value = await readListedJson(join(directory, file), problems);
    if (value)
      return byMethod(value['quant_method'] ?? method, value, `${file}: quantisation`, problems);
  }
  return undefined;
}

function byMethod(
  method: unknown,
  value: JsonObject,
  place: string,
  problems: Problems,
): StoredQuantisation | undefined {
  const known = typeof method === 'string' && Object.hasOwn(METHODS, method);
  const read = known ? METHODS[method] : undefined;
  if (read !== undefined) return read(value, place, problems);
  const names = Object.keys(METHODS).map((name) => JSON.stringify(name));
  problems.push(
    `${place}.quant_method: ${expected(names.join(' or '), method)}; fetch the model in one of these, or unquantised`,
  );
  return undefined;
}

const KEYS = ['quantization_config', 'compression_config'];

/** config.json of the same model with plain weights. */
export function withoutQuantisation(raw: JsonObject): JsonObject {
  const entries = Object.entries(omit(raw, KEYS)).map(([key, value]): [string, unknown] => {
    const isText = (key === 'text_config' || key === 'llm_config') && isJsonObject(value);
    return [key, isText ? omit(value, KEYS) : value];
  });
  return Object.fromEntries(entries);
}
