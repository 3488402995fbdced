/** The words that every room's messages share: what came instead, and what was probably meant. */

/** "received …" with the value as JSON, cut to a readable length. */
export function received(value: unknown): string {
  if (value === undefined) return 'but it is missing';
  // undefined for what JSON has no word for, such as functions.
  const text = (JSON.stringify(value) as string | undefined) ?? typeof value;
  return `received ${text.length > 80 ? `${text.slice(0, 80)}…` : text}`;
}

/** Levenshtein distance: how many letters to insert, delete or replace. */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/** "did you mean …?" with the nearest known word, or all known words if none is near. */
export function didYouMean(word: string, known: readonly string[]): string {
  // A typo is short; cutting keeps a hostile key of megabytes from costing seconds.
  const typed = word.slice(0, 64).toLowerCase();
  const ranked = known
    .map((candidate) => ({ candidate, steps: distance(typed, candidate.toLowerCase()) }))
    .sort((a, b) => a.steps - b.steps);
  const best = ranked[0];
  if (best !== undefined && best.steps <= Math.max(2, typed.length * 0.4)) {
    return `did you mean ${best.candidate}?`;
  }
  return `known: ${known.join(', ')}`;
}
