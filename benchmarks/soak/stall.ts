/** Connections that stall in headers, in the body, and in reading: by how much others are held up. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { bootstrap, median } from '../harness/statistics.js';
import { quantile } from '../serving/quantile.js';
import { CHAT, question, send, sleep } from './client.js';
import type { Part } from './part.js';
import { startServed } from './served.js';

const ROUNDS = 8;
const ASKED = 60;

/** How each begins; the last two are asked in full and read nothing of the answer. */
function begins(i: number): string {
  const head = `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`;
  const body = JSON.stringify(question(`Question ${i}.`, { max_tokens: 20, stream: i % 2 === 0 }));
  const whole = `${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  const kinds = [
    '',
    'POST /v1/chat',
    head,
    `${head}content-length: 5000\r\n\r\n{"messages"`,
    `${head}transfer-encoding: chunked\r\n\r\n5\r\n{"mes`,
    whole,
  ];
  return kinds[i % kinds.length] ?? '';
}

export const stall: Part = {
  count: 1000,
  async run(count, check) {
    // So long that all of them are there for as long as is measured.
    const limits = { headerTimeout: 600_000, bodyTimeout: 600_000, stallTimeout: 600_000 };
    const server = await startServed({ limits });
    const { port } = new URL(server.url);
    const ask = async (): Promise<number[]> => {
      const took: number[] = [];
      for (let i = 0; i < ASKED; i++) {
        const reply = await send(
          server.url + CHAT,
          question('Hi?', { max_tokens: 8, min_tokens: 8 }),
        );
        check(reply.status === 200, `others got ${reply.status}`);
        took.push(reply.ms);
      }
      return took;
    };
    let sockets: Socket[] = [];
    const open = async (): Promise<void> => {
      sockets = Array.from({ length: count }, (_, i) => {
        const socket = connect(Number(port), '127.0.0.1');
        socket.on('error', () => {});
        socket.pause();
        socket.write(begins(i));
        return socket;
      });
      await Promise.all(
        sockets.map((socket) => (socket.connecting ? once(socket, 'connect') : Promise.resolve())),
      );
      await sleep(3000);
      await server.held();
    };
    const close = async (): Promise<void> => {
      for (const socket of sockets) socket.destroy();
      sockets = [];
      await sleep(1000);
      await server.held();
    };
    const without: number[][] = [];
    const beside: number[][] = [];
    let open1000 = Infinity;
    try {
      await ask();
      for (let round = 0; round < ROUNDS; round++) {
        // A B, then B A.
        if (round % 2 === 0) without.push(await ask());
        await open();
        beside.push(await ask());
        open1000 = Math.min(open1000, sockets.filter((socket) => !socket.destroyed).length);
        await close();
        if (round % 2 === 1) without.push(await ask());
      }
    } finally {
      await server.stop();
    }
    check(open1000 === count, `${count - open1000} stalled connections were closed meanwhile`);
    const ratio = bootstrap(beside.map((some, i) => median(some) / median(without[i] ?? [])));
    check(ratio.low <= 1.1, `others take ${ratio.median.toFixed(2)} times as long`);
    const told = (all: number[][]): object => ({
      medianMs: median(all.flat()),
      p99Ms: quantile(all.flat(), 0.99),
    });
    return {
      connections: count,
      rounds: ROUNDS,
      without: told(without),
      beside: told(beside),
      ratioOfMedians: ratio,
    };
  },
};
