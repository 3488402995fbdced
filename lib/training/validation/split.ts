/** Which records are never learnt from: whole pictures, or whole people, that the seed chooses. */
import type { TrainingRecord } from '../../data/index.js';
import { createError } from '../../errors.js';
import { permutation, randomNumbers } from '../order.js';
import type { ValidationShare } from '../recipe.js';

export interface Split {
  readonly train: readonly TrainingRecord[];
  readonly validation: readonly TrainingRecord[];
}

/** Epochs draw from streams 0 and up. */
const SPLIT_STREAM = -1;
const MOST_TOLD = 1000;

/** Records that share a name belong together, and so on through all names: their parts, by first record. */
function connected(names: readonly (readonly string[])[]): number[][] {
  const parents = names.map((_, i) => i);
  const rootOf = (i: number): number => {
    let root = i;
    while (parents[root] !== root) root = parents[root] as number;
    parents[i] = root;
    return root;
  };
  const first = new Map<string, number>();
  for (const [i, own] of names.entries()) {
    for (const name of own) {
      const other = first.get(name);
      if (other === undefined) first.set(name, i);
      else {
        // The earlier one stays the root: parts keep the order of the file.
        const [a, b] = [rootOf(other), rootOf(i)];
        parents[Math.max(a, b)] = Math.min(a, b);
      }
    }
  }
  const parts = new Map<number, number[]>();
  for (const i of names.keys()) {
    const root = rootOf(i);
    const part = parts.get(root);
    if (part === undefined) parts.set(root, [i]);
    else part.push(i);
  }
  return [...parts.values()];
}

function checkPersons(records: readonly TrainingRecord[]): void {
  const unknown = records.filter(({ facts }) => facts.person === undefined);
  if (unknown.length === 0) return;
  throw createError(
    'FACELLM_DATA_INVALID',
    `validation by person: ${unknown.length} of ${records.length} record(s) have no person; write the key "person" ` +
      "into each, or split by 'picture'",
    {
      details: unknown
        .slice(0, MOST_TOLD)
        .map(({ index }) => `record ${index}: expected the key person, but it is missing`),
    },
  );
}

/**
 * @throws DataError FACELLM_DATA_INVALID where a person is not known, or nothing would be left on one of the sides
 */
export function splitRecords(
  records: readonly TrainingRecord[],
  { share, by }: ValidationShare,
  seed: number,
): Split {
  if (by === 'person') checkPersons(records);
  const names = records.map(({ images, facts }) => [
    ...images.map((path) => `picture ${path}`),
    ...(by === 'person' ? [`person ${facts.person ?? ''}`] : []),
  ]);
  const counted = names.map((own, i) =>
    by === 'sample' ? [String(i)] : own.filter((name) => name.startsWith(by)),
  );
  // A record without a picture is one of its own.
  const unitsOf = (part: readonly number[]): number =>
    new Set(part.flatMap((i) => (counted[i]?.length ? counted[i] : [String(i)]))).size;
  const parts = connected(names);
  const wanted = share * parts.reduce((sum, part) => sum + unitsOf(part), 0);
  const chosen = new Set<number>();
  let taken = 0;
  for (const place of permutation(parts.length, randomNumbers(seed, SPLIT_STREAM))) {
    if (taken >= wanted) break;
    const part = parts[place] as number[];
    taken += unitsOf(part);
    for (const i of part) chosen.add(i);
  }
  if (chosen.size === records.length) {
    throw createError(
      'FACELLM_DATA_INVALID',
      `validation: a share of ${share} by ${by} leaves no record to learn from: the ${records.length} record(s) are ` +
        `${parts.length} part(s) that cannot be divided; lower the share, or give validation data of their own`,
    );
  }
  return {
    train: records.filter((_, i) => !chosen.has(i)),
    validation: records.filter((_, i) => chosen.has(i)),
  };
}
