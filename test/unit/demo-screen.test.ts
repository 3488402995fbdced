/** What the demo prints and what it is told: bars, tables, options. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { parseOptions, UsageError } from '../../examples/demo/options.js';
import { clock, Screen, table, wrap } from '../../examples/demo/screen.js';

class Tape {
  text = '';
  readonly isTTY: boolean;
  readonly columns = 80;

  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }

  write(text: string): void {
    this.text += text;
  }
}

describe('unit: screen of the demo', () => {
  it('redraws a bar on a terminal, with the time left by the pace so far', () => {
    const tape = new Tape(true);
    let now = 0;
    const screen = new Screen(tape, () => now);
    for (const done of [0, 10, 20, 100]) {
      screen.progress(done, 100, 'updates');
      now += 1000;
    }
    screen.line('next');
    const drawn = tape.text.split('\r\x1b[K').map((one) => one.trim());
    // 10 in a second: 90 take 9 s.
    assert.match(drawn[2] ?? '', /^█+░+ {2}10\/100 {2}updates {2}0:09 left$/);
    assert.match(drawn[3] ?? '', /20\/100 {2}updates {2}0:08 left$/);
    assert.match(tape.text, /100\/100 {2}updates {2}done\nnext\n$/);
    for (const line of drawn) assert.ok(line.length < 80, line);
  });

  it('prints a line now and then elsewhere, the last one always', () => {
    const tape = new Tape(false);
    let now = 0;
    const screen = new Screen(tape, () => now);
    for (let done = 0; done <= 50; done++) {
      screen.progress(done, 50);
      now += 1000;
    }
    screen.endProgress();
    const lines = tape.text.trimEnd().split('\n');
    assert.deepEqual(
      lines.map((line) => /(\d+)\/50/.exec(line)?.[1]),
      ['0', '1', '11', '21', '31', '41', '50'],
    );
    assert.ok(lines.at(-1)?.endsWith('done'));
    assert.doesNotMatch(tape.text, /\r|\x1b/);
  });

  it('tells the time left as soon as it is known, also where it prints lines', () => {
    const tape = new Tape(false);
    let now = 0;
    const screen = new Screen(tape, () => now);
    for (let done = 0; done < 5; done++) {
      screen.progress(done, 500, 'updates');
      now += 400;
    }
    const lines = tape.text.trimEnd().split('\n');
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? '', /1\/500 {2}updates {2}3:20 left$/);
  });

  it('counts from where a resumed stage begins', () => {
    const tape = new Tape(true);
    let now = 0;
    const screen = new Screen(tape, () => now);
    screen.progress(80, 100);
    now = 1000;
    screen.progress(90, 100);
    assert.match(tape.text, /90\/100 {2}0:01 left$/);
  });

  it('wraps, aligns and tells times', () => {
    assert.deepEqual(wrap('one two three four', 8), ['one two', 'three', 'four']);
    assert.deepEqual(wrap('unbreakable', 4), ['unbreakable']);
    assert.deepEqual([clock(0), clock(65), clock(3723)], ['0:00', '1:05', '1:02:03']);
    const rows = [
      ['name', 'n', 'best'],
      ['a', '10', '20-29 0.50 (2)'],
      ['bcdef', '5', 'Male 1.00 (6)'],
    ];
    assert.deepEqual(table(rows), [
      'name     n   best',
      'a       10   20-29 0.50 (2)',
      'bcdef    5   Male 1.00 (6)',
    ]);
  });

  it('reads its options, and says what is wrong with them', () => {
    const parse = (...args: string[]) => parseOptions(args, '/root', '/here');
    assert.deepEqual(parse(), {
      folder: join('/root', 'demo'),
      ...{ isQuick: false, isFresh: false, isFullRun: false, seed: 42, threads: undefined },
    });
    assert.deepEqual(parse('--quick', '--fresh', '--output', 'x', '--seed=7', '--threads', '2'), {
      folder: join('/here', 'x', 'quick'),
      ...{ isQuick: true, isFresh: true, isFullRun: false, seed: 7, threads: 2 },
    });
    assert.equal(parse('--help'), undefined);
    for (const args of [
      ['--fast'],
      ['more'],
      ['--seed', '-1'],
      ['--seed', '1.5'],
      ['--seed', ''],
      ['--threads', '0'],
      ['--output', ''],
    ]) {
      assert.throws(() => parse(...args), UsageError, args.join(' '));
    }
  });
});
