/** The thread that large bodies are parsed in. */
import { parentPort } from 'node:worker_threads';

import { parseBody } from './parse-body.js';

parentPort?.on('message', ({ id, bytes }: { readonly id: number; readonly bytes: Uint8Array }) => {
  const result = parseBody(bytes);
  const own =
    'pictures' in result
      ? result.pictures.flatMap((picture) => ('bytes' in picture ? [picture.bytes.buffer] : []))
      : [];
  parentPort?.postMessage({ id, result }, own as ArrayBuffer[]);
});
