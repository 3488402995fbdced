/** What a validation says in numbers, of all samples and of each group of people. */
import type { RecordFact, TrainingRecord } from '../../data/index.js';

/** A sample that was looked at. */
export interface ValidatedSample {
  readonly record: TrainingRecord;
  /** Sum over its learnt tokens, nats. */
  readonly loss: number;
  readonly learntTokens: number;
  /** Of a closed question: the places of the true answer and of the most probable one among all answers. */
  readonly closed:
    { readonly truth: number; readonly best: number; readonly question: string } | undefined;
}

export interface ValidationCounts {
  readonly samples: number;
  /** Nats a learnt token. */
  readonly loss: number;
  /** Samples with a closed question. */
  readonly closedSamples: number;
  /** Share of closed questions whose true answer is the most probable of all answers; absent without closed ones. */
  readonly accuracy?: number;
}

export interface ValidationGroup extends ValidationCounts {
  readonly fact: RecordFact;
  readonly value: string;
}

export interface ValidationFigures extends ValidationCounts {
  /** Mean over the true answers of a question, then over questions: rare answers count as much as frequent ones. */
  readonly balancedAccuracy?: number;
  /** Of each gender, age and race that the data name, most samples first. */
  readonly groups: readonly ValidationGroup[];
  /** The group with the lowest accuracy, else the highest loss, among those of some size. */
  readonly worstGroup?: ValidationGroup;
}

const GROUPED: readonly RecordFact[] = ['gender', 'age', 'race'];
/** Fewer tell more of chance than of the model. */
const LEAST_GROUP = 10;

const sum = (values: readonly number[]): number =>
  values.reduce((total, value) => total + value, 0);
const mean = (values: readonly number[]): number => sum(values) / values.length;

function countsOf(samples: readonly ValidatedSample[]): ValidationCounts {
  const closed = samples.flatMap((sample) => sample.closed ?? []);
  const right = closed.filter(({ truth, best }) => truth === best).length;
  return {
    samples: samples.length,
    loss:
      sum(samples.map(({ loss }) => loss)) / sum(samples.map(({ learntTokens }) => learntTokens)),
    closedSamples: closed.length,
    ...(closed.length > 0 ? { accuracy: right / closed.length } : {}),
  };
}

function groupedBy<T, K>(items: readonly T[], keyOf: (item: T) => K | undefined): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    if (key === undefined) continue;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}

function balancedAccuracyOf(samples: readonly ValidatedSample[]): number | undefined {
  const closed = samples.flatMap((sample) => sample.closed ?? []);
  if (closed.length === 0) return undefined;
  const questions = groupedBy(closed, ({ question }) => question);
  return mean(
    [...questions.values()].map((asked) => {
      const truths = groupedBy(asked, ({ truth }) => truth);
      return mean(
        [...truths.values()].map(
          (same) => same.filter(({ truth, best }) => truth === best).length / same.length,
        ),
      );
    }),
  );
}

function groupsOf(samples: readonly ValidatedSample[]): ValidationGroup[] {
  return GROUPED.flatMap((fact) =>
    [...groupedBy(samples, ({ record }) => record.facts[fact])].map(([value, own]) => ({
      ...{ fact, value },
      ...countsOf(own),
    })),
  ).sort((a, b) => b.samples - a.samples);
}

/** The worst of a fact that names several groups: of one alone nothing is worse than another. */
function worstOf(groups: readonly ValidationGroup[]): ValidationGroup | undefined {
  const facts = groupedBy(groups, ({ fact }) => fact);
  const compared = [...facts.values()].filter((own) => own.length > 1).flat();
  const asked = compared.filter(({ closedSamples }) => closedSamples >= LEAST_GROUP);
  if (asked.length > 0) {
    return asked.reduce((worst, one) =>
      (one.accuracy ?? 1) < (worst.accuracy ?? 1) ? one : worst,
    );
  }
  const large = compared.filter((one) => one.samples >= LEAST_GROUP);
  if (large.length === 0) return undefined;
  return large.reduce((worst, one) => (one.loss > worst.loss ? one : worst));
}

/** @param samples at least one */
export function validationFigures(samples: readonly ValidatedSample[]): ValidationFigures {
  const balancedAccuracy = balancedAccuracyOf(samples);
  const groups = groupsOf(samples);
  const worstGroup = worstOf(groups);
  return {
    ...countsOf(samples),
    ...(balancedAccuracy === undefined ? {} : { balancedAccuracy }),
    groups,
    ...(worstGroup === undefined ? {} : { worstGroup }),
  };
}

const FIGURES = ['loss', 'accuracy', 'balancedAccuracy', 'worstGroupAccuracy'] as const;
export type ValidationMetric = (typeof FIGURES)[number];
/** Of `bestMetric`: no figure decides, the last weights are the result. */
export const LAST = 'last';
/** What `bestMetric` can name. */
export const METRICS: readonly string[] = [...FIGURES, LAST];

export const isFigure = (metric: string): metric is ValidationMetric =>
  (FIGURES as readonly string[]).includes(metric);

export function metricOf(figures: ValidationFigures, metric: ValidationMetric): number | undefined {
  if (metric === 'worstGroupAccuracy') return figures.worstGroup?.accuracy;
  return figures[metric];
}
