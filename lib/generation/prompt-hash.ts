/** Identity of a prompt as the engine gets it: records of answers can be compared without its text. */
import { createHash } from 'node:crypto';

/** sha256 of the token ids, each as 32 bits, lowest byte first. Pictures count by their placeholders. */
export function promptHash(ids: Int32Array): string {
  const bytes = Buffer.alloc(ids.length * 4);
  ids.forEach((id, i) => bytes.writeInt32LE(id, i * 4));
  return createHash('sha256').update(bytes).digest('hex');
}
