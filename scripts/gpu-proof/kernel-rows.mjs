/** Single kernels beside libtorch's operations, compiled without libtorch: one row a line of the scripts of Python. */
import { join } from 'node:path';

import { objects, python } from './figures.mjs';
import { architectureOf } from './machine.mjs';
import { must, PartError, Skip } from './part.mjs';

const KERNELS = [
  'add_rms_norm/add_rms_norm',
  'add_rms_norm/add_rms_norm_backward',
  'cross_entropy/cross_entropy',
  'rope_kv_append/rope_kv_append',
  'rope_kv_append/rope_backward',
  'swiglu/swiglu',
  'swiglu/swiglu_backward',
  'patchify/patchify',
  'embed_patches/embed_patches',
  'paged_decode_attention/paged_decode_attention',
  'paged_decode_attention/paged_decode_groups',
  'product/few_rows',
  'quantised_product/quantised_product',
  'dequantise/dequantise',
  'low_rank/low_rank',
];
/** Rows of answering, then of learning: what fails there takes none of the former. */
const SCRIPTS = ['kernels.py', 'learning_kernels.py'];
/** What a product of bf16 may be off by: its inputs' and its own rounding, with room for the middle steps of a gated one. */
const MOST_ERROR = 0.01;

/** @param {readonly number[]} values an odd number of them */
const middle = (values) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;

/** Single kernels, compiled without libtorch. @type {import('./part.mjs').Part['run']} */
export async function kernelRows(context, limitS) {
  const { findings, root, models, save } = context;
  const end = performance.now() + 1000 * limitS;
  const { machine } = findings;
  if (!machine?.card) throw new Skip('no card');
  const library = join(models, 'libkernels.so');
  const architecture = architectureOf(machine.card.capability).replace('-real', '');
  const sources = [
    join(root, 'benchmarks', 'gpu', 'kernels.cu'),
    ...KERNELS.map((name) => join(root, 'native', 'kernels', `${name}_cuda.cu`)),
  ];
  const code = `arch=compute_${architecture},code=sm_${architecture}`;
  const flags = [
    '-std=c++20',
    '-O2',
    '-cudart',
    'shared',
    '-shared',
    '-Xcompiler',
    '-fPIC',
    '--threads',
    '0',
    '-gencode',
    code,
  ];
  await must(
    context,
    ['nvcc', ...flags, `-I${join(root, 'native')}`, ...sources, '-o', library],
    limitS,
  );
  const wrong = /** @type {string[]} */ ([]);
  const onLine = objects(({ name, us, beside, besideUs, bytes, error }) => {
    // The range of the pairs: seven are too few to draw intervals from.
    const ratios = us.map(
      (/** @type {number} */ own, /** @type {number} */ i) => besideUs[i] / own,
    );
    findings.rows.push({
      ...{ name, ms: middle(us) / 1000, runs: us.length, work: { flop: 0, bytes } },
      beside: {
        ...{ name: beside, ms: middle(besideUs) / 1000 },
        ratio: { median: middle(ratios), low: Math.min(...ratios), high: Math.max(...ratios) },
      },
    });
    if (!(error < MOST_ERROR)) wrong.push(`${name}: off by ${error}`);
    save();
  });
  for (const script of SCRIPTS) {
    const leftS = (end - performance.now()) / 1000;
    await must(context, [...python(context, script), library], leftS, { onLine });
  }
  if (wrong.length > 0) throw new PartError(`${wrong.length} kernels are wrong`, wrong);
  return [`${findings.rows.length} rows, errors below ${MOST_ERROR}`];
}
