/** ZIP archives for tests, honest ones and others. */
import { crc32, deflateRawSync } from 'node:zlib';

export interface Entry {
  readonly name: string;
  readonly bytes: Buffer;
  readonly deflates?: boolean;
  /** Unix mode with the kind of file. */
  readonly mode?: number;
  readonly flags?: number;
  readonly method?: number;
  readonly crc?: number;
  /** Size that is told in place of the real one. */
  readonly declares?: number;
  /** Its bytes are those of another entry. */
  readonly sharesWith?: number;
}

export function zipOf(entries: readonly Entry[]): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  const offsets: number[] = [];
  let offset = 0;
  for (const entry of entries) {
    const { name, bytes, deflates = false, mode = 0, flags = 0, sharesWith } = entry;
    const data = deflates ? deflateRawSync(bytes) : bytes;
    const method = entry.method ?? (deflates ? 8 : 0);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(flags, 2);
    fields.writeUInt16LE(method, 4);
    fields.writeUInt32LE((entry.crc ?? crc32(bytes)) >>> 0, 10);
    fields.writeUInt32LE(data.length, 14);
    fields.writeUInt32LE(entry.declares ?? bytes.length, 18);
    fields.writeUInt16LE(Buffer.byteLength(name), 22);
    const at = sharesWith === undefined ? offset : (offsets[sharesWith] ?? 0) + 1;
    offsets.push(at);
    if (sharesWith === undefined) {
      const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, Buffer.from(name), data]);
      locals.push(local);
      offset += local.length;
    }
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE((mode << 16) >>> 0, 6);
    rest.writeUInt32LE(at, 10);
    const made = Buffer.from([20, 3]);
    central.push(Buffer.concat([Buffer.from('PK\x01\x02'), made, fields, rest, Buffer.from(name)]));
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}
