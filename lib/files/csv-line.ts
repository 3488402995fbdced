/**
 * A line of CSV (RFC 4180). A text that a spreadsheet would take for a formula gets an apostrophe: names of files are
 * anybody's. Numbers written as texts do not.
 *
 * @param isRaw no apostrophes: for programs, which take texts as they are
 */
export function csvLine(
  cells: readonly (string | number | null)[],
  { isRaw = false }: { readonly isRaw?: boolean | undefined } = {},
): string {
  const written = cells.map((cell) => {
    if (typeof cell !== 'string') return cell === null ? '' : String(cell);
    const isFormula = !isRaw && /^[=+\-@\t\r]/.test(cell) && !/^-?\d+(?:\.\d+)?$/.test(cell);
    const text = isFormula ? `'${cell}` : cell;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  });
  return `${written.join(',')}\r\n`;
}
