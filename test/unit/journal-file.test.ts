/** Journals: lines that survive, and what a death in the middle of one leaves. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';

import { AtomicFile, JournalFile } from '../../lib/files/index.js';
import { skip } from '../support/skip.js';

type Entry = Readonly<Record<string, unknown>>;

describe('unit: journal files', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-journal-'));
    path = join(folder, 'journal.jsonl');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function entries(): Promise<Entry[]> {
    const found: Entry[] = [];
    await (await JournalFile.open(path, (entry) => found.push(entry))).close();
    return found;
  }

  it('a line is with the system when append returns', async () => {
    const journal = await JournalFile.open(path, () => undefined);
    journal.append({ a: 'ü\n' });
    assert.equal(readFileSync(path, 'utf8'), '{"a":"ü\\n"}\n');
    await journal.durable();
    await journal.close();
    await journal.close();
    assert.throws(() => journal.append({}), { code: 'FACELLM_DISPOSED' });
    assert.deepEqual(await entries(), [{ a: 'ü\n' }]);
  });

  it('cut anywhere, it keeps every whole line and grows on', async () => {
    const texts = fc.array(fc.string({ unit: 'grapheme', maxLength: 30 }), {
      minLength: 1,
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(texts, fc.double({ min: 0, max: 1, noNaN: true }), async (words, share) => {
        rmSync(path, { force: true });
        const journal = await JournalFile.open(path, () => undefined);
        const ends = words.map((word) => {
          const { start, length } = journal.append({ word });
          return start + length + 1;
        });
        await journal.close();
        const size = Math.floor(share * (ends.at(-1) ?? 0));
        truncateSync(path, size);
        const whole = words.filter((_, i) => (ends[i] ?? 0) <= size);
        assert.deepEqual(
          await entries(),
          whole.map((word) => ({ word })),
        );
        const grown = await JournalFile.open(path, () => undefined);
        grown.append({ word: 'more' });
        await grown.close();
        assert.deepEqual(
          await entries(),
          [...whole, 'more'].map((word) => ({ word })),
        );
      }),
      { numRuns: 50 },
    );
  });

  it('reads lines at their places in any order, over any distance', async () => {
    const journal = await JournalFile.open(path, () => undefined);
    const places = Array.from({ length: 300 }, (_, i) =>
      journal.append({ i, pad: 'x'.repeat((i % 7) * 20_000) }),
    );
    const order = places.map((_, i) => (i * 187) % 300);
    const read = await journal.read(order.flatMap((i) => places[i] ?? []));
    assert.deepEqual(
      read.map((entry) => entry['i']),
      order,
    );
    await journal.close();
    let count = 0;
    const again = await JournalFile.open(path, (entry, place) => {
      assert.deepEqual(place, places[count++]);
      assert.equal(entry['i'], count - 1);
    });
    await again.close();
    assert.equal(count, 300);
  });

  it('drops what a failing machine left behind the last sync', async () => {
    writeFileSync(
      path,
      Buffer.concat([Buffer.from('{"a":1}\n'), Buffer.alloc(10), Buffer.from('\n{"b":2}\n')]),
    );
    assert.deepEqual(await entries(), [{ a: 1 }]);
    assert.equal(readFileSync(path, 'utf8'), '{"a":1}\n');
  });

  it('refuses what is no journal, and leaves it as it was', async () => {
    writeFileSync(path, '{"a":1}\n[2]\n{"c":3}\n');
    await assert.rejects(entries(), { code: 'FACELLM_RUN_INVALID' });
    assert.equal(readFileSync(path, 'utf8'), '{"a":1}\n[2]\n{"c":3}\n');
    await assert.rejects(
      JournalFile.open(join(folder, 'no', 'x'), () => undefined),
      {
        code: 'FACELLM_RUN_WRITE',
      },
    );
  });

  it('a full disk is told with the remedy', async function () {
    if (!existsSync('/dev/full')) skip(this, 'needs /dev/full, which Linux has');
    const journal = await JournalFile.open('/dev/full', () => undefined);
    assert.throws(
      () => journal.append({ a: 1 }),
      (error: Error & { code?: string }) =>
        error.code === 'FACELLM_RUN_WRITE' && error.message.includes('free space'),
    );
    assert.equal(journal.size, 0);
    // The device cannot be synced either.
    await journal.close().catch(() => undefined);
  });

  it('syncs are shared by those who wait', async () => {
    const journal = await JournalFile.open(path, () => undefined);
    journal.append({ a: 1 });
    const first = journal.durable();
    assert.equal(journal.durable(), first);
    await first;
    assert.notEqual(journal.durable(), first);
    await journal.close();
  });

  it('an atomic file shows nothing before it is whole', async () => {
    const target = join(folder, 'data.json');
    writeFileSync(target, 'old');
    const file = await AtomicFile.open(target);
    await file.write('x'.repeat(3 << 20));
    assert.equal(readFileSync(target, 'utf8'), 'old');
    await file.discard();
    const second = await AtomicFile.open(target);
    await second.write('new');
    await second.commit();
    await second.discard();
    assert.equal(readFileSync(target, 'utf8'), 'new');
  });
});
