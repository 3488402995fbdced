/** Patterns of file names as `hf download --include` takes them: Python's fnmatch, whose `*` crosses folders. */

/** `*`, `?`, `[a-z]`, `[!a-z]`; a folder's name with a slash at its end means all that is in it. */
export function matcherOf(pattern: string): (path: string) => boolean {
  const whole = pattern.endsWith('/') ? `${pattern}*` : pattern;
  let source = '';
  for (let at = 0; at < whole.length; at++) {
    const letter = whole[at] ?? '';
    if (letter === '*') source += '.*';
    else if (letter === '?') source += '.';
    else if (letter === '[') {
      // A bracket right behind the opening one, or behind its exclamation mark, stands for itself.
      const begin = at + (whole[at + 1] === '!' ? 2 : 1);
      const end = whole.indexOf(']', begin + 1);
      if (end === -1) {
        source += '\\[';
        continue;
      }
      const members = whole.slice(begin, end).replace(/[\\\]^[]/g, '\\$&');
      source += `[${begin === at + 2 ? '^' : ''}${members}]`;
      at = end;
    } else source += letter.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  }
  const expression = new RegExp(`^${source}$`, 's');
  return (path) => expression.test(path);
}

/** Whether a path matches one of the patterns; without any, all do. */
export function selects(patterns: readonly string[] | undefined): (path: string) => boolean {
  if (patterns === undefined || patterns.length === 0) return () => true;
  const matchers = patterns.map(matcherOf);
  return (path) => matchers.some((matches) => matches(path));
}
