/** Circles in a graph of files: each file with those that it reaches for. */

/** @typedef {ReadonlyMap<string, readonly string[]>} Graph */

/**
 * The shortest way from one of `starts` to `goal`, both ends included.
 *
 * @param {Graph} graph @param {string} start @param {string} goal
 * @returns {string[] | undefined} undefined: there is none
 */
function shortestWay(graph, start, goal) {
  /** @type {Map<string, string | undefined>} */
  const from = new Map([[start, undefined]]);
  for (const file of from.keys()) {
    if (file === goal) {
      const way = [];
      for (let at = /** @type {string | undefined} */ (file); at !== undefined; at = from.get(at)) {
        way.unshift(at);
      }
      return way;
    }
    for (const next of graph.get(file) ?? []) if (!from.has(next)) from.set(next, file);
  }
  return undefined;
}

/**
 * For every arrow that is part of a circle, the shortest circle through it; each circle once, begun at
 * the first of its names.
 *
 * @param {Graph} graph
 * @returns {string[][]}
 */
export function circles(graph) {
  /** @type {Map<string, string[]>} */
  const found = new Map();
  for (const [file, targets] of graph) {
    for (const target of targets) {
      const way = shortestWay(graph, target, file);
      if (way === undefined) continue;
      const first = way.indexOf([...way].sort()[0] ?? '');
      const circle = [...way.slice(first), ...way.slice(0, first)];
      found.set(circle.join(' '), circle);
    }
  }
  return [...found.values()].sort((a, b) => (a.join(' ') < b.join(' ') ? -1 : 1));
}
