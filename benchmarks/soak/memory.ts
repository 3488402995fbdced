/** Requests with pictures over HTTP, two of five left by their clients: memory must not grow with them. */
import { CHAT, draws, inTurns, PHOTO, PHOTO_URL, pick, question, send } from './client.js';
import sharp from 'sharp';
import type { Part } from './part.js';
import { type Held, startServed } from './served.js';

const SAMPLES = 60;
const AT_ONCE = 12;
/** As in scripts/soak-memory.mjs: less than a picture, its vectors, or a block of keys and values. */
const MOST_BYTES_A_REQUEST = 1024;

export const memory: Part = {
  count: 20_000,
  async run(count, check) {
    const draw = draws(1);
    const server = await startServed({
      load: {
        ...{ dtype: 'fp32', threads: 1, imageCacheBytes: 1 << 16, prefixCacheBytes: 1 << 18 },
        ...{ maxContext: 512, kvMemory: 10 << 15, maxRows: 8 },
      },
    });
    const { data, info } = await sharp(PHOTO)
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    /** Seen once only. */
    const newPicture = async (): Promise<string> => {
      const pixels = Buffer.from(data);
      pixels.writeUInt32LE(draw(2 ** 31), 3 * draw(100));
      const { width, height, channels } = info;
      const png = await sharp(pixels, { raw: { width, height, channels } }).png().toBuffer();
      return `data:image/png;base64,${png.toString('base64')}`;
    };
    const path = (kind: string): string => server.url + kind;
    const kinds: readonly ((picture: string) => readonly [string, object])[] = [
      () => [
        path(CHAT),
        question(
          `Who? ${draw(50)}`,
          { max_tokens: 1 + draw(80), stream: draw(2) === 0 },
          PHOTO_URL,
        ),
      ],
      (picture) => [
        path(CHAT),
        question(`Who? ${draw(50)}`, { max_tokens: 1 + draw(80), stream: draw(2) === 0 }, picture),
      ],
      () => [
        path(CHAT),
        question(
          'Who?',
          {
            max_tokens: 1 + draw(40),
            n: 1 + draw(3),
            temperature: 1,
            logprobs: true,
            top_logprobs: 3,
          },
          PHOTO_URL,
        ),
      ],
      (picture) => [
        path('/v1/choose'),
        { images: [picture], question: 'Smiling?', choices: ['Yes', 'No'] },
      ],
      (picture) => [path('/v1/embeddings'), { input: [picture] }],
      () => [
        path('/v1/extract'),
        {
          images: [PHOTO_URL],
          question: 'Describe.',
          schema: {
            type: 'object',
            properties: { a: { type: 'boolean' }, b: { type: 'string', maxLength: 5 } },
          },
        },
      ],
    ];
    const ends = { answered: 0, left: 0, refused: 0 };
    const one = async (): Promise<void> => {
      const [url, body] = pick(kinds, draw)(await newPicture());
      const isLeft = draw(100) < 40 || 100 * ends.left < 40 * (ends.answered + ends.left);
      const abort = new AbortController();
      const timer = isLeft
        ? setTimeout(() => abort.abort(), draw(2) === 0 ? draw(6) : draw(60))
        : undefined;
      try {
        const { status, text } = await send(url, body, { signal: abort.signal });
        if (status === 200) ends.answered++;
        else ends.refused++;
        check(status === 200 || status === 429, `${status} ${text.slice(0, 200)}`);
      } catch (error) {
        ends.left++;
        check(abort.signal.aborted, String(error));
      } finally {
        clearTimeout(timer);
      }
    };
    const warmUp = Math.floor(count / 4);
    const every = Math.max(1, Math.floor((count - warmUp) / SAMPLES));
    const samples: Held[] = [];
    const began = performance.now();
    try {
      for (let done = 0; done < count; done += every) {
        await inTurns(Math.min(every, count - done), AT_ONCE, one);
        const held = await server.held(true);
        if (done + every >= warmUp) samples.push(held);
      }
    } finally {
      await server.stop();
    }
    /** How much higher the highest of the second half is than that of the first, a request. */
    const growth = (what: 'ownBytes' | 'heapBytes'): number => {
      const half = samples.length >> 1;
      const highest = (some: readonly Held[]): number =>
        Math.max(...some.map((held) => held[what]));
      return Math.round(
        (highest(samples.slice(half)) - highest(samples.slice(0, half))) / ((count - warmUp) / 2),
      );
    };
    const ownBytesARequest = growth('ownBytes');
    check(
      ownBytesARequest <= MOST_BYTES_A_REQUEST,
      `${ownBytesARequest} bytes a request stay behind`,
    );
    return {
      ...{ requests: count, ...ends, ownBytesARequest, heapBytesARequest: growth('heapBytes') },
      ...{ firstOwnBytes: samples[0]?.ownBytes, lastOwnBytes: samples.at(-1)?.ownBytes },
      usedBlocks: samples.at(-1)?.stats['usedBlocks'],
      pinnedImages: samples.at(-1)?.stats['pinnedImages'],
      preemptions: samples.at(-1)?.stats['preemptions'],
      seconds: (performance.now() - began) / 1000,
      ownBytes: samples.map((held) => held.ownBytes),
    };
  },
};
