/** The portraits in the repository: all there, of the two sources with a clean licence alone, split by person. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { parse } from 'csv-parse/sync';

import { VOCABULARY } from '../../lib/data/labels/vocabulary.js';
import { BUILT_IN_ATTRIBUTES } from '../../lib/evaluation/labels/built-in.js';

const FACES = join(import.meta.dirname, '..', '..', 'examples', 'faces');
const SOURCES = ['congress', 'london'];
const DOCUMENTS = [
  ...['ATTRIBUTION.md', 'LICENSE-CC-BY-4.0.txt', 'LICENSE-CC0-1.0.txt'],
  'labels.csv',
];
const MOST_BYTES = 12 * 1024 * 1024;

type Row = Readonly<Record<string, string>>;

describe('contract: example faces', () => {
  const rows: readonly Row[] = parse(readFileSync(join(FACES, 'labels.csv')), { columns: true });
  const files = readdirSync(FACES, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const names = files.map((file) => file.slice(FACES.length + 1).replaceAll('\\', '/'));

  it('every row has its picture and no other files lie there', () => {
    const expected = [...rows.map(({ file }) => file ?? ''), ...DOCUMENTS].sort();
    assert.deepEqual([...names].sort(), expected);
  });

  it('are of the two sources and at most 12 MB', () => {
    for (const { file = '', source = '', identity } of rows) {
      assert.ok(SOURCES.includes(source), source);
      assert.ok(file.startsWith(`${source}/`), file);
      assert.ok(identity?.startsWith(`${source}:`), identity);
    }
    const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
    assert.ok(bytes <= MOST_BYTES, `${bytes} bytes`);
  });

  it('no person is in both splits, which have the sizes that are told', () => {
    const splits = new Map<string, string>();
    for (const { identity = '', split = '' } of rows) {
      assert.equal(splits.get(identity) ?? split, split, identity);
      splits.set(identity, split);
    }
    const count = (split: string, source: string): number =>
      rows.filter((row) => row['split'] === split && row['source'] === source).length;
    assert.deepEqual(
      [count('train', 'congress'), count('test', 'congress')],
      [530, 60],
      'pictures of congress',
    );
    assert.deepEqual([count('train', 'london'), count('test', 'london')], [128, 36], 'of london');
    assert.equal(splits.size, 672);
  });

  it('labels are words that data and evaluation know', () => {
    const { race } = BUILT_IN_ATTRIBUTES;
    const races = [...race.choices.flatMap(({ labels }) => labels), ...(race.ignoredLabels ?? [])];
    const known: Readonly<Record<string, readonly string[]>> = {
      split: ['train', 'test'],
      age_bracket: VOCABULARY.age,
      gender: VOCABULARY.gender,
      expression: VOCABULARY.expression,
      pose: VOCABULARY.pose,
      eyewear: VOCABULARY.eyewear,
      race: races,
    };
    for (const row of rows) {
      for (const [column, words] of Object.entries(known)) {
        const value = row[column] ?? '';
        assert.ok(value === '' || words.includes(value), `${row['file']}: ${column} ${value}`);
      }
    }
  });

  it('the attribution names licences, people and changes', () => {
    const text = readFileSync(join(FACES, 'ATTRIBUTION.md'), 'utf8');
    for (const words of [/public domain/, /CC BY 4\.0/, /DeBruine, L\. & Jones, B\./, /Changed:/]) {
      assert.match(text, words);
    }
  });
});
