/** Runs that are watched while others write them: half lines, cuts, new beginnings, deletion; and what is no run's log. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { RunFolders } from '../../lib/serving/run-folders.js';
import { type RunNews, watchRun } from '../../lib/serving/run-watch.js';
import { TRAINER_LOG_NAME } from '../../lib/training/run/trainer-log.js';

const line = (step: number, more: object = {}): string =>
  `${JSON.stringify({ current_steps: step, total_steps: 9, loss: 1 / step, ...more })}\n`;

describe('training runs to watch', () => {
  let base: string;
  let root: string;
  let log: string;
  let runs: RunFolders;
  let watchers: Watcher[] = [];
  beforeEach(async () => {
    base = mkdtempSync(join(tmpdir(), 'facellm-runs-'));
    root = join(base, 'runs');
    mkdirSync(join(root, 'one'), { recursive: true });
    log = join(root, 'one', TRAINER_LOG_NAME);
    writeFileSync(log, line(1) + line(2));
    runs = await RunFolders.open([root]);
  });
  afterEach(async () => {
    await Promise.all(watchers.map((watcher) => watcher.end()));
    watchers = [];
    rmSync(base, { recursive: true });
  });

  /** What is told until nothing more is to tell; a reader that is asked again goes on. */
  class Watcher {
    readonly #news: AsyncGenerator<RunNews, void, undefined>;
    position: string | undefined;

    constructor(position?: string, id = 'runs/one') {
      const openLog = () => runs.openLog(id);
      this.#news = watchRun(openLog, position, new AbortController().signal);
      watchers.push(this);
    }

    async next(): Promise<string> {
      const told: string[] = [];
      for (;;) {
        const { value: news } = await this.#news.next();
        if (news === undefined) return [...told, 'end'].join(' ');
        if (news.type === 'caught_up') return told.join(' ');
        if (news.type === 'records') {
          this.position = news.position;
          told.push(...news.records.map((record) => String(record['current_steps'])));
        } else told.push(news.type);
      }
    }

    async end(): Promise<void> {
      await this.#news.return();
    }
  }

  it('tells records as they come; half a line is none until its end is there', async () => {
    const watcher = new Watcher();
    assert.equal(await watcher.next(), '1 2');
    const third = line(3, { note: 'ä' });
    appendFileSync(log, Buffer.from(third).subarray(0, third.indexOf('ä') + 1));
    assert.equal(await watcher.next(), '');
    appendFileSync(log, Buffer.from(third).subarray(third.indexOf('ä') + 1));
    assert.equal(await watcher.next(), '3');
  });

  it('ends with its reader', async () => {
    const ending = new AbortController();
    const news = watchRun(() => runs.openLog('runs/one'), undefined, ending.signal);
    for (let told = 0; told < 2; told++) await news.next();
    const next = news.next();
    ending.abort(new Error('enough'));
    await assert.rejects(next, /enough/);
  });

  it('goes on from a position, and not from one of another log', async () => {
    const first = new Watcher();
    await first.next();
    await first.end();
    appendFileSync(log, line(3));
    assert.equal(await new Watcher(first.position).next(), '3');
    const [end = '', length = ''] = (first.position ?? '').split('.');
    for (const wrong of [
      ...['', '0', 'x', `${end}.${length}.${'0'.repeat(64)}`, `1.${length}.${'0'.repeat(64)}`],
      ...[`${end}.999999999.${'0'.repeat(64)}`, `999999.${length}.${'0'.repeat(64)}`],
    ]) {
      assert.equal(await new Watcher(wrong).next(), 'restart 1 2 3', wrong);
    }
    // As long as before, other numbers.
    writeFileSync(log, line(1) + line(5));
    assert.equal(await new Watcher(first.position).next(), 'restart 1 5');
  });

  it('a run that goes on from a checkpoint, or begins anew, is told from its start', async () => {
    const watcher = new Watcher();
    await watcher.next();
    truncateSync(log, line(1).length);
    assert.equal(await watcher.next(), 'restart 1');
    appendFileSync(log, line(2, { lr: 1 }) + line(3));
    assert.equal(await watcher.next(), '2 3');
    truncateSync(log, 0);
    assert.equal(await watcher.next(), 'restart');
    appendFileSync(log, line(1));
    assert.equal(await watcher.next(), '1');
    writeFileSync(`${log}.new`, line(4) + line(5) + line(6) + line(7));
    renameSync(`${log}.new`, log);
    assert.equal(await watcher.next(), 'restart 4 5 6 7');
  });

  it('ends where the run is deleted', async () => {
    const watcher = new Watcher();
    await watcher.next();
    rmSync(join(root, 'one'), { recursive: true });
    assert.equal(await watcher.next(), 'gone end');
    assert.deepEqual(await runs.list(), []);
  });

  it('long logs come in parts; what is no log is refused, not read into memory', async () => {
    const many = Array.from({ length: 9000 }, (_, i) => line(i + 1)).join('');
    writeFileSync(log, many);
    const told = await new Watcher().next();
    assert.deepEqual(
      told.split(' ').map(Number),
      Array.from({ length: 9000 }, (_, i) => i + 1),
    );
    const invalid = { code: 'FACELLM_RUN_INVALID' };
    writeFileSync(log, `${line(1)}no JSON\n`);
    await assert.rejects(new Watcher().next(), invalid);
    writeFileSync(log, 'x'.repeat(1 << 19));
    await assert.rejects(new Watcher().next(), invalid);
  });

  it('blocks of zeros, as a crash of the machine leaves them, are not there yet', async () => {
    appendFileSync(log, `${'\0'.repeat(100)}\n`);
    const watcher = new Watcher();
    assert.equal(await watcher.next(), '1 2');
    truncateSync(log, line(1).length + line(2).length);
    appendFileSync(log, line(3));
    assert.equal(await watcher.next(), '3');
  });

  it('lists folders with a log, those of a folder and the folder itself, the newest first', async () => {
    mkdirSync(join(root, 'no run'));
    mkdirSync(join(root, 'später'));
    writeFileSync(join(root, 'später', TRAINER_LOG_NAME), line(3) + line(4).slice(0, 9));
    execFileSync('touch', ['-d', '2020-01-01', log]);
    const both = await RunFolders.open([root, join(root, 'one'), `${root}/`]);
    assert.deepEqual(
      (await both.list()).map(({ id, step, total_steps }) => [id, step, total_steps]),
      [
        ['runs/später', 3, 9],
        ['runs/one', 2, 9],
        ['one', 2, 9],
      ],
    );
    writeFileSync(log, '\nno JSON\n');
    assert.equal((await runs.list()).find(({ id }) => id === 'runs/one')?.step, null);
  });

  it('opens nothing outside: paths, links, pipes, folders', async () => {
    const outside = join(base, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, TRAINER_LOG_NAME), line(8));
    symlinkSync(outside, join(root, 'link'));
    mkdirSync(join(root, 'linked'));
    symlinkSync(join(outside, TRAINER_LOG_NAME), join(root, 'linked', TRAINER_LOG_NAME));
    mkdirSync(join(root, 'pipe'));
    execFileSync('mkfifo', [join(root, 'pipe', TRAINER_LOG_NAME)]);
    mkdirSync(join(root, 'folder', TRAINER_LOG_NAME), { recursive: true });
    mkdirSync(join(root, '.hidden'));
    writeFileSync(join(root, '.hidden', TRAINER_LOG_NAME), line(8));
    for (const id of [
      ...['runs/link', 'runs/linked', 'runs/pipe', 'runs/folder', 'runs/.hidden', 'runs', ''],
      ...['runs/..', 'runs/.', 'runs/', 'runs/../outside', '../outside', 'outside', '/etc'],
      ...['runs/one/', 'runs/one/..', 'runs//one', 'runs/one\0', 'constructor', 'runs/one/x'],
    ]) {
      assert.equal(await runs.openLog(id), undefined, id);
    }
    assert.deepEqual(
      (await runs.list()).map(({ id }) => id),
      ['runs/one'],
    );
    // A folder that is swapped for a link while it is watched.
    const watcher = new Watcher();
    await watcher.next();
    renameSync(join(root, 'one'), join(root, 'moved'));
    symlinkSync(outside, join(root, 'one'));
    assert.equal(await watcher.next(), 'gone end');
  });

  it('names every folder that is none, and names that mean two', async () => {
    mkdirSync(join(base, 'other', 'runs'), { recursive: true });
    await assert.rejects(
      RunFolders.open([join(base, 'none'), log, root, join(base, 'other', 'runs')]),
      ({ code, details }: { code: string; details: string[] }) =>
        code === 'FACELLM_INVALID_ARGUMENT' &&
        details.length === 3 &&
        /ENOENT.*make it/.test(details[0] ?? '') &&
        /expected a folder$/.test(details[1] ?? '') &&
        /another folder is named runs/.test(details[2] ?? ''),
    );
  });
});
