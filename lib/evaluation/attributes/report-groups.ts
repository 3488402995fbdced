/** The part of the fairness report that tells groups apart: gaps, plots and tables. */
import { groupingBy, groupingTitles, groupRows } from '../paired/groups.js';
import { gapTable, groupFigure } from '../paired/report.js';
import { type Block, numeric } from '../report/document.js';
import { formatEstimate } from '../report/numbers.js';
import type { AttributeAnalysis, Reading, Score } from './analysis.js';
import { FIGURE_NAMES, FIGURE_TITLES, type FigureName, type Figures } from './figures.js';
import type { Grouping } from './groupings.js';

/** More would be a plot that nobody reads; the table has them all. */
const MAX_GROUPS_DRAWN = 40;
/** Longer tables are folded away in HTML. */
const MAX_ROWS_OPEN = 30;

export const READING_TITLES: Readonly<Record<Reading, string>> = {
  probability: 'choice probabilities',
  text: 'generated text',
};

/**
 * The figures that exist for an attribute: nearness where choices have an order, ECE where there are probabilities, and calibrated
 * ones.
 */
export function figuresIn({ isOrdinal, scores }: AttributeAnalysis): FigureName[] {
  const exists: Partial<Record<FigureName, boolean>> = {
    withinOneBin: isOrdinal,
    ece: scores.some(({ reading }) => reading === 'probability'),
    calibratedEce: scores.some(({ overall }) => overall.calibratedEce !== undefined),
  };
  return FIGURE_NAMES.filter((name) => exists[name] ?? true);
}

export function figureCells(names: readonly FigureName[], figures: Figures): string[] {
  return names.map((name) => formatEstimate(figures[name]));
}

export function scoresOf({ scores }: AttributeAnalysis, reading: Reading): readonly Score[] {
  return scores.filter((score) => score.reading === reading);
}

function gapTables(
  scores: readonly Score[],
  groupings: readonly string[],
  names: readonly FigureName[],
): Block[] {
  const rows = groupings.flatMap((title) =>
    scores.flatMap((score) => {
      const gaps = groupingBy(score, title)?.gaps ?? {};
      return names.flatMap((name) => {
        const gap = gaps[name];
        const cells = [title, READING_TITLES[score.reading], score.model, FIGURE_TITLES[name]];
        return gap === undefined ? [] : [[cells, gap] as const];
      });
    }),
  );
  if (rows.length === 0) return [];
  const titles = ['groups', 'read from', 'model', 'figure'];
  const ofAccuracy = rows.filter(([cells]) => cells[3] === FIGURE_TITLES.accuracy);
  return [
    gapTable(titles, ofAccuracy),
    gapTable(titles, rows, `Gaps of all figures (${rows.length} rows)`),
  ];
}

function groupTable(title: string, scores: readonly Score[], names: readonly FigureName[]): Block {
  const rows = groupRows(scores, title, ({ name, isSmall, figures }, { reading, model }) => [
    ...[name, READING_TITLES[reading], model],
    isSmall ? `${figures.count} (small)` : String(figures.count),
    ...figureCells(names, figures),
    String(figures.unread),
  ]);
  return {
    kind: 'table',
    columns: [
      ...[{ title }, { title: 'read from' }, { title: 'model' }],
      ...numeric('n', ...names.map((name) => FIGURE_TITLES[name]), 'unread'),
    ],
    rows,
    ...(rows.length > MAX_ROWS_OPEN && { summary: `All ${rows.length} rows by ${title}` }),
  };
}

/**
 * Names of the groups to draw: all, or of very many those that are not small and serve somebody worst, by the lowest
 * accuracy of any model.
 */
function groupsToDraw(groupings: readonly Grouping[]): ReadonlySet<string> {
  const groups = groupings[0]?.groups ?? [];
  if (groups.length <= MAX_GROUPS_DRAWN) return new Set(groups.map(({ name }) => name));
  const lowest = (place: number): number =>
    Math.min(...groupings.map((one) => one.groups[place]?.figures.accuracy?.value ?? 1));
  const ranked = groups
    .map(({ name, isSmall }, place) => ({ name, isSmall, value: lowest(place) }))
    .filter(({ isSmall }) => !isSmall)
    .sort((a, b) => a.value - b.value);
  return new Set(ranked.slice(0, MAX_GROUPS_DRAWN).map(({ name }) => name));
}

function accuracyFigure(
  attribute: AttributeAnalysis,
  title: string,
  scores: readonly Score[],
): Block[] {
  const found = scores.flatMap((score) => {
    const grouping = groupingBy(score, title);
    return grouping === undefined ? [] : [{ model: score.model, grouping }];
  });
  const shown = groupsToDraw(found.map(({ grouping }) => grouping));
  const count = found[0]?.grouping.groups.length ?? 0;
  const points = found.flatMap(({ model, grouping }) =>
    grouping.groups.flatMap(({ name, isSmall, figures }) => {
      if (!shown.has(name) || figures.accuracy === undefined) return [];
      return [{ group: name, model, count: figures.count, isSmall, ...figures.accuracy }];
    }),
  );
  const reading = scores[0]?.reading;
  if (reading === undefined) return [];
  const overall = scores.flatMap(({ model, overall: { accuracy } }) =>
    accuracy === undefined ? [] : [{ model, value: accuracy.value }],
  );
  const models = scores.map(({ model }) => model);
  const cut =
    shown.size < count
      ? `Of ${count} groups the ${shown.size} in which a model is least accurate, small ones left out.`
      : 'Pale and hollow: small groups.';
  const file = title.replaceAll(' × ', '-x-').replaceAll(/[^\p{L}\p{N}-]+/gu, '-');
  return groupFigure({
    ...{ points, models, overall, title: 'accuracy', name: `${attribute.name}-by-${file}` },
    alt: `Accuracy of ${attribute.name} by ${title}, with intervals`,
    caption: `Accuracy from ${READING_TITLES[reading]} by ${title} with Wilson intervals; dashed: all pictures. ${cut}`,
  });
}

/** All groupings of one attribute; plots are of choice probabilities, where there are some. */
export function groupBlocks(attribute: AttributeAnalysis, smallGroup: number): Block[] {
  const names = figuresIn(attribute);
  const { scores } = attribute;
  const titles = groupingTitles(scores);
  if (titles.length === 0) return [];
  const byProbability = scoresOf(attribute, 'probability');
  const drawn = byProbability.length > 0 ? byProbability : scoresOf(attribute, 'text');
  const blocks: Block[] = [{ kind: 'heading', level: 3, text: `${attribute.name} by group` }];
  const gaps = gapTables(scores, titles, names);
  if (gaps.length > 0) {
    const text = `Largest gaps between groups of at least ${smallGroup} pictures. Among many groups the largest gap is large by chance alone: look at the intervals.`;
    blocks.push({ kind: 'paragraph', text }, ...gaps);
  }
  blocks.push(...titles.flatMap((title) => accuracyFigure(attribute, title, drawn)));
  for (const title of titles) {
    const unknown = groupingBy(scores[0], title)?.unknown ?? 0;
    blocks.push({ kind: 'heading', level: 4, text: `By ${title}` });
    if (unknown > 0) {
      const text = `Not in this table: ${unknown} picture(s) whose ${title} is not known.`;
      blocks.push({ kind: 'paragraph', text });
    }
    blocks.push(groupTable(title, scores, names));
  }
  return blocks;
}
