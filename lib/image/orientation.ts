/**
 * How a picture is to be turned, wherever its file says so, as Pillow's `ImageOps.exif_transpose` looks for it: the
 * EXIF block; where that says nothing, `tiff:Orientation` of the XMP packet. libvips reads neither from PNG chunks that
 * come after the pixels; those are read here.
 */
import type { Metadata, Sharp } from 'sharp';

/** 1 upright, 2 to 8 as EXIF (tag 0x0112) numbers them. */
export function orientationOf(meta: Metadata, file: Uint8Array): number {
  const chunks =
    meta.format === 'png'
      ? pngChunks(Buffer.from(file.buffer, file.byteOffset, file.byteLength))
      : [];
  const textOf = (body: Buffer): number | undefined =>
    body.toString('latin1', 0, XMP_KEYWORD.length) === XMP_KEYWORD ? fromXmp(body) : undefined;
  const found =
    meta.orientation ??
    first(chunks, 'eXIf', fromExif) ??
    (meta.xmp === undefined ? undefined : fromXmp(meta.xmp)) ??
    first(chunks, 'iTXt', textOf);
  return found !== undefined && found >= 1 && found <= 8 ? found : 1;
}

/** Whether width and height change places. */
export function liesOnItsSide(orientation: number): boolean {
  return orientation > 4;
}

/** The picture turned; sharp mirrors first and turns then. */
export function upright(input: Sharp, orientation: number): Sharp {
  switch (orientation) {
    case 2:
      return input.flop();
    case 3:
      return input.rotate(180);
    case 4:
      return input.flip();
    case 5:
      return input.rotate(270).flop();
    case 6:
      return input.rotate(90);
    case 7:
      return input.rotate(90).flop();
    case 8:
      return input.rotate(270);
    default:
      return input;
  }
}

/** An attribute (`tiff:Orientation="6"`) or an element (`<tiff:Orientation>6</tiff:Orientation>`). */
function fromXmp(packet: Buffer): number | undefined {
  const match = /tiff:Orientation\s*(?:=\s*["']|>)\s*([1-8])/.exec(packet.toString('latin1'));
  return match === null ? undefined : Number(match[1]);
}

/** Tag 0x0112 of the first directory of a TIFF header, which is what an EXIF block is. */
function fromExif(block: Buffer): number | undefined {
  const isLittle = block.toString('latin1', 0, 2) === 'II';
  const u16 = (at: number): number => (isLittle ? block.readUInt16LE(at) : block.readUInt16BE(at));
  const u32 = (at: number): number => (isLittle ? block.readUInt32LE(at) : block.readUInt32BE(at));
  if (block.length < 8 || u16(2) !== 42) return undefined;
  const directory = u32(4);
  if (directory + 2 > block.length) return undefined;
  for (let entry = directory + 2, left = u16(directory); left > 0; entry += 12, left--) {
    if (entry + 12 > block.length) return undefined;
    if (u16(entry) === 0x0112) return u16(entry + 8);
  }
  return undefined;
}

const XMP_KEYWORD = 'XML:com.adobe.xmp\0';
const PNG_SIGNATURE_BYTES = 8;

interface Chunk {
  readonly kind: string;
  readonly body: Buffer;
}

/** Length, kind, body and checksum, one after another. */
function pngChunks(file: Buffer): Chunk[] {
  const chunks: Chunk[] = [];
  for (let at = PNG_SIGNATURE_BYTES; at + 8 <= file.length;) {
    const end = at + 8 + file.readUInt32BE(at);
    chunks.push({
      kind: file.toString('latin1', at + 4, at + 8),
      body: file.subarray(at + 8, end),
    });
    at = end + 4;
  }
  return chunks;
}

function first<T>(
  chunks: readonly Chunk[],
  kind: string,
  read: (body: Buffer) => T | undefined,
): T | undefined {
  for (const chunk of chunks) {
    const value = chunk.kind === kind ? read(chunk.body) : undefined;
    if (value !== undefined) return value;
  }
  return undefined;
}
