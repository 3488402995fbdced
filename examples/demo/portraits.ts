/** The portraits with their labels, and the few of them that a smoke test uses. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { parse } from 'csv-parse/sync';

export const ROOT: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const FACES: string = join(ROOT, 'examples', 'faces');
export const LABELS_NAME = 'labels.csv';

/** A row of labels.csv; '' where something is not known. */
export interface Portrait {
  /** Relative to the folder of the portraits. */
  readonly file: string;
  readonly split: 'train' | 'test';
  readonly identity: string;
  readonly source: string;
  readonly age_bracket: string;
  readonly gender: string;
  readonly expression: string;
  readonly eyewear: string;
}

export async function readPortraits(path: string): Promise<readonly Portrait[]> {
  return parse(await readFile(path), { columns: true });
}

function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

/** An order that has nothing to do with what the pictures show. */
export function inHashOrder<T>(items: readonly T[], nameOf: (item: T) => string): T[] {
  return [...items].sort((a, b) => (sha256(nameOf(a)) < sha256(nameOf(b)) ? -1 : 1));
}

/** Of the labels and of every picture. */
export async function fingerprintOf(portraits: readonly Portrait[]): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(portraits));
  for (const { file } of portraits) hash.update(await readFile(join(FACES, file)));
  return hash.digest('hex');
}

/** So many people of each source and split, with all their pictures. */
const QUICK_PEOPLE: Readonly<Record<string, number>> = {
  'train congress': 24,
  'train london': 8,
  'test congress': 8,
  'test london': 4,
};

/** The rows of a smoke test, in the order of the file: the people whose names have the lowest hashes. */
export function quickRows(portraits: readonly Portrait[]): readonly Portrait[] {
  const chosen = new Set(
    Object.entries(QUICK_PEOPLE).flatMap(([kind, count]) => {
      const rows = portraits.filter(({ split, source }) => `${split} ${source}` === kind);
      const people = [...new Set(rows.map(({ identity }) => identity))];
      return inHashOrder(people, (identity) => identity).slice(0, count);
    }),
  );
  return portraits.filter(({ identity }) => chosen.has(identity));
}

/** CSV text of some rows. */
export function labelsCsv(portraits: readonly Portrait[]): string {
  const columns = Object.keys(portraits[0] ?? {});
  const cell = (text: string): string =>
    /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const rows = portraits.map((row) =>
    Object.values(row as unknown as Record<string, string>)
      .map(cell)
      .join(','),
  );
  return `${[columns.join(','), ...rows].join('\n')}\n`;
}
