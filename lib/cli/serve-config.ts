/** Flags of `facellm serve` from a file, and all of them to what the library takes. */
import { type Command, CommanderError } from 'commander';
import { parse } from 'yaml';

import { InvalidArgumentError } from '../errors.js';
import { readDataText } from '../files/index.js';
import { didYouMean } from '../options/describe.js';
import type { ServeOptions, ServerLimits } from '../serving/index.js';
import { askedFacesOf } from './face-options.js';
import type { ServeFlags } from './serve-options.js';

function wrong(file: string, details: readonly string[], cause?: unknown): Error {
  return new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', `${file} is no configuration`, {
    details,
    cause,
  });
}

/**
 * A file's flags as a command line would have them, so that one rule reads both.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT naming every key that is no flag
 */
export function configArguments(text: string, file: string, command: Command): string[] {
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    throw wrong(file, [`expected YAML: ${cause instanceof Error ? cause.message : ''}`], cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrong(file, ['expected flags with their values, such as port: 8000']);
  }
  const known = new Map(
    command.options.flatMap((option) => {
      const name = option.long?.slice(2) ?? '';
      return name === 'config' || name === 'help' ? [] : [[name, option] as const];
    }),
  );
  const problems: string[] = [];
  const args = Object.entries(value).flatMap(([key, given]) => {
    const option = known.get(key);
    if (option === undefined) {
      problems.push(`${key}: there is no such flag; ${didYouMean(key, [...known.keys()])}`);
      return [];
    }
    const takesValue = option.required || option.optional;
    const items = (Array.isArray(given) ? given : [given]) as readonly unknown[];
    const isPlain = items.every((item) => ['string', 'number', 'boolean'].includes(typeof item));
    const isMany = items.length !== 1 && !option.variadic;
    if (!isPlain || isMany || (!takesValue && typeof given !== 'boolean')) {
      problems.push(`${key}: expected ${takesValue ? 'a value' : 'true or false'}`);
      return [];
    }
    if (!takesValue) return given === true ? [`--${key}`] : [];
    return items.map((item) => `--${key}=${String(item)}`);
  });
  if (problems.length > 0) throw wrong(file, problems);
  return args;
}

/** What the command line says goes before what the file says. */
export async function withConfig(flags: ServeFlags, command: Command): Promise<ServeFlags> {
  if (flags.config === undefined) return flags;
  const { text } = await readDataText(
    flags.config,
    (code) => `the configuration ${flags.config ?? ''} cannot be read (${code})`,
  );
  const reader = command
    .createCommand('serve')
    .exitOverride()
    .configureOutput({ writeErr() {} });
  for (const option of command.options) reader.addOption(option);
  try {
    reader.parse(configArguments(text, flags.config, command), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    throw wrong(flags.config, [error.message.replace(/^error: /, '')], error);
  }
  const given = Object.entries(flags).filter(
    ([name]) => command.getOptionValueSource(name) === 'cli',
  );
  return { ...reader.opts<ServeFlags>(), ...Object.fromEntries(given) };
}

/** @throws InvalidArgumentError where it is not told which of them counts */
function imageHostsOf({ imageHosts, anyImageHost }: ServeFlags): ServeOptions['imageHosts'] {
  if (anyImageHost !== true) return imageHosts?.flatMap((names) => names.split(','));
  if (imageHosts === undefined) return 'any';
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the server cannot be started so', {
    details: [
      'any-image-host: expected either it or image-hosts: it would fetch from hosts that image-hosts does not name; leave one of them out',
    ],
  });
}

/** Absent flags leave the library's defaults. @throws InvalidArgumentError */
export function serveOptions(
  flags: ServeFlags,
  apiKeys: readonly string[] | undefined,
): Omit<ServeOptions, 'model'> {
  const limits: { readonly [K in keyof ServerLimits]: ServerLimits[K] | undefined } = {
    bodyBytes: flags.maxBody,
    bodyBytesInFlight: flags.maxBodies,
    images: flags.maxImages,
    imageBytes: flags.maxImageBytes,
    imagePixels: flags.maxPixels,
    tiles: flags.maxTiles,
    decodedBytes: flags.maxDecoded,
    maxTokens: flags.maxTokens,
    defaultMaxTokens: flags.defaultMaxTokens,
    answers: flags.maxN,
    queue: flags.maxQueue,
    grammars: flags.maxGrammars,
    maxWait: flags.maxWait,
    queueTimeout: flags.queueTimeout,
    headerTimeout: flags.headerTimeout,
    bodyTimeout: flags.bodyTimeout,
    answerTimeout: flags.answerTimeout,
    streamTimeout: flags.streamTimeout,
    stallTimeout: flags.stallTimeout,
    streamInterval: flags.streamIntervalMs,
    drainTimeout: flags.drainTimeout,
    stallLimit: flags.stallLimit,
    batchFileBytes: flags.maxBatchFile,
    batchBytes: flags.maxBatchBytes,
    batchKeep: flags.keepBatches,
    connections: flags.maxConnections,
  };
  const given = Object.entries(limits).filter(([, value]) => value !== undefined);
  return {
    load: {
      adapter: flags.adapter,
      device: flags.device,
      dtype: flags.dtype,
      weights: flags.weights,
      subfolder: flags.subfolder,
      threads: flags.threads,
      mmap: flags.mmap,
      maxContext: flags.maxContext,
      maxRows: flags.maxRows,
      kvMemory: flags.kvMemory,
      deterministic: flags.deterministic,
      imageCacheBytes: flags.imageCache,
      prefixCacheBytes: flags.prefixCache,
    },
    servedName: flags.servedName,
    host: flags.host,
    port: flags.port,
    apiKeys,
    insecureNoAuth: flags.insecureNoAuth,
    allowHosts: flags.allowHost,
    corsOrigins: flags.corsOrigin,
    adaptersRoot: flags.adaptersRoot,
    batches: flags.batches,
    runs: flags.runs,
    imageHosts: imageHostsOf(flags),
    extraFormats: flags.allowFormat,
    defaultTemperature: flags.defaultTemperature,
    unknownFields: flags.unknownFields,
    faces: askedFacesOf(flags),
    metricsPrefix: flags.metricsPrefix,
    limits: Object.fromEntries(given),
  };
}
