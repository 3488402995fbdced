/** Shares as bars, with the numbers that they stand for. */

export interface Bar {
  readonly label: string;
  readonly probability: number;
  readonly logprob: number;
  readonly isBest: boolean;
}

export const percent = (share: number): string =>
  share >= 0.0005 || share === 0 ? `${(100 * share).toFixed(1)} %` : '< 0.1 %';

export function Bars({
  bars,
  caption,
}: {
  readonly bars: readonly Bar[];
  readonly caption: string;
}) {
  return (
    <table class="bars">
      <caption>{caption}</caption>
      <tbody>
        {bars.map(({ label, probability, logprob, isBest }) => (
          <tr class={isBest ? 'best' : ''}>
            <th scope="row">{label}</th>
            <td class="bar">
              <meter min={0} max={1} value={probability} aria-label={`share of ${label}`} />
            </td>
            <td class="number">{percent(probability)}</td>
            <td class="number" title="log-probability">
              {logprob.toFixed(2)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
