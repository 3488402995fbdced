/** `facellm init --data FILE... --output DIR`: a small model with random weights and a vocabulary learnt from the data. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { datasetTexts, readDataset } from '../data/index.js';
import { createError } from '../errors.js';
import { readDataText } from '../files/index.js';
import { createModel, type CreatedModel, nanoShape, overrideShape } from '../model/index.js';
import { interruptSignal } from './interrupt.js';
import type { OutputFlags } from './options.js';
import { type Console, formatBytes } from './output.js';

export interface InitFlags extends OutputFlags {
  readonly data: readonly string[];
  readonly output: string;
  readonly dataset?: string;
  readonly imageRoot?: string;
  readonly set?: readonly string[];
  readonly vocabulary?: number;
  readonly seed?: number;
}

export async function runInit(flags: InitFlags, streams: Console): Promise<void> {
  // A second one does not break off the removal of what is half written.
  using interrupt = interruptSignal(() => undefined);
  const shape = overrideShape(nanoShape(), flags.set ?? []);
  const texts: string[] = [];
  for (const path of flags.data) {
    for (const text of await textsOf(path, flags)) texts.push(text);
  }
  const model = await createModel({
    ...{ output: flags.output, texts, shape, seed: flags.seed, signal: interrupt.signal },
    vocabularySize: flags.vocabulary,
  });
  if (flags.json) streams.stdout.write(`${JSON.stringify(model)}\n`);
  else streams.stdout.write(`${await describe(model)}\n${nextCommand(model, flags)}\n`);
}

/** A folder or a .json or .jsonl file is a dataset, as for `facellm train`; any other file is text. */
function isDataset(path: string, isFolder: boolean): boolean {
  return isFolder || /\.jsonl?$/i.test(path);
}

async function textsOf(path: string, { dataset: name, imageRoot }: InitFlags): Promise<string[]> {
  const kind = await stat(path).catch((cause: unknown) => {
    throw createError('FACELLM_DATA_NOT_FOUND', `there is no ${path}; check the path`, { cause });
  });
  if (isDataset(path, kind.isDirectory())) {
    return datasetTexts((await readDataset(path, { name, imageRoot })).records);
  }
  return [(await readDataText(path, () => `${path} cannot be read`)).text];
}

async function describe({ directory, parameters, vocabularySize }: CreatedModel): Promise<string> {
  const { size } = await stat(join(directory, 'model.safetensors'));
  const count = parameters.toLocaleString('en-US');
  return `${count} parameters (${formatBytes(size)}), ${vocabularySize} tokens: ${directory}`;
}

/** With the weights made here: the recipe's own `random` would draw others, and a head of their own. */
function nextCommand({ directory }: CreatedModel, flags: InitFlags): string {
  const data = flags.data.find((path) => /\.jsonl?$/i.test(path)) ?? 'DATASET.json';
  const options = [
    ['--data', data],
    ...(flags.dataset === undefined ? [] : [['--dataset', flags.dataset]]),
    ...(flags.imageRoot === undefined ? [] : [['--image-root', flags.imageRoot]]),
  ];
  const words = options.map(([option = '', value = '']) => `${option} ${quoted(value)}`).join(' ');
  return `next: facellm train --recipe nano --model ${quoted(directory)} ${words} --output RUN`;
}

/** For a POSIX shell. */
function quoted(word: string): string {
  return /^[\w./:@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
