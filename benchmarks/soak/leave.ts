/** Clients that leave at any moment: what the engine does for them afterwards, and what stays. */
import { CHAT, draws, isEnded, PHOTO_URL, question, send } from './client.js';
import type { Part } from './part.js';
import { type Held, startServed } from './served.js';

/** The step under way when the client's leaving is heard of, and the one that was given its rows already. */
const MOST_STEPS = 2;
const LONG = { max_tokens: 2000, min_tokens: 2000 };

export const leave: Part = {
  count: 1000,
  async run(count, check) {
    const draw = draws(1);
    const server = await startServed();
    const url = server.url + CHAT;
    /** Before there is an answer, or after some of it: a moment, or a number of pieces that have come. */
    const go = async (i: number, mostMs: number): Promise<void> => {
      const abort = new AbortController();
      const [stream, byPieces] = [draw(2) === 0, draw(2) === 0];
      let pieces = 1 + draw(40);
      const timer = stream && byPieces ? undefined : setTimeout(() => abort.abort(), draw(mostMs));
      const onData = (): void => {
        if (--pieces === 0 && timer === undefined) abort.abort();
      };
      const picture = draw(2) === 0 ? PHOTO_URL : undefined;
      const body = question(`Question ${i}: who is this?`, { ...LONG, stream }, picture);
      await send(url, body, { signal: abort.signal, onData }).then(
        () => check(false, 'an answer of 2,000 tokens ended before its client left'),
        () => undefined,
      );
      clearTimeout(timer);
    };
    try {
      // Alone: whatever the engine does after it was heard of, it does for nobody.
      const alone: Held['left'][number][] = [];
      for (let i = 0; i < count / 2; i++) {
        await go(i, 120);
        alone.push(...(await server.held()).left);
      }
      const steps = Math.max(...alone.map((one) => one.steps));
      check(steps <= MOST_STEPS, `${steps} steps for a client that had left`);
      // In company of one that stays.
      let stayed = 0;
      const group = 25;
      for (let i = 0; i < count / 2; i += group) {
        const staying = send(
          url,
          question(`Question ${i}.`, { max_tokens: 100, min_tokens: 100, stream: true }),
        );
        await Promise.all(Array.from({ length: group }, (_, k) => go(i + k, 200)));
        stayed += Number(isEnded((await staying).text));
        await server.held();
      }
      check(stayed === Math.ceil(count / 2 / group), 'one that stayed was not answered');
      const { stats } = await server.held();
      return {
        ...{ left: count, heardOfWhileAlone: alone.length, mostStepsAfterwards: steps },
        mostTokensAfterwards: Math.max(...alone.map((one) => one.tokens)),
        inTheMiddleOfSomething: alone.filter(({ wasUnderWay }) => wasUnderWay).length,
        withoutAnyTokenAfterwards: alone.filter(({ tokens }) => tokens === 0).length,
        ...{ stayed, usedBlocks: stats['usedBlocks'], pinnedImages: stats['pinnedImages'] },
      };
    } finally {
      await server.stop();
    }
  },
};
