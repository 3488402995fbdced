/** Which column of a label CSV holds what; without one, the columns of FairFace as published. */
import { didYouMean } from '../../options/describe.js';
import { type Attribute, ATTRIBUTES, FAIRFACE_ATTRIBUTES, VOCABULARY } from './vocabulary.js';

export interface ColumnOptions {
  /**
   * Column of `file`, of `person` (any text that tells people apart) and of attributes, such as `{ age: 'age_bracket', person:
   * 'identity' }`. What is not named is read from the column of its own name, if there is one; `{ race: '' }` leaves
   * one out. Empty cells then mean "not known". Without this option the CSV is FairFace's and every cell must be filled.
   */
  readonly columns?: Readonly<Record<string, string>> | undefined;
  /** Own words of the CSV: `{ gender: { M: 'Male', F: 'Female' } }`. */
  readonly values?: Readonly<Record<string, Readonly<Record<string, string>>>> | undefined;
  /** Takes only rows whose columns say this, such as `{ split: 'train' }`. */
  readonly where?: Readonly<Record<string, string>> | undefined;
}

/** Where things stand in a row, counted from 0. */
export interface ColumnMap {
  readonly file: number;
  /** -1: no column tells who it is. */
  readonly person: number;
  readonly attributes: readonly (readonly [Attribute, number])[];
  readonly where: readonly (readonly [column: number, value: string])[];
  readonly isFairFace: boolean;
}

/** What is wrong with the options themselves; empty if nothing is. */
export function columnOptionProblems({ columns = {}, values = {} }: ColumnOptions): string[] {
  const problems: string[] = [];
  const known = ['file', 'person', ...ATTRIBUTES];
  for (const key of Object.keys(columns)) {
    if (!known.includes(key)) problems.push(`columns.${key}: ${didYouMean(key, known)}`);
  }
  for (const [key, words] of Object.entries(values)) {
    const vocabulary = (VOCABULARY as Readonly<Record<string, readonly string[]>>)[key];
    if (vocabulary === undefined) {
      problems.push(`values.${key}: ${didYouMean(key, ATTRIBUTES)}`);
      continue;
    }
    for (const [word, meaning] of Object.entries(words)) {
      if (meaning === '' || vocabulary.includes(meaning)) continue;
      problems.push(
        `values.${key}.${word}: ${meaning} is unknown; ${didYouMean(meaning, vocabulary)}`,
      );
    }
  }
  return problems;
}

/** Reads a header; what is wrong goes to `report`, and the result is then not to be used. */
export function mapColumns(
  header: readonly string[],
  options: ColumnOptions,
  report: (problem: string) => void,
): ColumnMap {
  const isFairFace = options.columns === undefined;
  const columns = options.columns ?? {};
  const place = (column: string, key: string, isNeeded: boolean): number => {
    const at = header.indexOf(column);
    if (at !== -1 && header.lastIndexOf(column) !== at) report(`column ${column} stands twice`);
    if (at === -1 && isNeeded) {
      report(
        `there is no column ${column} for ${key}; ${didYouMean(column, header)} (a column mapping names others)`,
      );
    }
    return at;
  };
  const file = place(columns['file'] ?? 'file', 'file', true);
  const who = columns['person'];
  const person =
    isFairFace || who === '' ? -1 : place(who ?? 'person', 'person', who !== undefined);
  const attributes: [Attribute, number][] = [];
  for (const attribute of isFairFace ? FAIRFACE_ATTRIBUTES : ATTRIBUTES) {
    const column = columns[attribute];
    if (column === '') continue;
    const at = place(column ?? attribute, attribute, isFairFace || column !== undefined);
    if (at !== -1) attributes.push([attribute, at]);
  }
  if (attributes.length === 0) report(`no column holds any of ${ATTRIBUTES.join(', ')}`);
  const where = Object.entries(options.where ?? {}).map(
    ([column, value]) => [place(column, 'where', true), value] as const,
  );
  return { file, person, attributes, where, isFairFace };
}
