/** What models made of the questions, by three readings, and how often each was right in which group. */
import { wilsonInterval } from '../metrics/wilson.js';
import { mostProbable } from '../outcomes.js';
import type { EvaluationItem, ItemOutcome, ModelRun } from '../types.js';
import { extractOfficial } from './extract-official.js';
import { extractStrict } from './extract-strict.js';
import { CATEGORIES } from './published-set.js';

/**
 * `official`: the authors' way from text to letter. `strict`: text that names one option and nothing
 * else. `probability`: the most probable letter, no text involved.
 */
export type Reading = 'official' | 'strict' | 'probability';

/** A question with what its readings need; the order is that of the benchmark's items. */
export interface FaceXItem extends EvaluationItem {
  readonly file: string;
  readonly key: string;
  readonly options: readonly (string | number)[];
}

export interface ReadRun {
  readonly name: string;
  readonly outcomes: readonly ItemOutcome[];
  /** Per reading, each item's chosen option; undefined: none, which is wrong. */
  readonly picks: Readonly<Partial<Record<Reading, readonly (number | undefined)[]>>>;
}

export function readRun(items: readonly FaceXItem[], run: ModelRun): ReadRun {
  const { name, outcomes } = run;
  const pick = (
    read: (item: FaceXItem, outcome: ItemOutcome) => number | undefined,
  ): (number | undefined)[] =>
    items.map((item, i) => {
      const outcome = outcomes[i];
      return outcome && !outcome.failure ? read(item, outcome) : undefined;
    });
  const hasText = outcomes.some(({ text }) => text !== undefined);
  const hasProbabilities = outcomes.some(({ probabilities }) => probabilities !== undefined);
  return {
    name,
    outcomes,
    picks: {
      ...(hasText && {
        official: pick(({ options }, { text = '' }) => extractOfficial(text, options)),
        strict: pick(({ options }, { text = '' }) => extractStrict(text, options)),
      }),
      ...(hasProbabilities && { probability: pick((_, outcome) => mostProbable(outcome)) }),
    },
  };
}

export function readingsOf(run: ReadRun): Reading[] {
  return Object.keys(run.picks) as Reading[];
}

/** Questions that are counted together. */
export interface Group {
  readonly table: 'overall' | 'category' | 'task' | 'images' | 'fairface';
  readonly name: string;
  /** Indices into the items. */
  readonly members: readonly number[];
}

/** Names in the order of the paper; those that it does not know come last. */
const ORDER: Readonly<Record<'category' | 'task' | 'images', readonly string[]>> = {
  category: Object.keys(CATEGORIES),
  task: Object.values(CATEGORIES).flatMap((tasks) => Object.keys(tasks)),
  images: ['single', 'multiple', 'zero'],
};

/** All groups in the order of the report; groups without questions are left out. */
export function groupItems(items: readonly FaceXItem[]): Group[] {
  const all = items.map((_, i) => i);
  const by = (table: 'category' | 'task' | 'images'): Group[] => {
    const names = new Set([...ORDER[table], ...items.map(({ tags }) => tags[table] ?? '')]);
    return [...names].map((name) => ({
      table,
      name,
      members: all.filter((i) => items[i]?.tags[table] === name),
    }));
  };
  const isFairFace = (i: number): boolean => items[i]?.tags['dataset'] === 'fairface';
  const others = all.filter((i) => !isFairFace(i));
  const groups: Group[] = [
    { table: 'overall', name: 'all questions', members: all },
    ...[...by('category'), ...by('task'), ...by('images')],
    { table: 'fairface', name: 'without FairFace questions', members: others },
    { table: 'fairface', name: 'FairFace questions', members: all.filter(isFairFace) },
  ];
  return groups.filter(({ members }) => members.length > 0);
}

/** How often one model was right in one group, by one reading. */
export interface Score {
  readonly table: Group['table'];
  readonly group: string;
  readonly model: string;
  readonly reading: Reading;
  readonly correct: number;
  readonly total: number;
  /** Replies from which no option was read; wrong. */
  readonly unanswered: number;
  readonly accuracy: number;
  /** Wilson's interval. */
  readonly low: number;
  readonly high: number;
}

export function scoreGroup(
  items: readonly FaceXItem[],
  { table, name, members }: Group,
  run: ReadRun,
  reading: Reading,
): Score {
  const picks = run.picks[reading] ?? [];
  const correct = members.filter((i) => picks[i] === items[i]?.answer).length;
  const total = members.length;
  const { low, high } = wilsonInterval(correct, total);
  const unanswered = members.filter((i) => picks[i] === undefined).length;
  const counts = { correct, total, unanswered, accuracy: correct / total };
  return { table, group: name, model: run.name, reading, ...counts, low, high };
}
