/** The one thing about a GIF that its decoded pixels no longer tell (GIF89a specification). */

const SCREEN_BYTES = 13;
const EXTENSION = 0x21;
const GRAPHIC_CONTROL = 0xf9;
const IMAGE = 0x2c;

type Colour = readonly [number, number, number];

/** Where the table that `flags` announces ends, if it announces one. */
function tableEnd(flags: number, start: number): number {
  return (flags & 0x80) === 0 ? start : start + 3 * (2 << (flags & 7));
}

/** What the palette holds for the first frame's transparent index; undefined without one. */
export function transparentColour(gif: Uint8Array): Colour | undefined {
  const byte = (offset: number): number => gif[offset] ?? 0;
  const shared = { start: SCREEN_BYTES, end: tableEnd(byte(10), SCREEN_BYTES) };
  let index: number | undefined;
  let position = shared.end;
  while (byte(position) === EXTENSION) {
    if (byte(position + 1) === GRAPHIC_CONTROL) {
      index = (byte(position + 3) & 1) === 1 ? byte(position + 6) : undefined;
    }
    // Sub-blocks, each with its length before it; a length of 0 ends them.
    position += 2;
    while (byte(position) > 0) position += 1 + byte(position);
    position += 1;
  }
  if (index === undefined || byte(position) !== IMAGE) return undefined;
  const own = { start: position + 10, end: tableEnd(byte(position + 9), position + 10) };
  const table = own.end > own.start ? own : shared;
  const entry = table.start + 3 * index;
  if (entry + 3 > Math.min(table.end, gif.length)) return undefined;
  return [byte(entry), byte(entry + 1), byte(entry + 2)];
}
