/** Progress on a stream: the text, how often, and the time left. */
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';

import {
  formatProgress,
  type ProgressOptions,
  TrainingProgress,
} from '../../lib/training/run/progress.js';
import type { StepRecord } from '../../lib/training/run/step-record.js';

function record(step: number, elapsedSeconds: number): StepRecord {
  return {
    step,
    totalSteps: 1096,
    epoch: step / 1096,
    loss: 1.23456,
    learningRate: 9.5e-6,
    gradNorm: 1,
    elapsedSeconds,
    samplesPerSecond: 12.345,
    computedShare: 1,
    tokensPerSecond: 4321.4,
    totalTokens: 1,
    peakBytes: 21.34 * 1024 ** 3,
  };
}

class Terminal extends Writable {
  readonly isTTY: boolean;
  readonly columns: number;
  text = '';
  timeMs = 0;

  constructor({ isTTY, columns }: { readonly isTTY: boolean; readonly columns: number }) {
    super({ decodeStrings: false });
    this.isTTY = isTTY;
    this.columns = columns;
  }

  override _write(chunk: string, _: BufferEncoding, done: () => void): void {
    this.text += chunk;
    done();
  }

  progress(options: Partial<ProgressOptions> = {}): TrainingProgress {
    return new TrainingProgress({ stream: this, now: () => this.timeMs, ...options });
  }
}

describe('formatProgress', () => {
  it('shows everything on one line', () => {
    assert.equal(
      formatProgress({ ...record(120, 83.9), secondsLeft: 3722.5 }),
      'step 120/1096 (10.9 %)  epoch 0.11  loss 1.2346  lr 9.50e-6  12.3 samples/s  4,321 tokens/s  peak 21.3 GiB  0:01:23 elapsed  1:02:03 left',
    );
  });

  it('does without what is unknown', () => {
    const text = formatProgress({ ...record(1, 2), peakBytes: 0, secondsLeft: undefined });
    assert.doesNotMatch(text, /peak/);
    assert.match(text, /0:00:02 elapsed {2}-:--:-- left$/);
  });
});

describe('TrainingProgress', () => {
  it('redraws a line on a terminal, at most every 100 ms, and never lets it wrap', () => {
    const terminal = new Terminal({ isTTY: true, columns: 40 });
    const progress = terminal.progress();
    for (const step of [1, 2, 3, 4]) {
      progress.update(record(step, step));
      terminal.timeMs += 60;
    }
    const drawn = terminal.text.split('\r\x1b[K').slice(1);
    assert.deepEqual(
      drawn.map((line) => line.split('/')[0]),
      ['step 1', 'step 3'],
    );
    for (const line of drawn) assert.ok(line.length < 40 && !line.includes('\n'));
    progress.finish();
    assert.match(terminal.text, /\r\x1b\[Kstep 4\/1096[^\r]*\n$/);
  });

  it('prints a plain line every so often elsewhere, and the last step in any case', () => {
    const terminal = new Terminal({ isTTY: false, columns: 20 });
    const progress = terminal.progress({ intervalSeconds: 10 });
    for (let step = 1; step <= 25; step++) {
      progress.update(record(step, step));
      terminal.timeMs += 1000;
    }
    progress.finish();
    progress.finish();
    const lines = terminal.text.trimEnd().split('\n');
    assert.deepEqual(
      lines.map((line) => line.split('/')[0]),
      ['step 1', 'step 11', 'step 21', 'step 25'],
    );
    assert.doesNotMatch(terminal.text, /[\r\x1b]/);
    assert.ok(lines[0]?.endsWith('-:--:-- left'));
  });

  it('estimates the time left from the last steps alone', () => {
    const terminal = new Terminal({ isTTY: false, columns: 0 });
    const progress = terminal.progress({ intervalSeconds: 0 });
    // A slow start, then two seconds a step.
    progress.update(record(501, 100));
    for (let step = 502; step <= 600; step++) progress.update(record(step, 100 + 2 * (step - 501)));
    assert.ok(terminal.text.trimEnd().endsWith('0:16:32 left'), terminal.text.slice(-200));
    progress.update(record(1096, 2000));
    assert.ok(terminal.text.trimEnd().endsWith('0:00:00 left'));
  });

  it('says nothing if nothing happened', () => {
    const terminal = new Terminal({ isTTY: true, columns: 80 });
    terminal.progress().finish();
    assert.equal(terminal.text, '');
  });
});
