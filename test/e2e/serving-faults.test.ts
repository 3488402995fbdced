/** What breaks around a server: a thread of its own that dies, a disk that takes no more of its log. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';

import { GrammarThread } from '../../lib/generation/grammar/grammar-thread.js';
import type { FaceLlm } from '../../lib/index.js';
import { BodyParser } from '../../lib/serving/body-parser.js';
import * as golden from '../support/golden.js';
import {
  CHECKPOINT,
  errorOf,
  loadTiny,
  post,
  question,
  request,
  serveTiny,
} from '../support/server.js';
import { skip } from '../support/skip.js';

const CHAT = '/v1/chat/completions';

/** The next thread that this process starts. */
const nextWorker = (): Promise<Worker> =>
  new Promise((resolve) => {
    process.once('worker', (worker: Worker) => resolve(worker));
  });

describe('serving: faults', () => {
  /** Parsed in the thread. */
  const large = (text: string): Buffer =>
    Buffer.from(JSON.stringify({ messages: [], pad: 'x'.repeat(4e6), text }));

  it('the thread that parses bodies is killed in the middle: who waits is told, the next has a new one', async () => {
    const parser = new BodyParser();
    const started = nextWorker();
    const waiting = ['a', 'b', 'c'].map((text) => parser.parse(new Uint8Array(large(text))));
    const [ended] = await Promise.all([
      Promise.allSettled(waiting),
      started.then((worker) => worker.terminate()),
    ]);
    for (const one of ended) {
      assert.equal(one.status, 'rejected');
      assert.match(String(one.reason), /the thread that parses bodies has ended/);
    }
    const { body } = await parser.parse(new Uint8Array(large('d')));
    assert.equal(body['text'], 'd');
    await parser.close();
  });

  describe('of a server', () => {
    let model: FaceLlm;
    before(async () => {
      model = await loadTiny();
    });
    after(() => model.dispose());

    it('whose parsing thread is killed: 500 for who waits, the next is answered', async () => {
      await using server = await serveTiny(model);
      const body = { messages: [question('Who?')], max_tokens: 2 };
      const started = nextWorker();
      const waiting = post(server, CHAT, { ...body, user: 'x'.repeat(8e6) });
      await (await started).terminate();
      const reply = await waiting;
      assert.deepEqual([reply.status, errorOf(reply)['code']], [500, 'internal_error']);
      assert.equal((await post(server, CHAT, { ...body, user: 'x'.repeat(1e6) })).status, 200);
      const { usedBlocks, pinnedImages } = await model.stats();
      assert.deepEqual([usedBlocks, pinnedImages], [0, 0]);
    });
  });

  const logs: readonly (readonly [what: string, onLog: () => unknown])[] = [
    [
      'throws',
      () => {
        throw new Error('no space left on device');
      },
    ],
    // Nobody catches it but the server: else it ends the process.
    ['rejects', () => Promise.reject(new Error('no space left on device'))],
  ];
  for (const [what, onLog] of logs) {
    it(`a log that ${what}: requests are answered and counted`, async () => {
      const unhandled: unknown[] = [];
      const note = (error: unknown): number => unhandled.push(error);
      const others = process.rawListeners('unhandledRejection') as (() => void)[];
      process.removeAllListeners('unhandledRejection');
      process.on('unhandledRejection', note);
      const model = await loadTiny();
      try {
        await using server = await serveTiny(model, { onLog });
        const body = { messages: [{ role: 'user', content: 'Hi?' }], max_tokens: 2 };
        for (const stream of [false, true]) {
          const { status, text } = await post(server, CHAT, { ...body, stream });
          assert.equal(status, 200);
          if (stream) assert.ok(text.endsWith('data: [DONE]\n\n'), text);
        }
        const { text } = await request(`${server.url}/metrics`);
        assert.match(text, /request_success_total\{model_name="tiny",finished_reason="length"\} 2/);
        assert.deepEqual(unhandled, []);
      } finally {
        await model.dispose();
        process.off('unhandledRejection', note);
        for (const other of others) process.on('unhandledRejection', other);
      }
    });
  }

  it('a thread that compiles is killed in the middle: who waits is answered by the next', async () => {
    const started = nextWorker();
    const thread = new GrammarThread(() => ({
      bytes: Buffer.from('ab'),
      offsets: new Uint32Array([0, 1, 2]),
      eosIds: [],
    }));
    await thread.check({ root: { text: 'b' }, rules: {} });
    const first = await started;
    const many = { of: { text: 'a' }, least: 0, most: 60_000 };
    const grammar = { root: { all: [many, { text: 'b' }] }, rules: {} };
    const matcher = thread.open(grammar, '');
    const asked = Promise.all([thread.check(grammar), matcher.mask()]);
    await first.terminate();
    const [, mask] = await asked;
    assert.deepEqual([...mask], [3]);
    assert.deepEqual([...(await matcher.mask(0))], [3]);
    assert.equal(thread.generation, 1);
    await thread.dispose();
  });

  it('a full disk for the log: requests are answered, and the end is clean', async function () {
    if (!existsSync('/dev/full')) skip(this, 'needs /dev/full');
    const main = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
    const full = openSync('/dev/full', 'w');
    const flags = ['--model', CHECKPOINT, '--port', '0', '--dtype', 'fp32'];
    const child = spawn(
      process.execPath,
      [main, 'serve', '--device', golden.TEST_DEVICE, ...flags],
      { stdio: ['ignore', 'pipe', full] },
    );
    closeSync(full);
    try {
      const exit = once(child, 'exit');
      const first = await Promise.race([once(child.stdout ?? child, 'data'), exit]);
      assert.ok(first[0] instanceof Buffer, `the server ended: ${String(first[0])}`);
      const url = first[0].toString().trim();
      for (let i = 0; i < 5; i++) {
        const { status } = await request(url + CHAT, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ messages: [{ role: 'user', content: 'Hi?' }], max_tokens: 2 }),
        });
        assert.equal(status, 200);
      }
      child.kill('SIGTERM');
      assert.deepEqual(await exit, [0, null]);
    } finally {
      child.kill('SIGKILL');
    }
  });
});
