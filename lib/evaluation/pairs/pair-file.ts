/**
 * Pairs as lists publish them: LFW's pairs.txt (G. Huang et al., Labeled Faces in the Wild, 2007) or a CSV of two
 * paths and a verdict.
 */
import { received } from '../../options/describe.js';
import { normaliseFile } from '../../data/labels/image-folder.js';
import { type RowProblem, unusableRows } from '../../data/labels/picture-rows.js';
import { createError } from '../../errors.js';
import { readDataText, universalNewlines } from '../../files/index.js';
import { findColumn, missingColumn, readLabelFile } from '../labels/label-file.js';
import { type ListedPair, pairKey } from './pair.js';

export interface PairFile {
  /** In the order of the file; each pair once. */
  readonly pairs: readonly ListedPair[];
  readonly problems: readonly RowProblem[];
  /** Of its bytes. */
  readonly sha256: string;
}

const VERDICTS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 'true', 'yes', 'same'].map((word) => [word, true] as const),
  ...['0', 'false', 'no', 'different'].map((word) => [word, false] as const),
]);

function lfwPath(name: string, number: string): string | undefined {
  return /^\d+$/.test(number)
    ? normaliseFile(`${name}/${name}_${number.padStart(4, '0')}.jpg`)
    : undefined;
}

/** One line of pairs.txt: "name n m" of one person, "name n other m" of two. */
function lfwPair(fields: readonly string[], line: number): ListedPair | undefined {
  const [name = '', number = '', third = '', fourth] = fields;
  const isGenuine = fields.length === 3;
  if (!isGenuine && fields.length !== 4) return undefined;
  const first = lfwPath(name, number);
  const second = fourth === undefined ? lfwPath(name, third) : lfwPath(third, fourth);
  if (first === undefined || second === undefined) return undefined;
  return { first, second, isGenuine, line };
}

/** How many pairs the first line promises: "folds pairs" of each kind and fold, or "pairs" of each kind. */
function promisedPairs(fields: readonly string[]): number | undefined {
  if (fields.length < 1 || fields.length > 2 || !fields.every((field) => /^\d+$/.test(field)))
    return undefined;
  return fields.reduce((product, field) => product * Number(field), 2);
}

function parseLfw(text: string): { pairs: ListedPair[]; problems: RowProblem[] } {
  const pairs: ListedPair[] = [];
  const problems: RowProblem[] = [];
  const lines = universalNewlines(text)
    .split('\n')
    .map((line) => line.trim());
  const promised = promisedPairs((lines[0] ?? '').split(/\s+/).filter((field) => field !== ''));
  for (const [i, line] of lines.entries()) {
    if (line === '' || (i === 0 && promised !== undefined)) continue;
    const pair = lfwPair(line.split(/\s+/), i + 1);
    if (pair !== undefined) pairs.push(pair);
    else {
      const text = `expected "name n m" or "name n other m", ${received(line)}`;
      problems.push({ line: i + 1, text });
    }
  }
  const found = pairs.length + problems.length;
  if (promised !== undefined && promised !== found) {
    problems.push({ line: 1, text: `the first line promises ${promised} pairs, found ${found}` });
  }
  return { pairs, problems };
}

async function readLfw(path: string): Promise<PairFile> {
  const { text, sha256 } = await readDataText(
    path,
    (code) => `${path} cannot be read (${code}); expected a list of pairs`,
  );
  return { ...parseLfw(text), sha256 };
}

async function readCsv(path: string, columns: Readonly<Record<string, string>>): Promise<PairFile> {
  const file = await readLabelFile(path);
  const names = ['path_a', 'path_b', 'same'].map((name) => columns[name] ?? name);
  const absent = names.filter((name) => findColumn(file, [name]) === -1);
  if (absent.length > 0) {
    throw createError('FACELLM_DATA_INVALID', `${path}: the header does not fit`, {
      details: absent.map((name) => missingColumn(file, name, 'pairs')),
    });
  }
  const [a = -1, b = -1, same = -1] = names.map((name) => findColumn(file, [name]));
  const pairs: ListedPair[] = [];
  const problems: RowProblem[] = [...file.problems];
  for (const { cells, line } of file.rows) {
    const written = [cells[a] ?? '', cells[b] ?? ''];
    const [first, second] = written.map(normaliseFile);
    const isGenuine = VERDICTS.get((cells[same] ?? '').toLowerCase());
    if (first !== undefined && second !== undefined && isGenuine !== undefined) {
      pairs.push({ first, second, isGenuine, line });
      continue;
    }
    const text =
      isGenuine === undefined
        ? `${names[2]}: expected ${[...VERDICTS.keys()].join(', ')}; ${received(cells[same])}`
        : `expected two paths inside the image folder, ${received(written)}`;
    problems.push({ line, text });
  }
  return { pairs, problems, sha256: file.sha256 };
}

/** Pairs that stand twice, in either order, or pair a picture with itself, go to the problems. */
function refuseRepeated({ pairs, problems, sha256 }: PairFile): PairFile {
  const firstLine = new Map<string, number>();
  const faults: RowProblem[] = [];
  const sound = pairs.filter((pair) => {
    const { line, first, second } = pair;
    const before = firstLine.get(pairKey(pair));
    if (first === second) faults.push({ line, text: `${first} is paired with itself` });
    else if (before !== undefined) {
      faults.push({ line, text: `the pair ${first}, ${second} already stands in line ${before}` });
    } else {
      firstLine.set(pairKey(pair), line);
      return true;
    }
    return false;
  });
  return { pairs: sound, problems: [...problems, ...faults], sha256 };
}

/**
 * Reads a list of pairs: a file whose name ends in .csv as CSV, any other as LFW's pairs.txt.
 *
 * @param columns of the CSV: `{ path_a: 'left', path_b: 'right', same: 'label' }` @default their own names
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID
 */
export async function readPairFile(
  path: string,
  columns: Readonly<Record<string, string>> = {},
): Promise<PairFile> {
  const file = await (/\.csv$/i.test(path) ? readCsv(path, columns) : readLfw(path));
  if (file.pairs.length + file.problems.length === 0) {
    throw createError('FACELLM_DATA_INVALID', `${path} holds no pairs; expected at least one`);
  }
  return refuseRepeated(file);
}

/** Every problem of a list as one error to throw. */
export function pairProblems(path: string, { pairs, problems }: PairFile): Error {
  const lines = new Set([...pairs, ...problems].map(({ line }) => line));
  return unusableRows(path, lines.size, problems);
}
