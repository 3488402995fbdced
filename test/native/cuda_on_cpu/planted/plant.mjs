/**
 * `node plant.mjs OUT`: writes one C++ file with a copy of a kernel for each bug of bugs.mjs, planted, and in a namespace of
 * its own. What a kernel includes of this repository stands in its copy, since a bug may lie there.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { BUGS } from './bugs.mjs';

const NATIVE = join(dirname(fileURLToPath(import.meta.url)), '../../../../native');
/** By exercise: the file without `_cuda.cu`; the launcher is named after it. */
const KERNELS = {
  norm: 'add_rms_norm/add_rms_norm',
  longest_norm: 'add_rms_norm/add_rms_norm',
  rope: 'rope_kv_append/rope_kv_append',
  swiglu: 'swiglu/swiglu',
  odd_rows: 'swiglu/swiglu',
  some_rows: 'swiglu/swiglu',
  many_rows: 'swiglu/swiglu',
  swiglu_backward: 'swiglu/swiglu_backward',
  norm_backward: 'add_rms_norm/add_rms_norm_backward',
  rope_backward: 'rope_kv_append/rope_backward',
  cross_entropy: 'cross_entropy/cross_entropy',
  choose: 'choose_tokens/choose_tokens',
  decode: 'paged_decode_attention/paged_decode_attention',
  groups: 'paged_decode_attention/paged_decode_groups',
  few_rows: 'product/few_rows',
  quantised: 'quantised_product/quantised_product',
  dequantise: 'dequantise/dequantise',
  patchify: 'patchify/patchify',
  embed_patches: 'embed_patches/embed_patches',
  low_rank: 'low_rank/low_rank',
};
/** @type {Set<string>} */
const system = new Set();

/**
 * The file with its own includes in place, once each.
 *
 * @param {string} name below native/
 * @param {import('./bugs.mjs').Bug} bug
 * @param {Set<string>} seen
 * @returns {string}
 */
function flatten(name, bug, seen) {
  if (seen.has(name)) return '';
  seen.add(name);
  const path = join(NATIVE, name);
  let text = readFileSync(path, 'utf8');
  if (name === `kernels/${bug.file}`) {
    const parts = text.split(bug.find);
    if (parts.length === 1)
      throw new Error(`"${bug.name}" is not to be planted: ${name} has changed`);
    text = [parts[0], parts.slice(1).join(bug.find)].join(bug.replace);
  }
  const lines = [`#line 1 "${path}"`];
  for (const [index, line] of text.split('\n').entries()) {
    const own = /^#include "(.+)"/.exec(line)?.[1];
    if (own) lines.push(flatten(own, bug, seen), `#line ${index + 2} "${path}"`);
    else if (/^#include </.test(line)) system.add(line) && lines.push('');
    else lines.push(line === '#pragma once' ? '' : line);
  }
  return lines.join('\n');
}

const quoted = (/** @type {string} */ text) => JSON.stringify(text);
const copies = BUGS.map((bug, index) => {
  const kernel = KERNELS[bug.exercise];
  const text = flatten(`kernels/${kernel}_cuda.cu`, bug, new Set());
  return `#define facellm planted_${index}\n${text}\n#undef facellm\n`;
});
const rows = BUGS.map((bug, index) => {
  const space = `planted_${index}`;
  const more = bug.exercise === 'longest_norm' ? `, ${space}::kLargestFusedNormRow` : '';
  const run = `[] { return exercise_${bug.exercise}(&${space}::${basename(KERNELS[bug.exercise])}_cuda${more}); }`;
  const faults = (bug.faults ?? []).map((fault) => `Fault::${fault}`).join(', ');
  const at = bug.at ? `kernels/${bug.at}` : '';
  return `    {${quoted(bug.name)}, ${run}, {${faults}}, ${quoted(bug.says ?? '')}, ${quoted(at)}, ${bug.isHarmless ?? false}},`;
});
writeFileSync(
  process.argv[2] ?? '',
  `// Made by planted/plant.mjs.
${[...system].join('\n')}
#include "planted/planted.h"

${copies.join('\n')}
namespace cuda_on_cpu {
const std::vector<PlantedBug>& planted_bugs() {
  static const std::vector<PlantedBug> bugs{
${rows.join('\n')}
  };
  return bugs;
}
}  // namespace cuda_on_cpu
`,
);
