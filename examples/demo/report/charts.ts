/** The three plots: what was learnt when, how far probabilities can be trusted, who is served how well. */
import type { AttributeFigures, GroupFigures, LossPoint, ReliabilityBin } from '../figures.js';
import type { Html } from './markup.js';
import { type Frame, label, line, linear, path, svg, ticks } from './plot.js';

/** The moving average of training_loss.png: the more points, the smoother, up to a weight of 0.9 on the past. */
export function smoothed(points: readonly LossPoint[]): LossPoint[] {
  const weight = 1.8 * (1 / (1 + Math.exp(-0.05 * points.length)) - 0.5);
  let last = points[0]?.loss ?? 0;
  return points.map(({ step, loss }) => {
    last = weight * last + (1 - weight) * loss;
    return { step, loss: last };
  });
}

/** Where a loss of 0 would be drawn. */
const LEAST_LOSS = 1e-4;

/** On a logarithmic axis: what matters happens where the loss is already small. */
export function lossChart(points: readonly LossPoint[]): Html {
  const [width, height] = [1040, 300];
  const frame: Frame = { left: 52, top: 14, width: width - 68, height: height - 56 };
  const [right, bottom] = [frame.left + frame.width, frame.top + frame.height];
  const height10 = (loss: number): number => Math.log10(Math.max(loss, LEAST_LOSS));
  const average = smoothed(points);
  const heights = points.map(({ loss }) => height10(loss));
  const domain = [Math.min(...heights, -0.5), Math.max(...heights, 0.5)] as const;
  const lastStep = points.at(-1)?.step ?? 1;
  const x = linear([points[0]?.step ?? 0, lastStep], [frame.left, right]);
  const y = linear(domain, [bottom, frame.top]);
  const curve = (all: readonly LossPoint[], name: string): string =>
    path(
      all.map(({ step, loss }) => [x(step), y(height10(loss))] as const),
      name,
    );
  const marks = [-4, -3, -2, -1, 0, 1, 2]
    .flatMap((power) => [1, 3].map((digit) => digit * 10 ** power))
    .filter((loss) => height10(loss) >= domain[0] && height10(loss) <= domain[1]);
  const [from, to] = [points[0]?.loss ?? 0, average.at(-1)?.loss ?? 0];
  const alt = `Loss over ${lastStep} updates: from ${from.toFixed(2)} to ${to.toFixed(2)}`;
  return svg(width, height, alt, [
    ...marks.flatMap((loss) => [
      line(frame.left, y(height10(loss)), right, y(height10(loss)), 'grid'),
      label(
        frame.left - 8,
        y(height10(loss)) + 4,
        `${Number(loss.toPrecision(1))}`,
        'end',
        'faint',
      ),
    ]),
    ...ticks(lastStep, 6)
      .filter((step) => x(step) >= frame.left)
      .map((step) => label(x(step), bottom + 18, String(step), 'middle', 'faint')),
    line(frame.left, bottom, right, bottom, 'axis'),
    label(right, bottom + 36, 'updates', 'end', 'faint'),
    curve(points, 'raw'),
    curve(average, 'smooth'),
  ]);
}

function reliabilityPanel(
  { attribute, ece, reliability }: AttributeFigures,
  left: number,
): readonly string[] {
  const frame: Frame = { left: left + 46, top: 40, width: 250, height: 250 };
  const x = linear([0, 1], [frame.left, frame.left + frame.width]);
  const y = linear([0, 1], [frame.top + frame.height, frame.top]);
  const bottom = frame.top + frame.height;
  const bar = ({ low, high, count, accuracy }: ReliabilityBin): string => {
    if (count === 0 || accuracy === null) return '';
    const [from, to, top] = [x(low) + 1, x(high) - 1, y(accuracy)];
    // A bar of nothing would look like an empty bin.
    const height = Math.max(bottom - top, 2);
    return `<rect class="fill" x="${from.toFixed(1)}" y="${(bottom - height).toFixed(1)}" width="${(to - from).toFixed(1)}" height="${height.toFixed(1)}"/>${label((from + to) / 2, top - 5, String(count), 'middle', 'faint')}`;
  };
  return [
    label(frame.left, 16, `${attribute}: off by ${ece.toFixed(2)} on average`, 'start', 'title'),
    ...[0, 0.5, 1].flatMap((value) => [
      line(frame.left, y(value), frame.left + frame.width, y(value), 'grid'),
      label(frame.left - 6, y(value) + 4, `${value * 100} %`, 'end', 'faint'),
      label(x(value), bottom + 17, `${value * 100} %`, 'middle', 'faint'),
    ]),
    ...reliability.map(bar),
    line(x(0), y(0), x(1), y(1), 'guide'),
    line(frame.left, bottom, frame.left + frame.width, bottom, 'axis'),
    label(
      frame.left + frame.width / 2,
      bottom + 35,
      'probability of the answer',
      'middle',
      'faint',
    ),
  ];
}

/** Share right among answers of like probability; on the diagonal, probabilities can be taken at their word. */
export function reliabilityChart(figures: readonly AttributeFigures[]): Html {
  const panel = 345;
  const told = figures.map(({ attribute, ece }) => `${attribute} ${ece.toFixed(3)}`).join(', ');
  return svg(
    panel * figures.length,
    336,
    `Reliability diagrams; expected calibration error: ${told}`,
    figures.flatMap((one, i) => reliabilityPanel(one, panel * i)),
  );
}

const ROW = 21;
const KIND_GAP = 10;

/** Rows of a group plot with their places from the top. */
function placed(groups: readonly GroupFigures[]): { readonly group: GroupFigures; y: number }[] {
  let y = 34;
  return groups.map((group, i) => {
    if (i > 0) y += ROW + (groups[i - 1]?.by === group.by ? 0 : KIND_GAP);
    return { group, y };
  });
}

/** Share right of each group with its 95 % interval, of one attribute. */
export function groupChart({ attribute, groups }: AttributeFigures): Html {
  const rows = placed(groups);
  const [width, left, right] = [360, 118, 300];
  const height = (rows.at(-1)?.y ?? 34) + 40;
  const x = linear([0, 1], [left, right]);
  const told = groups.map(
    ({ by, group, accuracy, pictures }) =>
      `${by} ${group} ${accuracy.value.toFixed(2)} of ${pictures}`,
  );
  return svg(width, height, `Share right on ${attribute} by group: ${told.join('; ')}`, [
    label(0, 14, attribute, 'start', 'title'),
    label(width, 14, 'pictures', 'end', 'faint'),
    ...[0, 0.5, 1].flatMap((value) => [
      line(x(value), 22, x(value), height - 28, 'grid'),
      label(x(value), height - 12, `${value * 100} %`, 'middle', 'faint'),
    ]),
    ...rows.flatMap(({ group: { group, accuracy, pictures }, y }) => [
      label(left - 12, y + 4, group, 'end'),
      line(x(accuracy.low ?? accuracy.value), y, x(accuracy.high ?? accuracy.value), y, 'interval'),
      `<circle class="dot" cx="${x(accuracy.value).toFixed(1)}" cy="${y}" r="5"/>`,
      label(width, y + 4, String(pictures), 'end', 'faint'),
    ]),
  ]);
}
