/** The words that every room's messages share: what came instead, and what was probably meant. */

/** "received …" with the value as JSON, cut to a readable length. */
export function received(value: unknown): string {
  if (value === undefined) return 'but it is missing';
  const text = written(value);
  return `received ${text.length > 80 ? `${text.slice(0, 80)}…` : text}`;
}

function written(value: unknown): string {
  // JSON has no NaN, and makes a list of a million numbers of a picture's bytes.
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} of ${value.byteLength} bytes`;
  try {
    // undefined for what JSON has no word for, such as functions.
    return JSON.stringify(value) ?? typeof value;
  } catch {
    return typeof value; // holds itself, or a bigint
  }
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

/** Characters that a word processor, spreadsheet or web page puts where plain text has a space, a hyphen or nothing. */
const LOOKALIKES: Readonly<Record<string, readonly [name: string, plain: string]>> = {
  '\u00a0': ['a no-break space', ' '],
  '\u202f': ['a narrow no-break space', ' '],
  '\u2007': ['a figure space', ' '],
  '\u3000': ['an ideographic space', ' '],
  '\u00ad': ['a soft hyphen', ''],
  '\u200b': ['a zero-width space', ''],
  '\u200e': ['a left-to-right mark', ''],
  '\ufeff': ['a byte order mark', ''],
  '\u2010': ['a typographic hyphen', '-'],
  '\u2011': ['a no-break hyphen', '-'],
  '\u2013': ['an en dash', '-'],
  '\u2212': ['a minus sign', '-'],
};

/** The word with plain characters only, and what stood in their place: "a no-break space (U+00A0)". */
export function withoutLookalikes(word: string): {
  readonly plain: string;
  readonly found: readonly string[];
} {
  const found = new Set<string>();
  const plain = Array.from(word, (letter) => {
    const [name, replacement] = LOOKALIKES[letter] ?? [];
    if (name === undefined || replacement === undefined) return letter;
    const code = letter.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
    found.add(`${name} (U+${code})`);
    return replacement;
  });
  return { plain: plain.join(''), found: [...found] };
}

/**
 * "did you mean …?" with the nearest known word, or all known words if none is near. A word that differs from a known
 * one only by characters that look alike on the screen is told apart by their names.
 */
export function didYouMean(word: string, known: readonly string[]): string {
  const { plain, found } = withoutLookalikes(word.slice(0, 64));
  const meant = found.length === 0 ? undefined : known.find((one) => one === plain);
  if (meant !== undefined) {
    return `it holds ${found.join(' and ')}; write ${meant} with plain characters`;
  }
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
