/** The thread that large bodies are parsed in. */
import { parentPort } from 'node:worker_threads';

import { type BodyKind, parseBody } from './parse-body.js';

interface Asked {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly kind: BodyKind;
}

parentPort?.on('message', ({ id, bytes, kind }: Asked) => {
  const result = parseBody(bytes, kind);
  const own =
    'pictures' in result
      ? result.pictures.flatMap((picture) => ('bytes' in picture ? [picture.bytes.buffer] : []))
      : [];
  parentPort?.postMessage({ id, result }, own as ArrayBuffer[]);
});
