/** Numbers that a seed determines, for resampling and for drawing pairs. Not for secrets. */

/**
 * Whole numbers from 0 to `bound` - 1, evenly (a 32-bit Weyl sequence through a multiplicative hash; 64-bit
 * BigInt arithmetic, as in training, is twenty times slower, and a bootstrap draws millions).
 */
export function randomIntegers(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    mixed ^= mixed >>> 15;
    return Math.floor(((mixed >>> 0) / 2 ** 32) * bound);
  };
}
