/** Answers and labels to a temperature for each question, and to figures that no item's own label had a part in. */
import {
  type CalibratedQuestion,
  type CalibrationFile,
  type Change,
  crossFitted,
  fitTemperature,
  likelihoodLoss,
  sharesAt,
} from '../../calibration/index.js';
import { createError } from '../../errors.js';
import { calibration, type ReliabilityBin } from '../metrics/calibration.js';
import { compareNames, SMALL_GROUP } from '../metrics/groups.js';
import { groupItems } from '../paired/groups.js';
import type { EvaluationItem, ItemOutcome } from '../types.js';

/** A temperature of fewer labels is chance. */
const LEAST_ITEMS = SMALL_GROUP;

export interface FitOptions {
  readonly items: readonly EvaluationItem[];
  readonly outcomes: readonly ItemOutcome[];
  readonly folds: number;
  readonly seed: number;
  readonly smallGroup: number;
  /** What of a question stands in the file besides its text and answers. */
  readonly fieldOf: (attribute: string) => CalibratedQuestion['field'];
}

export interface FittedQuestion {
  readonly question: CalibratedQuestion;
  /** Of all items, with the model's own probabilities and with scaled ones. */
  readonly reliability: {
    readonly before: readonly ReliabilityBin[];
    readonly after: readonly ReliabilityBin[];
  };
}

interface Scored {
  readonly tags: Readonly<Record<string, string>>;
  readonly logProbs: readonly number[];
  readonly label: number;
  /** A picture's questions stay together. */
  readonly unit: string;
  /** That the item's own label had no part in. */
  readonly temperature: number;
}

const ATTRIBUTE = 'attribute';

/** @throws DataError FACELLM_CALIBRATION_INVALID listing questions with too few labels */
export function fitQuestions(options: FitOptions): readonly FittedQuestion[] {
  const byName = new Map<string, { item: EvaluationItem; outcome: ItemOutcome }[]>();
  options.items.forEach((item, i) => {
    const outcome = options.outcomes[i];
    const name = item.tags[ATTRIBUTE] ?? '';
    const known = byName.get(name) ?? [];
    byName.set(name, known);
    if (outcome?.probabilities !== undefined) known.push({ item, outcome });
  });
  const details = [...byName].flatMap(([name, { length }]) =>
    length >= LEAST_ITEMS
      ? []
      : [`${name}: ${length} labelled answers, expected at least ${LEAST_ITEMS}`],
  );
  if (details.length > 0) {
    throw createError('FACELLM_CALIBRATION_INVALID', 'there are too few labels to fit on', {
      details,
    });
  }
  return [...byName].map(([name, pairs]) => fitQuestion(name, pairs, options));
}

function fitQuestion(
  name: string,
  pairs: readonly { readonly item: EvaluationItem; readonly outcome: ItemOutcome }[],
  { folds, seed, smallGroup, fieldOf }: FitOptions,
): FittedQuestion {
  const labelled = pairs.map(({ item, outcome }) => ({
    tags: item.tags,
    logProbs: (outcome.probabilities ?? []).map(Math.log),
    label: item.answer,
    unit: unitOf(item),
  }));
  const temperatures = crossFitted(labelled, folds, seed);
  const scored = labelled.map((one, i): Scored => {
    return { ...one, temperature: temperatures[i] ?? 1 };
  });
  const { prompt = '', choices = [] } = pairs[0]?.item ?? {};
  const columns = new Set(scored.flatMap(({ tags }) => Object.keys(tags)));
  columns.delete(ATTRIBUTE);
  const groups = [...columns].flatMap((by) =>
    groupItems(scored, [{ name: by, order: valuesOf(scored, by) }]).groups.map((group) => {
      const { items } = group;
      return { by, group: group.name, isSmall: items.length < smallGroup, ...figuresOf(items) };
    }),
  );
  const field = fieldOf(name);
  return {
    question: {
      ...{ name, question: prompt, choices, ...(field === undefined ? {} : { field }) },
      ...{ ...fitTemperature(labelled), ...figuresOf(scored), groups },
    },
    reliability: {
      before: calibration(confident(scored, 'before')).bins,
      after: calibration(confident(scored, 'after')).bins,
    },
  };
}

/** The picture's name in the data, not its place on the disk. */
function unitOf({ id }: EvaluationItem): string {
  return id.slice(0, id.lastIndexOf('#'));
}

function valuesOf(items: readonly Scored[], column: string): readonly string[] {
  return [...new Set(items.flatMap(({ tags }) => tags[column] ?? []))].sort(compareNames);
}

function confident(
  items: readonly Scored[],
  when: keyof Change,
): { confidence: number; isCorrect: boolean }[] {
  return items.map(({ logProbs, label, temperature }) => {
    const shares = sharesAt(logProbs, when === 'before' ? 1 : temperature);
    const confidence = Math.max(...shares);
    return { confidence, isCorrect: shares.indexOf(confidence) === label };
  });
}

function figuresOf(
  items: readonly Scored[],
): Pick<CalibrationFile['questions'][number], 'count' | 'accuracy' | 'ece' | 'nll'> {
  const raw = confident(items, 'before');
  const own = items.map((item) => ({ ...item, temperature: 1 }));
  return {
    count: items.length,
    accuracy: raw.filter(({ isCorrect }) => isCorrect).length / items.length,
    ece: {
      before: calibration(raw).ece ?? 0,
      after: calibration(confident(items, 'after')).ece ?? 0,
    },
    nll: { before: likelihoodLoss(own) ?? 0, after: likelihoodLoss(items) ?? 0 },
  };
}
