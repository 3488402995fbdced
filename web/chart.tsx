/** Curves by uPlot, in the colours of the page, light and dark; a legend and the values under the pointer as text. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';

export interface Curve {
  readonly name: string;
  readonly values: readonly (number | null)[];
  /** Its colour and strokes: `.curve-LOOK` of the style sheet. */
  readonly look: 'first' | 'faint' | 'second' | 'third';
  readonly isDashed?: boolean;
  readonly hasPoints?: boolean;
}

interface ChartProps {
  /** What it shows, for whoever does not see it. */
  readonly label: string;
  readonly x: readonly number[];
  readonly curves: readonly Curve[];
  readonly height?: number;
  /** `x` is seconds since 1970, not a count. */
  readonly isTime?: boolean;
  /** What is not above zero has no place then, and is left out. */
  readonly isLog?: boolean;
  /** Charts of one group show the same place under the pointer. */
  readonly group?: string;
}

/** Few digits, whatever the size: 0.00015 is 1.5e-4, which an axis has room for. */
export const short = (value: number): string => {
  const rounded = Number(value.toPrecision(4));
  return rounded !== 0 && Math.abs(rounded) < 1e-3 ? rounded.toExponential() : String(rounded);
};

/** Changes with the colours of the page: a canvas keeps those that it was drawn in. */
function useScheme(): boolean {
  const [isDark, setDark] = useState(false);
  useEffect(() => {
    const query = matchMedia('(prefers-color-scheme: dark)');
    const look = (): void => setDark(query.matches);
    look();
    query.addEventListener('change', look);
    return () => query.removeEventListener('change', look);
  }, []);
  return isDark;
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- its enum has types and no values
const LOGARITHMIC: uPlot.Scale = { distr: 3 };

const positive = (values: readonly (number | null)[]): readonly (number | null)[] =>
  values.map((value) => (value !== null && value > 0 ? value : null));

export function Chart({
  label,
  x,
  curves,
  height = 190,
  isTime = false,
  isLog = false,
  group,
}: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const legend = useRef<HTMLUListElement>(null);
  const pointed = useRef<HTMLParagraphElement>(null);
  const chart = useRef<uPlot>(undefined);
  const isDark = useScheme();
  const shape = curves.map(({ name, look }) => `${look} ${name}`).join('\n');
  const data = useMemo(() => {
    const columns = curves.map(({ values }) => (isLog ? positive(values) : values));
    return [x, ...columns] as uPlot.AlignedData;
  }, [x, curves, isLog]);
  const drawn = useRef(data);

  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const { color, borderTopColor } = getComputedStyle(element);
    const axis = { stroke: color, grid: { stroke: borderTopColor, width: 1 }, size: 60 };
    const colours = [...(legend.current?.children ?? [])].map((one) => getComputedStyle(one).color);
    const tell = (plot: uPlot): void => {
      const at = plot.cursor.idx;
      if (pointed.current === null || isTime) return;
      const values = curves.flatMap(({ name }, i) => {
        const value = typeof at === 'number' ? plot.data[i + 1]?.[at] : undefined;
        return typeof value === 'number' ? [`${name} ${short(value)}`] : [];
      });
      const step = typeof at === 'number' ? plot.data[0][at] : undefined;
      pointed.current.textContent =
        values.length === 0 ? '\u00a0' : `update ${step ?? ''}: ${values.join(' · ')}`;
    };
    const plot = new uPlot(
      {
        ...{ width: Math.max(240, element.clientWidth), height, legend: { show: false } },
        scales: { x: { time: isTime }, ...(isLog && { y: LOGARITHMIC }) },
        axes: [
          { ...axis, size: 34 },
          {
            ...axis,
            values: (_, splits) => splits.map((value) => (value === null ? '' : short(value))),
          },
        ],
        cursor: group === undefined ? {} : { sync: { key: group } },
        hooks: { setCursor: [tell] },
        series: [
          {},
          ...curves.map(({ name, look, isDashed = false, hasPoints = false }, i) => ({
            ...{ label: name, stroke: colours[i] ?? color, spanGaps: true },
            width: look === 'faint' ? 1 : 2,
            ...(isDashed && { dash: [6, 4] }),
            points: { show: hasPoints },
          })),
        ],
      },
      data,
      element,
    );
    chart.current = plot;
    drawn.current = data;
    const resized = new ResizeObserver(() => {
      if (element.clientWidth > 0) plot.setSize({ width: element.clientWidth, height });
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      plot.destroy();
      chart.current = undefined;
    };
  }, [isDark, isLog, shape]);

  useEffect(() => {
    const plot = chart.current;
    const [shown] = drawn.current;
    if (plot === undefined || drawn.current.every((column, i) => column === data[i])) return;
    drawn.current = data;
    // Whoever has drawn a part nearer goes on looking at that part.
    const { min, max } = plot.scales['x'] ?? {};
    const isWhole = (min ?? null) === (shown[0] ?? null) && max === shown.at(-1);
    plot.setData(data, isWhole || shown.length < 2);
    if (!isWhole) plot.redraw();
  });

  return (
    <>
      <ul class="legend" ref={legend}>
        {curves.map(({ name, look, isDashed = false }) => (
          <li class={`curve-${look}${isDashed ? ' dashed' : ''}`}>{name}</li>
        ))}
      </ul>
      <div class="chart" ref={place} role="img" aria-label={label} />
      {!isTime && (
        <p class="facts" ref={pointed} aria-hidden="true">
          {'\u00a0'}
        </p>
      )}
    </>
  );
}
