/** The thread of the grammars: masks of 150,000 ids take milliseconds each, which the event loop is spared. */
import { parentPort, workerData } from 'node:worker_threads';

import { GrammarTooLarge, TooManyWays } from '../../structured/index.js';
import { GrammarServer } from './grammar-server.js';
import type { GrammarMessage, GrammarReply, GrammarSetup } from './messages.js';

const port = parentPort;
if (port === null) throw new Error('this file runs in a worker thread only');

const server = new GrammarServer(workerData as GrammarSetup);
const say = (reply: GrammarReply, transfer: ArrayBuffer[] = []): void =>
  port.postMessage(reply, transfer);

port.on('message', (message: GrammarMessage) => {
  if ('closed' in message) {
    server.close(message.closed);
    return;
  }
  const { request, asked } = message;
  try {
    const words = server.answer(asked);
    say({ request, words }, [words.buffer as ArrayBuffer]);
  } catch (error) {
    const isTooComplex = error instanceof GrammarTooLarge || error instanceof TooManyWays;
    const failed = error instanceof Error ? error.message : String(error);
    say({ request, failed, isTooComplex });
  }
});
say({ ready: true });
