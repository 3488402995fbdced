/** The command told to end under load, again and again: its exit code, how long it takes, and how each stream ends. */
import { quantile } from '../serving/quantile.js';
import {
  AGENT,
  CHAT,
  draws,
  isEnded,
  PHOTO_URL,
  question,
  type Reply,
  send,
  sleep,
} from './client.js';
import type { Part } from './part.js';
import { startCommand } from './served.js';

const STREAMS = 8;
const DRAIN_MS = 400;
/** Beyond the time to finish: for Node to end, on a machine that has other work. */
const MOST_MS = DRAIN_MS + 5000;

export const end: Part = {
  count: 100,
  async run(count, check) {
    const draw = draws(1);
    const took: number[] = [];
    const ends: Record<string, number> = {};
    const codes: Record<string, number> = {};
    for (let round = 0; round < count; round++) {
      const { url, child, exit } = await startCommand(['--drain-timeout', String(DRAIN_MS)]);
      const streams = Array.from({ length: STREAMS }, (_, i) => {
        const tokens = i % 2 === 0 ? 5 + draw(60) : 4000;
        const fields = { max_tokens: tokens, min_tokens: tokens, stream: i < STREAMS - 2 };
        const body = question(`Question ${i}.`, fields, i % 3 === 0 ? PHOTO_URL : undefined);
        return send(url + CHAT, body).catch((error: unknown) => error as Error);
      });
      await sleep(draw(200));
      const told = performance.now();
      child.kill('SIGTERM');
      const code = await exit;
      took.push(performance.now() - told);
      codes[String(code)] = (codes[String(code)] ?? 0) + 1;
      (await Promise.all(streams)).forEach((answer, i) => {
        const name = nameOf(answer, i < STREAMS - 2);
        ends[name] = (ends[name] ?? 0) + 1;
        check(!name.startsWith('broken'), `round ${round}: ${name}`);
      });
      AGENT.destroy();
    }
    const [most] = took.toSorted((a, b) => b - a);
    check(codes['0'] === count, `exit codes ${JSON.stringify(codes)}`);
    check((most ?? 0) <= MOST_MS, `${most} ms to end`);
    return {
      ...{ count, drainMs: DRAIN_MS, codes, ends },
      msToEnd: { p50: quantile(took, 0.5), p99: quantile(took, 0.99), most },
    };
  },
};

/** How an answer ended. */
function nameOf(answer: Reply | Error, isStreamed: boolean): string {
  if (answer instanceof Error) {
    // Before an answer had begun: its connection was not there yet, or its question had not come.
    const { code = '' } = answer as NodeJS.ErrnoException;
    return code === 'ECONNREFUSED' || code === 'ECONNRESET'
      ? 'not let in'
      : `broken: ${answer.message}`;
  }
  if (answer.status === 503) return 'refused with 503';
  if (answer.status !== 200) return `broken: ${answer.status}`;
  if (!isStreamed) return 'whole';
  if (!isEnded(answer.text)) return 'broken: a stream without an end';
  return answer.text.endsWith('[DONE]\n\n') ? 'streamed to [DONE]' : 'streamed to an error event';
}
