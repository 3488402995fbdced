/** The rules of docs/architecture.md, each a list of what breaks it. A tree is a map of lib/ or native/. */
import { circles } from './circles.mjs';
import { reached } from './files.mjs';

/** @typedef {ReadonlyMap<string, import('./files.mjs').Source>} Tree */

/** A file directly in lib/ or native/ is in no room. @param {string} path */
const roomOf = (path) => (path.includes('/') ? path.split('/')[0] : undefined);

/**
 * Rooms reach only for the rooms that the plan gives them, and for files that exist.
 *
 * @param {Tree} tree @param {string} folder @param {Record<string, readonly string[]>} plan
 */
export function wrongArrows(tree, folder, plan) {
  const problems = new Set();
  for (const [path, { targets }] of tree) {
    for (const target of targets) {
      if (!tree.has(target)) problems.add(`${folder}/${path} names ${target}, which is not there`);
    }
    const room = roomOf(path);
    if (room === undefined) continue;
    const allowed = plan[room];
    if (allowed === undefined) {
      problems.add(`${folder}/${room} is not in the plan`);
      continue;
    }
    for (const target of targets.map(roomOf)) {
      if (target === undefined || target === room || allowed.includes(target)) continue;
      const may = allowed.join(', ') || 'nothing';
      problems.add(`${folder}/${path} reaches for ${target}; ${room} may use ${may}`);
    }
  }
  for (const room of Object.keys(plan)) {
    if (![...tree.keys()].some((path) => roomOf(path) === room)) {
      problems.add(`${folder}/${room} is in the plan and does not exist`);
    }
  }
  for (const circle of circles(new Map(Object.entries(plan)))) {
    problems.add(`the plan of ${folder} goes round in a circle: ${circle.join(' -> ')}`);
  }
  return [...problems];
}

/**
 * No file reaches itself. `known` holds the circles that wait to be mended, each as its line here says it.
 *
 * @param {Tree} tree @param {string} folder @param {readonly string[]} known
 */
export function fileCircles(tree, folder, known = []) {
  const graph = new Map([...tree].map(([path, { targets }]) => [path, targets]));
  const found = circles(graph).map((circle) => circle.join(' -> '));
  return [
    ...found
      .filter((circle) => !known.includes(circle))
      .map((circle) => `files of ${folder} reach for each other in a circle: ${circle}`),
    ...known
      .filter((circle) => !found.includes(circle))
      .map((circle) => `mended, so take it off the known circles of ${folder}: ${circle}`),
  ];
}

/** Headers of libtorch and CUDA. */
const TORCH = /^(torch|ATen|c10|caffe2)\/|^cuda/;
const NODE = /^(napi|node_api|node|uv|v8)\b.*\.h$/;

/**
 * Files that must include no header of libtorch, directly or through another: `named` ones, the addon's, and
 * all whose opening comment says so.
 *
 * @param {Tree} tree @param {readonly string[]} named
 */
export function torchInTorchFree(tree, named) {
  const problems = named
    .filter((path) => !tree.has(path))
    .map((path) => `native/${path} should be free of torch and does not exist`);
  for (const [path, { text }] of tree) {
    const opening = /^(\/\/.*\n)*/.exec(text)?.[0].replaceAll(/\n\/\/\s*/g, ' ') ?? '';
    const isFree =
      path.startsWith('binding/') ||
      named.includes(path) ||
      /torch-free|no torch header/i.test(opening);
    if (isFree) problems.push(...includedAnyway(tree, path, TORCH, 'is to be free of torch'));
  }
  return problems;
}

/** Node's headers stay in native/binding. @param {Tree} tree */
export const nodeOutsideBinding = (tree) =>
  [...tree.keys()]
    .filter((path) => !path.startsWith('binding/'))
    .flatMap((path) => includedAnyway(tree, path, NODE, 'is to know nothing of Node'));

/** @param {Tree} tree @param {string} path @param {RegExp} header @param {string} why */
function includedAnyway(tree, path, header, why) {
  for (const [at, way] of reached(tree, path)) {
    const included = tree.get(at)?.outside.find((name) => header.test(name));
    if (included !== undefined) {
      return [`native/${path} ${why} and includes <${included}>: ${way.join(' -> ')}`];
    }
  }
  return [];
}

/** Only lib/binding/load.ts loads the addon. @param {Tree} tree */
export const loadersOfNativeCode = (tree) =>
  [...tree]
    .filter(
      ([path, { text }]) =>
        path !== 'binding/load.ts' && /createRequire|process\.dlopen/.test(text),
    )
    .map(([path]) => `lib/${path} loads native code; only lib/binding/load.ts may`);
