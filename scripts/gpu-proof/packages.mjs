/** Which of node_modules a set of packages needs, by npm's own record of what it installed. */

/**
 * @typedef {object} Installed
 * @property {Record<string, string>} [dependencies]
 * @property {Record<string, string>} [optionalDependencies]
 */

/**
 * Where node would find `name` from inside the package at `from` ('' is the project).
 *
 * @param {Record<string, Installed>} packages @param {string} from @param {string} name
 */
function resolve(packages, from, name) {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    const path = `${at === '' ? '' : `${at}/`}node_modules/${name}`;
    if (path in packages) return path;
    if (at === '' || !at.includes('node_modules/')) return undefined;
    if (!at.includes('/node_modules/')) at = '';
  }
}

/**
 * Folders of the packages and of all that they depend on; optional ones where they are there.
 *
 * @param {Record<string, Installed>} packages of node_modules/.package-lock.json
 * @param {readonly string[]} roots
 * @returns {string[]}
 */
export function closure(packages, roots) {
  const found = new Set();
  const wanted = roots.map((name) => ['', name, true]);
  for (let next = wanted.pop(); next; next = wanted.pop()) {
    const [from, name, isNeeded] = /** @type {[string, string, boolean]} */ (next);
    const path = resolve(packages, from, name);
    if (path === undefined) {
      if (isNeeded)
        throw new Error(`${from || 'the project'} needs ${name}, which is not installed`);
      continue;
    }
    if (found.has(path)) continue;
    found.add(path);
    const { dependencies = {}, optionalDependencies = {} } = packages[path] ?? {};
    for (const one of Object.keys(dependencies))
      wanted.push([path, one, !(one in optionalDependencies)]);
    for (const one of Object.keys(optionalDependencies)) wanted.push([path, one, false]);
  }
  return [...found].sort();
}
