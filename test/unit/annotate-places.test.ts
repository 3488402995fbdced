/** Which of a picture's lines counts, whoever reads them. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type AnnotationRow, FAILED, type RowStatus } from '../../lib/annotate/annotate-picture.js';
import { type Places, readPlaces } from '../../lib/annotate/places.js';
import { openRankJournal } from '../../lib/annotate/work-folder.js';

/** First line, that of asking again, and which of them counts. */
const CASES: readonly (readonly [RowStatus, RowStatus, RowStatus])[] = [
  ['no-face', 'unreadable', 'no-face'],
  ['too-small', 'model-error', 'too-small'],
  ['unreadable', 'model-error', 'model-error'],
  ['model-error', 'no-face', 'no-face'],
  ['model-error', 'ok', 'ok'],
  ['ok', 'unreadable', 'ok'],
];
const COUNT = CASES.length;

describe('the lines of pictures', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'facellm-places-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  async function write(rank: number, which: 0 | 1, more: object): Promise<void> {
    const { journal, close } = await openRankJournal(folder, rank);
    for (const [place, lines] of CASES.entries()) {
      journal.append({ place, rows: [{ status: lines[which] }], ...more });
    }
    await close();
  }

  async function statuses(places: Places): Promise<(RowStatus | undefined)[]> {
    const found = new Array<RowStatus | undefined>(COUNT).fill(undefined);
    for await (const { place, rows } of places.lines()) found[place] = rows[0]?.status;
    return found;
  }

  const retrying = (named: readonly RowStatus[], id?: string) => ({
    isRetried: (rows: readonly AnnotationRow[]) =>
      rows.some(({ status }) => named.includes(status)),
    id,
  });
  const counting = CASES.map(([, , status]) => status);

  for (const [first, again] of [
    [0, 0],
    [0, 1],
    [1, 0],
  ] as const) {
    it(`in rank ${first}, asked again in rank ${again}: the same for who asks again and who does not`, async () => {
      await write(first, 0, {});
      await write(again, 1, { retryId: 'X' });
      assert.deepEqual(await statuses(await readPlaces(folder, COUNT)), counting);
      const all = ['no-face', 'too-small', ...FAILED] as const;
      const own = await readPlaces(folder, COUNT, retrying(all, 'X'));
      assert.deepEqual(await statuses(own), counting);
      // Another start goes by what counts, not by what was tried.
      for (const id of ['Y', undefined]) {
        const next = await readPlaces(folder, COUNT, retrying(['no-face'], id));
        const left = counting.map((status) => (status === 'no-face' ? undefined : status));
        assert.deepEqual(await statuses(next), left);
      }
    });
  }

  it('of other bytes it has not been asked again', async () => {
    await write(0, 0, {});
    await write(0, 1, { retryId: 'X' });
    await write(0, 0, { version: 1 });
    const places = await readPlaces(folder, COUNT, retrying(['no-face'], 'X'));
    assert.deepEqual([places.missing, places.versionOf(0)], [1, 1]);
  });
});
