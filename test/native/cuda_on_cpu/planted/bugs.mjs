/**
 * Bugs to plant into the real kernels, each with the report that must come of it. `find` and `replace` are text of `file`
 * (below native/kernels); `exercise` is what runs (planted.h). `faults`: the kinds that may be told, by the order in which
 * threads run; none: the numbers differ, or for a harmless change nothing is told. `at`: the file of the report's line.
 */
import { ANSWERS } from './bugs/answers.mjs';
import { LAYERS } from './bugs/layers.mjs';
import { NORMS } from './bugs/norms.mjs';
import { PICTURES } from './bugs/pictures.mjs';
import { PRODUCTS } from './bugs/products.mjs';

/** @typedef {{ name: string, exercise: string, file: string, find: string, replace: string, faults?: string[],
 *   says?: string, at?: string, isHarmless?: boolean }} Bug */

/** @type {readonly Bug[]} */
export const BUGS = [...NORMS, ...LAYERS, ...ANSWERS, ...PRODUCTS, ...PICTURES];
