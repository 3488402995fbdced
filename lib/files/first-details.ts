/** A faulty generator can spoil every record of a file; nobody reads further than this. */
const MOST = 1000;

/** The first thousand details of an error, and how many more there are. */
export function firstDetails(details: readonly string[]): readonly string[] {
  const rest = details.length - MOST;
  return rest > 0 ? [...details.slice(0, MOST), `and ${rest} more`] : details;
}
