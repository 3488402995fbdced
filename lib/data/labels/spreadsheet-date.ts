/** Labels such as 3-9 and 10-19 that a spreadsheet has taken for days of a month. */

const MONTHS = [
  ...['jan', 'feb', 'mar', 'apr', 'may', 'jun'],
  ...['jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
];

/** `Mar` and `3`, as numbers; undefined for other words. */
function numberOf(word: string): number | undefined {
  if (/^\d{1,4}$/.test(word)) return Number(word);
  const month = /^[a-z]{3,9}$/.test(word) ? MONTHS.indexOf(word.slice(0, 3)) : -1;
  return month === -1 ? undefined : month + 1;
}

/**
 * The range that was probably written before a spreadsheet made a date of it: 3-9 for `9-Mar`, `Mar-09`,
 * `2026-03-09` and `3/9/2026`; undefined for anything else.
 */
export function rangeOfDate(cell: string, known: readonly string[]): string | undefined {
  const words = cell
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');
  const hasMonth = words.some((word) => /^[a-z]/.test(word));
  if (words.length !== 3 && !(words.length === 2 && hasMonth)) return undefined;
  const numbers = words.map(numberOf);
  return known.find((value) => {
    const [, low, high] = /^(\d+)-(\d+)$/.exec(value) ?? [];
    if (low === undefined || high === undefined || Number(low) > 12) return false;
    return numbers.includes(Number(low)) && numbers.includes(Number(high));
  });
}
