/** How figures are written in tables and files. */

/** A share with three decimals, or a dash where there is none. */
export function formatShare(value: number | undefined): string {
  return value === undefined ? '–' : value.toFixed(3);
}

/** "0.912 (0.874–0.940)", or without the brackets where there is no interval. */
export function formatEstimate(
  estimate: { readonly value: number; readonly low?: number; readonly high?: number } | undefined,
): string {
  const { value, low, high } = estimate ?? {};
  if (low === undefined || high === undefined) return formatShare(value);
  return `${formatShare(value)} (${formatShare(low)}–${formatShare(high)})`;
}

/** "+0.031". */
export function formatDifference(value: number): string {
  const text = value.toFixed(3);
  return value > 0 ? `+${text}` : text.replace('-', '−');
}

/** "0.032", "< 0.001". */
export function formatPValue(value: number): string {
  return value < 0.001 ? '< 0.001' : value.toFixed(3);
}

/** Six significant digits: more is noise, and differs between processors' libraries. Undefined of what is not finite. */
export function rounded(value: number | undefined): number | undefined {
  return value !== undefined && Number.isFinite(value) ? Number(value.toPrecision(6)) : undefined;
}

/** JSON with every number {@link rounded}; infinite ones, which JSON has not, become null. */
export function roundedJson(value: unknown): string {
  const round = (_: string, item: unknown): unknown =>
    typeof item === 'number' ? (rounded(item) ?? null) : item;
  return `${JSON.stringify(value, round, 2)}\n`;
}
