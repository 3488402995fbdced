/** The build of a proof: the addon and the native tests, for this machine's card alone. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { findGoogleTest } from '../find-googletest.mjs';
import { findLibtorch } from '../install/find-libtorch.mjs';
import { must } from './part.mjs';
import { architectureOf } from './machine.mjs';

/** What CMake is told. @param {import('./part.mjs').Context} context @param {string} libtorch @param {readonly string[]} own */
export function definesOf({ findings }, libtorch, own) {
  const card = findings.machine?.card;
  return [
    `LIBTORCH_ROOT=${libtorch}`,
    `NODE=${process.execPath}`,
    'FACELLM_NATIVE_TESTS=ON',
    // Where a card was found, an addon for the CPU would be no proof.
    ...(card
      ? ['FACELLM_CUDA=ON', `FACELLM_CUDA_ARCHITECTURES=${architectureOf(card.capability)}`]
      : []),
    ...own,
  ];
}

/** A card that is not there: libtorch's CUDA key, on the CPU (docs/gpu.md). */
const PRETEND = /** @type {const} */ (['facellm_pretend', 'facellm_pretend_tests']);

/** @type {import('./part.mjs').Part['run']} */
export async function build(context, limitS) {
  const { root, env, findings } = context;
  const libtorch = findLibtorch(env).found;
  if (!libtorch)
    throw new Error('no libtorch: python3 needs torch 2.11 or newer, or FACELLM_LIBTORCH a folder');
  const googleTest = findGoogleTest(env);
  const own = 'missing' in googleTest ? [] : googleTest.defines;
  const pretends =
    findings.isDryRun &&
    !libtorch.hasCuda &&
    !('missing' in googleTest) &&
    existsSync(join(root, 'cmake', 'FacellmPretendCuda.cmake'));
  const all = [...own, ...(pretends ? ['FACELLM_PRETEND_CUDA=ON'] : [])];
  const defines = definesOf(context, libtorch.root, all).map((define) => `-D${define}`);
  const folder = join(root, 'build');
  const ninja = spawnSync('ninja', ['--version']).status === 0 ? ['-G', 'Ninja'] : [];
  await must(context, ['cmake', ...ninja, '-S', root, '-B', folder, ...defines], limitS);
  const targets = [
    'facellm',
    ...('missing' in googleTest ? [] : ['facellm_native_tests']),
    ...(pretends ? PRETEND : []),
  ];
  const jobs = String(findings.machine?.cores ?? 2);
  const { seconds } = await must(
    context,
    ['cmake', '--build', folder, '-j', jobs, '--target', ...targets],
    limitS,
  );
  if (pretends) {
    findings.device = 'cuda';
    context.env.FACELLM_ADDON = join(folder, 'Release', `${PRETEND[0]}.node`);
  }
  const notes = [`libtorch ${libtorch.version}, ${seconds.toFixed(0)} s with ${jobs} jobs`];
  return 'missing' in googleTest ? [...notes, googleTest.missing] : notes;
}

/** What the product says of itself and of the machine, its self-test on every device among it. @type {import('./part.mjs').Part['run']} */
export async function doctor(context, limitS) {
  const { seconds, tail } = await must(
    context,
    [process.execPath, join(context.root, 'dist', 'cli', 'main.js'), 'doctor'],
    limitS,
  );
  const told = tail.filter((line) => /attention on|parity on/.test(line));
  return [...told.map((line) => line.replace(/^ok +/, '')), `${seconds.toFixed(0)} s`];
}
