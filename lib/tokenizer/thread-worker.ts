/** The tokenizer's thread: reads the files of the folder it is given, then encodes what it is sent. */
import { parentPort, workerData } from 'node:worker_threads';

import { FaceLlmError } from '../errors.js';
import type { EncodeRequest, Failure, ThreadMessage } from './thread-messages.js';
import { Tokenizer } from './tokenizer.js';

const port = parentPort;
if (port === null) throw new Error('this file runs in a worker thread only');

function failure(error: unknown): Failure {
  const known = error instanceof FaceLlmError ? error : undefined;
  return {
    kind: 'failed',
    code: known?.code ?? 'FACELLM_INTERNAL',
    message: known?.summary ?? (error instanceof Error ? error.message : String(error)),
    details: known?.details ?? [],
  };
}

async function serve(directory: string): Promise<void> {
  const send = (message: ThreadMessage, transfer: ArrayBuffer[] = []): void =>
    port?.postMessage(message, transfer);
  let tokenizer: Tokenizer;
  try {
    tokenizer = await Tokenizer.load(directory);
  } catch (error) {
    send(failure(error));
    return;
  }
  port?.on('message', ({ request, segments }: EncodeRequest) => {
    try {
      const ids = Int32Array.from(tokenizer.encodeSegments(segments));
      send({ kind: 'encoded', request, ids }, [ids.buffer]);
    } catch (error) {
      send({ ...failure(error), request });
    }
  });
  const { data } = tokenizer.table;
  // Made by TokenTable.of, so never shared ones. The type cannot say so: declarations of TypeScript before
  // 5.7 know no `Uint8Array<ArrayBuffer>`.
  const buffers = [data.bytes.buffer, data.offsets.buffer] as ArrayBuffer[];
  send({ kind: 'ready', ...data, controlTokens: [...tokenizer.controlTokens] }, buffers);
}

await serve(workerData as string);
