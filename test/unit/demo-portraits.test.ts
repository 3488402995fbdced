/** Which portraits the demo takes: the few of a smoke test, the five that are shown, and what is true of them. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { closedAttributes, truthOf } from '../../examples/demo/closed-attributes.js';
import {
  FACES,
  LABELS_NAME,
  labelsCsv,
  type Portrait,
  quickRows,
  readPortraits,
} from '../../examples/demo/portraits.js';
import { chooseFaces } from '../../examples/demo/stages/faces.js';

describe('unit: portraits of the demo', () => {
  let all: readonly Portrait[];
  before(async () => (all = await readPortraits(join(FACES, LABELS_NAME))));

  it('a smoke test has few people, whole, in both splits, with every answer that the real run has', () => {
    const few = quickRows(all);
    assert.ok(few.length < 100, `${few.length} pictures`);
    const people = new Set(few.map(({ identity }) => identity));
    assert.deepEqual(
      few,
      all.filter(({ identity }) => people.has(identity)),
    );
    for (const split of ['train', 'test'] as const) {
      for (const { name } of closedAttributes()) {
        const answersOf = (rows: readonly Portrait[]): string[] => {
          const truths = rows.filter((row) => row.split === split).map((row) => truthOf(row, name));
          return [...new Set(truths.filter((truth) => truth !== undefined))].sort();
        };
        assert.deepEqual(answersOf(few), answersOf(all), `${split} ${name}`);
      }
    }
    assert.deepEqual(quickRows([...all].reverse()), [...few].reverse());
  });

  it('its label file is read back as it was', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'facellm-portraits-'));
    try {
      const [first] = all;
      assert.ok(first);
      const rows = [...quickRows(all), { ...first, identity: 'one, "two"' }];
      writeFileSync(join(folder, 'labels.csv'), labelsCsv(rows));
      assert.deepEqual(await readPortraits(join(folder, 'labels.csv')), rows);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('the five faces are unseen, of five people and five kinds, whatever the order of the file', () => {
    const faces = chooseFaces(all);
    assert.deepEqual(
      faces.map(({ split, source, gender }) => [split, source, gender].join(' ')),
      [
        ...['test congress Female', 'test congress Male', 'test congress Female'],
        ...['test london Male', 'test london Female'],
      ],
    );
    assert.equal(new Set(faces.map(({ identity }) => identity)).size, 5);
    assert.deepEqual(chooseFaces([...all].reverse()), faces);
    assert.deepEqual(chooseFaces(all.filter(({ source }) => source === 'london')).length, 2);
  });

  it('knows what is true of a portrait, and what is not known', () => {
    const [first] = all;
    assert.ok(first);
    const portrait = { ...first, gender: 'Female', eyewear: 'none', expression: 'sad' };
    assert.deepEqual(
      closedAttributes().map(({ name }) => truthOf(portrait, name)),
      ['Female', 'no glasses', 'not smiling'],
    );
    assert.equal(truthOf({ ...portrait, expression: '' }, 'smile'), undefined);
    assert.equal(truthOf({ ...portrait, expression: 'happy' }, 'smile'), undefined);
  });
});
