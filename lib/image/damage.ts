/**
 * Why a picture file cannot be decoded, told by its own bytes alone. libvips' words are not repeated: it keeps them in one
 * buffer for all threads, so a picture gets those of another that failed beside it, or none. What goes into a run's
 * files must be the same each time; libvips' own error stays the `cause` of ours.
 */

interface Format {
  readonly name: string;
  /** Of the first bytes, as Latin-1. */
  readonly signature: RegExp;
  /** Whether the file holds its end; absent: its bytes do not tell. */
  readonly hasEnd?: (file: Buffer) => boolean;
}

const FORMATS: readonly Format[] = [
  { name: 'JPEG', signature: /^\xff\xd8\xff/, hasEnd: jpegHasEnd },
  { name: 'PNG', signature: /^\x89PNG\r\n\x1a\n/, hasEnd: (file) => file.includes('IEND') },
  {
    name: 'WebP',
    signature: /^RIFF[^]{4}WEBP/,
    hasEnd: (file) => file.length >= 8 + file.readUInt32LE(4),
  },
  { name: 'GIF', signature: /^GIF8[79]a/ },
  { name: 'TIFF', signature: /^(II[*+]\0|MM\0[*+])/ },
  { name: 'AVIF', signature: /^[^]{4}ftyp(avi[fs]|mif1|msf1)/ },
];
const SIGNATURE_BYTES = 16;

const END_OF_IMAGE = Buffer.of(0xff, 0xd9);
const START_OF_SCAN = 0xda;

/** An embedded preview ends with the same marker: segments are passed over by their lengths, up to the pixels. */
function jpegHasEnd(file: Buffer): boolean {
  let at = 2;
  while (at + 4 <= file.length && file[at + 1] !== START_OF_SCAN)
    at += 2 + file.readUInt16BE(at + 2);
  return file.includes(END_OF_IMAGE, at);
}

/**
 * The end of a sentence about a file that libvips refused.
 *
 * @param file whole, or its first bytes
 */
export function damageOf(file: Uint8Array, isWhole = true): string {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const start = bytes.toString('latin1', 0, SIGNATURE_BYTES);
  const format = FORMATS.find(({ signature }) => signature.test(start));
  if (format === undefined) return 'it begins like none of these';
  return isWhole && format.hasEnd?.(bytes) === false
    ? `its ${format.name} data end early`
    : `its ${format.name} data are damaged, or of a kind that is not read`;
}
