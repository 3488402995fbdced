/** Figures of each group of pictures, and how far apart groups are. */
import { type Gap, largestGap } from '../metrics/groups.js';
import type { AttributeDefinition } from '../labels/definition.js';
import { type GroupColumn, groupItems } from '../paired/groups.js';
import type { PairedOptions } from '../paired/report.js';
import {
  FIGURE_NAMES,
  type FigureName,
  type Figures,
  figuresOf,
  type ScoredAnswer,
} from './figures.js';

export interface GroupFigures {
  /** Values of the grouping's columns, in their order. */
  readonly values: readonly string[];
  /** The values, joined. */
  readonly name: string;
  readonly isSmall: boolean;
  readonly figures: Figures;
}

export interface Grouping {
  /** Columns: `['race']`, `['race', 'gender', 'age']`. */
  readonly by: readonly string[];
  /** Pictures of which one of them is not known. */
  readonly unknown: number;
  readonly groups: readonly GroupFigures[];
  /** Largest difference between two groups that are not small. */
  readonly gaps: Readonly<Partial<Record<FigureName, Gap | undefined>>>;
}

function groupingOf(
  by: readonly GroupColumn[],
  answers: readonly ScoredAnswer[],
  definition: AttributeDefinition,
  smallGroup: number,
): Grouping {
  const { groups: known, unknown } = groupItems(answers, by);
  const groups = known.map(({ values, name, items }) => ({
    values,
    name,
    isSmall: items.length < smallGroup,
    figures: figuresOf(items, definition),
  }));
  const gaps = FIGURE_NAMES.map((figure) => {
    return [figure, largestGap(groups, ({ figures }) => figures[figure]?.value)] as const;
  });
  return { by: by.map(({ name }) => name), unknown, groups, gaps: Object.fromEntries(gaps) };
}

/** Each column alone, and all of them crossed; groupings without a picture are left out. */
export function groupingsOf(
  answers: readonly ScoredAnswer[],
  definition: AttributeDefinition,
  { groups, smallGroup }: Pick<PairedOptions, 'groups' | 'smallGroup'>,
): readonly Grouping[] {
  const sets = [...groups.map((group) => [group]), ...(groups.length > 1 ? [groups] : [])];
  return sets
    .map((by) => groupingOf(by, answers, definition, smallGroup))
    .filter((grouping) => grouping.groups.length > 0);
}
