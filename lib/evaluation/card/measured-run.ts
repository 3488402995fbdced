/** Which of an evaluation's journals is about these very weights, loaded as they are stored, and how they were asked. */
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { z } from 'zod';

import { createError } from '../../errors.js';
import { isJsonObject, parseJson, readJournal } from '../../files/index.js';
import { hashFolder } from '../face-llm-contender.js';

const RANK = /^rank-\d+$/;
const SUFFIX = /\.jsonl$/;
const AS_STORED = 'as stored';

/** What of a journal's first line tells models and ways to ask them apart. */
const header = z.object({
  settings: z.object({
    model: z.object({
      model: z.string(),
      adapters: z.array(z.string()),
      load: z.string().optional(),
    }),
    prompt: z.record(z.string(), z.unknown()),
  }),
});

/** A model of an evaluation. */
export interface MeasuredRun {
  /** As the evaluation calls it. */
  readonly name: string;
  /** Template, system turn, tiles, dtype: as text. */
  readonly asked: Readonly<Record<string, string>>;
}

interface Candidate extends MeasuredRun {
  /** The weights were rounded while they were loaded: it is another model's score. */
  readonly isRounded: boolean;
}

/** What is measured: a checkpoint, or one adapter on it. */
export interface MeasuredWeights {
  readonly base: string;
  readonly adapter: string | undefined;
}

const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : JSON.stringify(value);

/** Of one form or of one a part; the columns of a scale round nothing alone. */
const isStored = (weights: unknown): boolean =>
  typeof weights === 'object' && weights !== null
    ? Object.values(weights).every(isStored)
    : weights === undefined || weights === 'stored' || typeof weights === 'number';

const jsonOf = (text: unknown): unknown => {
  const json = parseJson(typeof text === 'string' ? text : 'null');
  return json.isValid ? json.value : undefined;
};

/** @param load as JSON: what holds for this model of the run overrules what holds for all */
function candidate(
  name: string,
  { weights: ofRun, ...prompt }: Record<string, unknown>,
  load: string | undefined,
): Candidate {
  const own = jsonOf(load);
  const { weights = jsonOf(ofRun) ?? undefined, ...rest } = isJsonObject(own) ? own : {};
  const asked = Object.entries({ ...prompt, ...rest }).map(([key, value]) => [key, textOf(value)]);
  return {
    name,
    asked: Object.fromEntries(asked) as Record<string, string>,
    isRounded: !isStored(weights),
  };
}

async function candidatesIn(
  folder: string,
  isMeasured: (model: string, adapters: readonly string[]) => boolean,
): Promise<readonly Candidate[]> {
  const found = new Map<string, Candidate>();
  for (const rank of (await readdir(folder)).filter((entry) => RANK.test(entry)).sort()) {
    const files = (await readdir(join(folder, rank))).filter((entry) => SUFFIX.test(entry));
    for (const file of files.sort()) {
      let first: unknown;
      await readJournal(join(folder, rank, file), (entry) => (first ??= entry));
      const { data } = header.safeParse(first);
      if (data === undefined) continue;
      const { model, prompt } = data.settings;
      if (!isMeasured(model.model, model.adapters)) continue;
      const name = file.replace(SUFFIX, '');
      found.set(name, candidate(name, prompt, model.load));
    }
  }
  return [...found.values()];
}

/**
 * @param folder output of `evaluate`
 * @throws DataError FACELLM_DATA_INVALID where it holds nothing of these weights, or only of these weights in another form
 */
export async function measuredRun(
  folder: string,
  { base, adapter }: MeasuredWeights,
): Promise<MeasuredRun> {
  const hash = (directory: string): Promise<string> =>
    hashFolder(directory, 'model', {
      emit: () => undefined,
      signal: new AbortController().signal,
    });
  const ofBase = await hash(base);
  const ofAdapters = adapter === undefined ? [] : [await hash(adapter)];
  const candidates = await candidatesIn(
    folder,
    (model, adapters) => model === ofBase && adapters.join() === ofAdapters.join(),
  );
  const stored = candidates.filter(({ isRounded }) => !isRounded);
  const run = stored.find(({ asked }) => asked['dtype'] === AS_STORED) ?? stored[0];
  if (run !== undefined) return run;
  const weights = adapter === undefined ? resolve(base) : `${resolve(adapter)} on ${resolve(base)}`;
  throw createError(
    'FACELLM_DATA_INVALID',
    candidates.length === 0
      ? `${folder} holds no answers of the model in ${weights}: expected the output of facellm evaluate --benchmark attributes on these very weights`
      : `${folder} was measured with the weights of ${weights} rounded while they were loaded: expected the output of facellm evaluate --benchmark attributes without --weights`,
  );
}
