/** Same-person verification: two pictures and a question whose answer is Yes or No; the score is the probability of Yes. */
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { createError } from '../../errors.js';
import { fingerprint, sourceOf } from '../labels/index.js';
import { DEFAULT_CONFIDENCE, SMALL_GROUP } from '../metrics/index.js';
import type { Benchmark, EvaluationItem } from '../types.js';
import { pairKey } from './pair.js';
import { writePairsReport } from './report.js';
import { listedPairs, pairsOfPeople, type PairSource, type SourceOptions } from './source.js';

export interface PairsOptions extends SourceOptions {
  /** A list of pairs, LFW's pairs.txt or a CSV of path_a, path_b, same. @default pairs.txt or pairs.csv in `data`, else drawn */
  readonly pairs?: string | undefined;
  /** Pairs of one person to draw, at most, where there is no list. @default 1000 */
  readonly genuine?: number | undefined;
  /** Pairs of two people to draw, at most. @default 3000 */
  readonly impostor?: number | undefined;
  /** `same-groups` draws pairs of two people who are alike in all groups, which are harder. @default 'any' */
  readonly impostors?: 'any' | 'same-groups' | undefined;
  /** @default 'Do these two pictures show the same person? Answer Yes or No.' */
  readonly question?: string | undefined;
  /** The answers that mean the same person, and two people. @default ['Yes', 'No'] */
  readonly answers?: readonly [same: string, different: string] | undefined;
  /** @default probability */
  readonly readings?: Benchmark['readings'] | undefined;
  /** The first pairs only. @default all */
  readonly limit?: number | undefined;
  /** Groups with fewer pairs of either kind are marked and decide no gap. @default 30 */
  readonly smallGroup?: number | undefined;
  /** Of drawing pairs and of resampling. @default 0 */
  readonly seed?: number | undefined;
}

const QUESTION = 'Do these two pictures show the same person? Answer Yes or No.';
const ANSWERS = ['Yes', 'No'] as const;
const USUAL_LISTS = ['pairs.txt', 'pairs.csv'];
const DEFAULT_GENUINE = 1000;
const DEFAULT_IMPOSTOR = 3000;

function checkOptions(options: PairsOptions): void {
  const problems: string[] = [];
  const natural = (
    name: 'genuine' | 'impostor' | 'limit' | 'smallGroup' | 'seed',
    least: number,
  ) => {
    const value = options[name];
    if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return;
    problems.push(`${name}: expected a whole number from ${least}, got ${value}`);
  };
  const { data, impostors, readings, question, answers = ANSWERS } = options;
  if (typeof data !== 'string' || data === '') problems.push('data: expected the path of a folder');
  for (const name of ['genuine', 'impostor', 'limit', 'smallGroup'] as const) natural(name, 1);
  natural('seed', 0);
  if (impostors !== undefined && impostors !== 'any' && impostors !== 'same-groups') {
    problems.push(`impostors: expected any or same-groups, got ${String(impostors)}`);
  }
  if (readings !== undefined && !readings.includes('probability')) {
    problems.push(
      'readings: expected probability, which the scores are, and text if it is wanted too',
    );
  }
  if (question?.trim() === '') problems.push('question: expected text');
  if (
    answers.length !== 2 ||
    answers[0] === answers[1] ||
    answers.some((one) => one.trim() === '')
  ) {
    problems.push(`answers: expected two different texts, got ${JSON.stringify(answers)}`);
  }
  if (problems.length === 0) return;
  throw createError('FACELLM_INVALID_ARGUMENT', 'the options of the pairs are wrong', {
    details: problems,
  });
}

async function findList({ data, pairs }: PairsOptions): Promise<string | undefined> {
  if (pairs !== undefined) return pairs;
  for (const name of USUAL_LISTS) {
    const path = join(resolve(data), name);
    const isFile = await stat(path).then(
      (stats) => stats.isFile(),
      () => false,
    );
    if (isFile) return path;
  }
  return undefined;
}

/** The values that both pictures share; pairs across groups are in none. */
function sharedTags(
  { groups }: PairSource,
  first: string,
  second: string,
): Readonly<Record<string, string>> {
  const [a, b] = [groups.get(first) ?? {}, groups.get(second) ?? {}];
  return Object.fromEntries(Object.entries(a).filter(([name, value]) => b[name] === value));
}

/** Name among an item's tags of what it is: `genuine` or `impostor`. */
export const KIND_TAG = 'pair';

function itemsOf(source: PairSource, options: PairsOptions): EvaluationItem[] {
  const { question = QUESTION, answers = ANSWERS, limit } = options;
  return source.pairs.slice(0, limit).map((pair) => {
    const { first, second, isGenuine } = pair;
    return {
      id: pairKey(pair),
      images: [source.locate(first), source.locate(second)],
      prompt: question,
      choices: [...answers],
      answer: isGenuine ? 0 : 1,
      tags: {
        [KIND_TAG]: isGenuine ? 'genuine' : 'impostor',
        ...sharedTags(source, first, second),
      },
    };
  });
}

/**
 * Reads a list of pairs, or draws pairs from the identities of a label file, and makes one item of each. All
 * pictures are read once for the fingerprint.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every wrong option
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID listing every fault of list and labels by its line
 */
export async function pairsBenchmark(options: PairsOptions): Promise<Benchmark> {
  checkOptions(options);
  const list = await findList(options);
  const { genuine = DEFAULT_GENUINE, impostor = DEFAULT_IMPOSTOR, seed = 0 } = options;
  const source =
    list === undefined
      ? await pairsOfPeople({ ...options, genuine, impostor, seed })
      : await listedPairs(list, options);
  const items = itemsOf(source, options);
  const genuineCount = items.filter(({ answer }) => answer === 0).length;
  if (genuineCount === 0 || genuineCount === items.length) {
    throw createError(
      'FACELLM_DATA_INVALID',
      `${source.file.path}: expected pairs of one person and pairs of two, got ${genuineCount} and ${items.length - genuineCount}`,
    );
  }
  const isCut = items.length < source.pairs.length;
  const isPartial = isCut || source.isPartial;
  const notes = [
    ...source.notes,
    ...(isCut ? [`only the first ${items.length} of ${source.pairs.length} pairs`] : []),
  ];
  const files = new Set(
    source.pairs.slice(0, items.length).flatMap(({ first, second }) => [first, second]),
  );
  const { sha256, sources } = await fingerprint({
    items,
    pictures: new Map([...files].map((file) => [file, source.locate(file)])),
  });
  const { readings = ['probability'], smallGroup = SMALL_GROUP } = options;
  return {
    name: 'pairs',
    isPartial,
    notes,
    items,
    fingerprint: sha256,
    sources: [sourceOf(options.data, source.file), ...sources],
    readings,
    report: (runs, output, how) =>
      writePairsReport({
        ...how,
        runs,
        output,
        items,
        notes,
        isPartial,
        readings,
        smallGroup,
        seed,
        groups: source.columns,
        confidence: DEFAULT_CONFIDENCE,
      }),
  };
}
