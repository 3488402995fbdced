/** Journals: lines that survive, and what a death in the middle of one leaves. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
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
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import fc from 'fast-check';

import { AtomicFile, JournalFile, readJournal } from '../../lib/files/index.js';
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

  for (const [kind, tail] of [
    ['half a line', '{"step":3,"lo'],
    ['a line without its end', '{"step":3}'],
    ['zeros', '\0\0\0\0'],
    ['zeros inside a line, and more lines', '{"st\0\0\0":3}\n{"step":4}\n'],
  ] as const) {
    it(`cuts off a tail of ${kind} and goes on; one who only reads passes it over`, async () => {
      writeFileSync(path, `{"step":1}\n{"step":2}\n${tail}`);
      const read: Entry[] = [];
      assert.equal(await readJournal(path, (entry) => read.push(entry)), true);
      assert.deepEqual(read, [{ step: 1 }, { step: 2 }]);
      assert.ok(readFileSync(path, 'utf8').endsWith(tail));
      const journal = await JournalFile.open(path, () => undefined);
      journal.append({ step: 3 });
      await journal.close();
      assert.equal(readFileSync(path, 'utf8'), '{"step":1}\n{"step":2}\n{"step":3}\n');
    });
  }

  it('empties a file that is nothing but a torn line', async () => {
    writeFileSync(path, '{"st');
    assert.deepEqual(await entries(), []);
    assert.equal(readFileSync(path, 'utf8'), '');
    assert.equal(await readJournal(join(folder, 'none'), () => assert.fail()), false);
  });

  it('drops lines from one on, and goes on from there', async () => {
    const journal = await JournalFile.open(path, () => undefined);
    const places = [1, 2, 3].map((step) => journal.append({ step }));
    if (places[1] !== undefined) journal.dropFrom(places[1]);
    journal.append({ step: 2, again: true });
    await journal.close();
    assert.deepEqual(await entries(), [{ step: 1 }, { step: 2, again: true }]);
  });

  it('a write that went half way is taken back', async function () {
    if (process.platform !== 'linux')
      skip(this, 'needs a limit on the size of files, as Linux has it');
    // A process that may not make a file larger than 64 KiB writes as to a disk that fills up.
    const files = pathToFileURL(join(import.meta.dirname, '..', '..', 'lib', 'files', 'index.ts'));
    const script = `
      const { JournalFile } = await import(${JSON.stringify(files)});
      const journal = await JournalFile.open(process.argv[1], () => undefined);
      journal.append({ step: 1 });
      let error;
      try {
        for (let step = 2; step < 5; step++) journal.append({ step, text: 'x'.repeat(30000) });
      } catch (cause) {
        error = cause;
      }
      await journal.durable();
      console.log(error?.code, /EFBIG.*free space/.test(error?.message));`;
    const run = ['-c', 'ulimit -f 64; exec "$@"', 'bash', process.execPath];
    const tsx = `--import=${new URL('../support/tsx.mjs', import.meta.url).href}`;
    const node = [tsx, '--input-type=module', '--eval', script, path];
    const { stdout } = await promisify(execFile)('bash', [...run, ...node]);
    assert.equal(stdout.trim(), 'FACELLM_RUN_WRITE true');
    assert.deepEqual(
      (await entries()).map(({ step }) => step),
      [1, 2, 3],
    );
  });

  it('refuses what is no journal, and leaves it as it was', async () => {
    writeFileSync(path, '{"a":1}\n[2]\n{"c":3}\n');
    await assert.rejects(entries(), { code: 'FACELLM_RUN_INVALID' });
    await assert.rejects(
      readJournal(path, () => undefined),
      { code: 'FACELLM_RUN_INVALID', message: /journal\.jsonl, byte 8: expected a JSON object/ },
    );
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
