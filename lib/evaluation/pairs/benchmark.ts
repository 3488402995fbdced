/** Same-person verification: two pictures and a question whose answer is Yes or No; the score is the probability of Yes. */
import { join, resolve } from 'node:path';

import { isFile } from '../../data/lookup.js';
import { createError } from '../../errors.js';
import { pairedBenchmark, type PairedBenchmarkOptions } from '../paired/benchmark.js';
import type { Benchmark, EvaluationItem } from '../types.js';
import { pairKey } from './pair.js';
import { writePairsReport } from './report.js';
import { listedPairs, pairsOfPeople, type PairSource, type SourceOptions } from './source.js';

export interface PairsOptions extends PairedBenchmarkOptions, SourceOptions {
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
}

const QUESTION = 'Do these two pictures show the same person? Answer Yes or No.';
const ANSWERS = ['Yes', 'No'] as const;
const USUAL_LISTS = ['pairs.txt', 'pairs.csv'];
const DEFAULT_GENUINE = 1000;
const DEFAULT_IMPOSTOR = 3000;

async function findList({ data, pairs }: PairsOptions): Promise<string | undefined> {
  if (pairs !== undefined) return pairs;
  for (const name of USUAL_LISTS) {
    const path = join(resolve(data), name);
    if (await isFile(path)) return path;
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
const KIND_TAG = 'pair';

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
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID listing every fault of list and labels by its line
 */
export async function pairsBenchmark(options: PairsOptions): Promise<Benchmark> {
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
  const files = new Set(
    source.pairs.slice(0, items.length).flatMap(({ first, second }) => [first, second]),
  );
  return pairedBenchmark({
    name: 'pairs',
    items,
    readings: options.readings ?? ['probability'],
    options,
    file: source.file,
    pictures: new Map([...files].map((file) => [file, source.locate(file)])),
    groups: source.columns,
    of: [items.length, source.pairs.length, 'pairs'],
    isPartial: source.isPartial,
    notes: source.notes,
    report: writePairsReport,
  });
}
