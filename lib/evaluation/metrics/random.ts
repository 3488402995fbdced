/** Numbers that a seed determines, for resampling and for drawing pairs. Not for secrets. */

/** Bounds above it need more bits than one draw of 32 has. */
const SINGLE_DRAW = 2 ** 24;

/**
 * Whole numbers from 0 to `bound` - 1, evenly, for bounds up to 2^53 (a Weyl sequence of 32 bits through the
 * hash "lowbias32" of the Hash Prospector project; BigInt arithmetic, as in training, is twenty times slower,
 * and a bootstrap draws millions).
 */
export function randomIntegers(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  const draw = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    mixed ^= mixed >>> 15;
    return mixed >>> 0;
  };
  return (bound) => {
    if (bound <= SINGLE_DRAW) return Math.floor((draw() / 2 ** 32) * bound);
    const fraction = (draw() >>> 11) * 2 ** 32 + draw();
    return Math.floor((fraction / 2 ** 53) * bound);
  };
}
