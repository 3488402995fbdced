/** Names of a safetensors file's tensors, from its header alone (docs/internvl3.md, section 3.4). */
import { open } from 'node:fs/promises';

/** Of a file that this package has written: nothing is checked. */
export async function readTensorNames(path: string): Promise<readonly string[]> {
  const file = await open(path, 'r');
  try {
    const length = Buffer.alloc(8);
    await file.read(length, 0, 8, 0);
    const header = Buffer.alloc(Number(length.readBigUInt64LE(0)));
    await file.read(header, 0, header.length, 8);
    const names = Object.keys(JSON.parse(header.toString('utf8')) as object);
    return names.filter((name) => name !== '__metadata__');
  } finally {
    await file.close();
  }
}
