/**
 * A teacher on loopback that answers every request after the same time, in a process of its own: as the
 * sole work of its event loop it is not what is measured. Prints its URL.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const delayMs = Number(process.argv[2] ?? 200);
const REPLY = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  model: 'loopback',
  choices: [
    {
      index: 0,
      finish_reason: 'stop',
      message: { role: 'assistant', content: 'The face shows even features. '.repeat(20) },
    },
  ],
  usage: { prompt_tokens: 600, completion_tokens: 120 },
});

const server = createServer((request, response) => {
  const arrivedAt = performance.now();
  request.resume();
  request.on('end', () => {
    setTimeout(
      () => {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(REPLY);
      },
      Math.max(0, delayMs - (performance.now() - arrivedAt)),
    );
  });
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`http://127.0.0.1:${port}/v1\n`);
});
