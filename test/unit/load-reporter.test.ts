/** Loading speaks up on stderr only once it has taken a second. */
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';

import { LoadReporter } from '../../lib/cli/output.js';

function reporter(isTTY: boolean) {
  let text = '';
  const stderr = new Writable({
    write(chunk: Buffer, _, done) {
      text += chunk.toString();
      done();
    },
  });
  const clock = { now: 5000 };
  const load = new LoadReporter(
    Object.assign(stderr, { isTTY }),
    { doing: 'loading', done: 'loaded' },
    () => clock.now,
  );
  return { load, clock, text: () => text };
}

describe('load reporter', () => {
  for (const isTTY of [true, false]) {
    it(`says nothing within the first second (${isTTY ? 'terminal' : 'file'})`, () => {
      const { load, clock, text } = reporter(isTTY);
      for (let i = 0; i < 100; i++) {
        clock.now += 9.9;
        load.update(i * 1e6, 100e6);
      }
      load.finish();
      assert.equal(text(), '');
    });
  }

  it('then tells share, rate and time left: a line redrawn on a terminal, few lines elsewhere', () => {
    for (const isTTY of [true, false]) {
      const { load, clock, text } = reporter(isTTY);
      for (let second = 1; second <= 10; second++) {
        clock.now += 1000;
        load.update(second * 2 ** 20, 20 * 2 ** 20);
      }
      load.finish();
      assert.match(text(), /loading: 5 % of 20\.0 MiB, 1\.0 MiB\/s, 19 s left/);
      if (isTTY) {
        assert.equal(text().split('\r').length, 12); // ten times, and cleared at the end
        assert.ok(text().endsWith('\r\x1b[K'));
      } else {
        assert.deepEqual(
          text()
            .split('\n')
            .map((line) => line.split(',')[0]),
          ['loading: 5 % of 20.0 MiB', 'loading: 30 % of 20.0 MiB', 'loaded in 10.0 s', ''],
        );
      }
    }
  });
});
