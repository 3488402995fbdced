/** Words and cells that all tables of the fairness report share. */
import { formatEstimate } from '../report/numbers.js';
import type { AttributeAnalysis, Reading, Score } from './analysis.js';
import { FIGURE_NAMES, type FigureName, type Figures } from './figures.js';

export const READING_TITLES: Readonly<Record<Reading, string>> = {
  probability: 'choice probabilities',
  text: 'generated text',
};

/** The figures that exist for an attribute: nearness where choices have an order, ECE where there are probabilities. */
export function figuresIn({ isOrdinal, scores }: AttributeAnalysis): FigureName[] {
  const hasProbabilities = scores.some(({ reading }) => reading === 'probability');
  return FIGURE_NAMES.filter(
    (name) => (name !== 'withinOneBin' || isOrdinal) && (name !== 'ece' || hasProbabilities),
  );
}

export function figureCells(names: readonly FigureName[], figures: Figures): string[] {
  return names.map((name) => formatEstimate(figures[name]));
}

export function scoresOf({ scores }: AttributeAnalysis, reading: Reading): readonly Score[] {
  return scores.filter((score) => score.reading === reading);
}
