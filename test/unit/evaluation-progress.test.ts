/** What people see of an evaluation: pace and time left, on a terminal and in a file. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';

import { EvaluationProgress } from '../../lib/evaluation/run/progress.js';

function show(
  isTTY: boolean,
  work: (progress: EvaluationProgress, tick: (ms: number) => void) => void,
) {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 60 });
  let now = 0;
  work(new EvaluationProgress({ stream, now: () => now }), (ms) => (now += ms));
  return String(stream.read() ?? '');
}

const batch = (done: number, failures = 0) =>
  ({ type: 'batch', model: 'base', total: 100, done, failures }) as const;
const start = (done: number) =>
  ({ type: 'start', model: 'base', total: 100, done, device: 'cuda:0' }) as const;

describe('evaluation progress', () => {
  it('tells pace and time left from this session alone', () => {
    const text = show(false, (progress, tick) => {
      progress.update(start(40));
      tick(10_000);
      progress.update(batch(50));
    });
    assert.equal(
      text,
      'base: 100 questions, 40 of them answered before on cuda:0\n' +
        'base: 50/100 (50.0 %)  1.00 questions/s  0:00:10 elapsed  0:00:50 left\n',
    );
  });

  it('in a file a line now and then, and always the last', () => {
    const text = show(false, (progress, tick) => {
      progress.update(start(0));
      for (let done = 1; done <= 100; done++) {
        tick(1000);
        progress.update(batch(done));
      }
      progress.finish();
    });
    const shown = [...text.matchAll(/base: (\d+)\/100/g)].map((match) => Number(match[1]));
    assert.deepEqual(shown, [1, 31, 61, 91, 100]);
  });

  it('on a terminal one line, cut to its width; failures and notes are not lost', () => {
    const text = show(true, (progress, tick) => {
      progress.update(start(0));
      tick(5_000_000);
      progress.update(batch(10, 2));
      progress.update({ type: 'warning', model: 'base', message: 'differs', details: ['tiles'] });
      progress.update({ type: 'report', folder: 'out/report' });
      progress.finish();
    });
    assert.match(text, /\r\x1b\[Kbase: 10\/100 \(10\.0 %\) {2}2 failed {2}/);
    const line = /\x1b\[K(.*)\n/.exec(text)?.[1] ?? '';
    assert.equal(line.length, 59);
    assert.ok(
      text.endsWith('base: differs\n  - tiles\nall answers are there: writing out/report\n'),
    );
  });

  it('knows no time left before anything is answered', () => {
    const text = show(false, (progress) => {
      progress.update(start(0));
      progress.update(batch(0));
    });
    assert.match(text, /-:--:-- left\n$/);
  });
});
