/** What a GIF's decoded pixels no longer tell (GIF89a specification). */

const SCREEN_BYTES = 13;
const EXTENSION = 0x21;
const GRAPHIC_CONTROL = 0xf9;
const IMAGE = 0x2c;

type Colour = readonly [number, number, number];

export interface FirstFrame {
  /** Pixels of the canvas that the frame covers. */
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  /** Of transparent pixels and of those around the frame: Pillow fills with the transparent index, else with 0. */
  readonly hidden: Colour;
}

/** Where the table that `flags` announces ends, if it announces one. */
function tableEnd(flags: number, start: number): number {
  return (flags & 0x80) === 0 ? start : start + 3 * (2 << (flags & 7));
}

/** Undefined where the file is too odd to tell; it is decoded as libvips has it. */
export function firstFrame(gif: Uint8Array): FirstFrame | undefined {
  const byte = (offset: number): number => gif[offset] ?? 0;
  const pair = (offset: number): number => byte(offset) + 256 * byte(offset + 1);
  const shared = { start: SCREEN_BYTES, end: tableEnd(byte(10), SCREEN_BYTES) };
  let index = 0;
  let position = shared.end;
  while (byte(position) === EXTENSION) {
    if (byte(position + 1) === GRAPHIC_CONTROL) {
      index = (byte(position + 3) & 1) === 1 ? byte(position + 6) : 0;
    }
    // Sub-blocks, each with its length before it; a length of 0 ends them.
    position += 2;
    while (byte(position) > 0) position += 1 + byte(position);
    position += 1;
  }
  if (byte(position) !== IMAGE) return undefined;
  const own = { start: position + 10, end: tableEnd(byte(position + 9), position + 10) };
  const table = own.end > own.start ? own : shared;
  const entry = table.start + 3 * index;
  const isKnown = entry + 3 <= Math.min(table.end, gif.length);
  const left = pair(position + 1);
  const top = pair(position + 3);
  return {
    left,
    top,
    right: left + pair(position + 5),
    bottom: top + pair(position + 7),
    hidden: isKnown ? [byte(entry), byte(entry + 1), byte(entry + 2)] : [0, 0, 0],
  };
}
