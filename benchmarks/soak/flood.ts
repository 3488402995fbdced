/** Ten times what the server can answer, for a minute: who is let in, what the others are told and how soon, what grows. */
import { quantile } from '../serving/quantile.js';
import { run } from '../serving/open-loop.js';
import { AGENT, CHAT, metric, question, type Reply, send, sleep } from './client.js';
import type { Part } from './part.js';
import { startServed } from './served.js';

const ROWS = 4;
const QUEUE = 8;
/** So long an answer that ten times as many are few for the client, which has the same processors. */
const LENGTH = { max_tokens: 300, min_tokens: 300 };

export const flood: Part = {
  /** Seconds. */
  count: 60,
  async run(seconds, check) {
    const server = await startServed({
      load: { dtype: 'fp32', threads: 1, maxRows: ROWS },
      limits: { queue: QUEUE },
    });
    const ask = (i: number): Promise<Reply> =>
      send(server.url + CHAT, question(`Question ${i}.`, LENGTH));
    try {
      // As many clients as there is room for, each asking again when it is answered: the most that is served.
      let asked = 0;
      const full: number[] = [];
      const until = performance.now() + 10_000;
      await Promise.all(
        Array.from({ length: ROWS + QUEUE }, async () => {
          while (performance.now() < until) {
            const reply = await ask(asked++);
            if (reply.status === 200) full.push(reply.ms);
          }
        }),
      );
      const capacity = full.length / 10;
      const before = await server.held(true);
      const accepted: number[] = [];
      const refused: number[] = [];
      const fromPlanned: number[] = [];
      let [others, mostInside] = [0, 0];
      let isOver = false;
      const watch = (async () => {
        while (!isOver) {
          const inside =
            (await metric(server.url, 'num_requests_running')) +
            (await metric(server.url, 'num_requests_waiting'));
          mostInside = Math.max(mostInside, inside);
          await sleep(500);
        }
      })();
      await run({
        ...{ rate: 10 * capacity, seconds, seed: 1 },
        ask: async (i, at) => {
          const reply = await ask(asked + i);
          if (reply.status === 200) accepted.push(reply.ms);
          else if (reply.status === 429) {
            refused.push(reply.ms);
            fromPlanned.push(performance.now() - at);
            check(Number(reply.headers['retry-after']) >= 1, 'a refusal without a time');
          } else others++;
          return { status: reply.status, served: undefined, ms: reply.ms };
        },
      });
      isOver = true;
      await watch;
      const after = await server.held(true);
      check(others === 0, `${others} answers of another status`);
      check(mostInside <= ROWS + QUEUE, `${mostInside} were inside`);
      AGENT.destroy();
      return {
        ...{ seconds, capacity, rate: 10 * capacity, rows: ROWS, queue: QUEUE },
        ...{ accepted: accepted.length, refused: refused.length, mostInside },
        atCapacity: { p50Ms: quantile(full, 0.5), p99Ms: quantile(full, 0.99) },
        whoIsLetIn: { p50Ms: quantile(accepted, 0.5), p99Ms: quantile(accepted, 0.99) },
        refusals: { p50Ms: quantile(refused, 0.5), p99Ms: quantile(refused, 0.99) },
        refusalsFromPlannedMoment: { p99Ms: quantile(fromPlanned, 0.99) },
        ...{ ownBytesBefore: before.ownBytes, ownBytesAfter: after.ownBytes },
      };
    } finally {
      await server.stop();
    }
  },
};
