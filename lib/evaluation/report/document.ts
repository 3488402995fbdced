/** A report before it is Markdown or HTML: the same blocks become both. All text is plain and escaped on the way out. */
import type { ChartSpec } from './charts/theme.js';

export interface TableColumn {
  readonly title: string;
  /** Numbers stand to the right. @default false */
  readonly isNumeric?: boolean;
}

/** Columns of numbers. */
export function numeric(...titles: readonly string[]): TableColumn[] {
  return titles.map((title) => ({ title, isNumeric: true }));
}

export interface TableRow {
  readonly cells: readonly string[];
  /** Shown paler: too little data to rest on. @default false */
  readonly isMuted?: boolean;
}

type TextBlock =
  | { readonly kind: 'heading'; readonly level: 2 | 3 | 4; readonly text: string }
  | { readonly kind: 'paragraph'; readonly text: string }
  | { readonly kind: 'warning'; readonly text: string }
  | { readonly kind: 'list'; readonly items: readonly string[] }
  | {
      readonly kind: 'table';
      readonly columns: readonly TableColumn[];
      readonly rows: readonly TableRow[];
      /** Folded away in HTML until the reader asks for it. @default always shown */
      readonly summary?: string;
    };

interface Figure {
  readonly kind: 'figure';
  /** Of its file in plots/, without the ending: letters, digits, `-`. */
  readonly name: string;
  /** What it shows, for those who do not see it. */
  readonly alt: string;
  readonly caption: string;
}

export type Block = TextBlock | (Figure & { readonly spec: ChartSpec });
export type TableBlock = Extract<Block, { readonly kind: 'table' }>;
/** With its plots drawn. */
export type DrawnBlock = TextBlock | (Figure & { readonly svg: string });

/** A table's cells under a row of its titles, or of those of its columns that are named. */
export function cellsOf(
  { columns, rows }: TableBlock,
  titles: readonly string[] = columns.map(({ title }) => title),
): string[][] {
  const places = columns.flatMap(({ title }, i) => (titles.includes(title) ? [i] : []));
  const all = [columns.map(({ title }) => title), ...rows.map(({ cells }) => cells)];
  return all.map((cells) => places.map((i) => cells[i] ?? ''));
}

export interface ReportDocument<B = Block> {
  readonly title: string;
  readonly blocks: readonly B[];
}
export type DrawnDocument = ReportDocument<DrawnBlock>;
