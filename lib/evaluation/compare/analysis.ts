/** What a model loses beside its reference, as data: comparison.json is this, rounded. */
import { calibration } from '../metrics/calibration.js';
import { compareNames } from '../metrics/groups.js';
import { quantile, ratioInterval } from '../metrics/intervals.js';
import type { Interval } from '../metrics/wilson.js';
import { mostProbable } from '../outcomes.js';
import { compareWithFirst, type PairedComparison } from '../paired/comparison.js';
import { groupItems } from '../paired/groups.js';
import { type Share, shareOf } from '../paired/report.js';
import type { AnswerDivergence, EvaluationItem, ItemOutcome, ModelRun } from '../types.js';

export interface ComparisonFigures {
  /** Questions that both answered. */
  readonly count: number;
  /** Of the reference's answers to them. */
  readonly tokens: number;
  /** KL(reference || model), nats a token, over the whole vocabulary; the interval by drawing answers again. */
  readonly kl: {
    readonly mean: number;
    readonly interval: Interval | undefined;
    readonly median: number;
    readonly p99: number;
    readonly worst: { readonly value: number; readonly id: string };
  };
  /** Tokens whose most probable id is the reference's. */
  readonly agreement: Share;
  /** exp(mean of ln p(reference) - ln p(model)) of the reference's tokens: above 1 the model is more surprised. */
  readonly perplexityRatio: number;
  /** Greedy answers that are the reference's, token by token. */
  readonly sameAnswers: Share;
  /** Tokens before those that part do so; undefined: none does. */
  readonly medianShared: number | undefined;
  /** Of each question the largest |p(model) - p(reference)| of its choices. */
  readonly shift: { readonly mean: number; readonly p95: number; readonly max: number };
  /** Questions whose most probable choice is another. */
  readonly flips: Share;
  /** Of the most probable choice, of the reference and of the model. */
  readonly accuracy: { readonly reference: number; readonly model: number };
  /** Accuracy of the model less that of the reference, by drawing questions again. */
  readonly accuracyChange: Interval | undefined;
  readonly ece: { readonly reference: number; readonly model: number };
}

export interface GroupComparison {
  readonly by: string;
  readonly group: string;
  readonly isSmall: boolean;
  readonly figures: ComparisonFigures;
}

export interface ModelComparison {
  readonly name: string;
  readonly overall: ComparisonFigures;
  readonly groups: readonly GroupComparison[];
  /** McNemar's test of the most probable choices. */
  readonly test: PairedComparison | undefined;
}

/** A question that both models answered. */
interface Pair {
  readonly id: string;
  readonly tags: EvaluationItem['tags'];
  readonly divergence: AnswerDivergence;
  /** Largest difference of a choice's probability. */
  readonly shift: number;
  readonly reference: Answered;
  readonly model: Answered;
}

interface Answered {
  readonly choice: number;
  readonly confidence: number;
  readonly isCorrect: boolean;
}

function answered(outcome: ItemOutcome, answer: number): Answered {
  const choice = mostProbable(outcome) ?? -1;
  return {
    choice,
    confidence: outcome.probabilities?.[choice] ?? NaN,
    isCorrect: choice === answer,
  };
}

function pairOf(
  { id, tags, answer }: EvaluationItem,
  reference: ItemOutcome | undefined,
  model: ItemOutcome | undefined,
): Pair | undefined {
  const [p, q] = [reference?.probabilities, model?.probabilities];
  if (!reference || !model || !p || !q || model.divergence === undefined) return undefined;
  return {
    ...{ id, tags, divergence: model.divergence },
    shift: Math.max(...p.map((share, i) => Math.abs(share - (q[i] ?? NaN)))),
    reference: answered(reference, answer),
    model: answered(model, answer),
  };
}

const sum = (values: readonly number[]): number =>
  values.reduce((total, value) => total + value, 0);
const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);

/** @param isBrief leaves out what is drawn again: of groups */
function figuresOf(pairs: readonly Pair[], seed: number, isBrief: boolean): ComparisonFigures {
  const count = pairs.length;
  const divergence = pairs.map((pair) => pair.divergence);
  const kl = sorted(divergence.flatMap((one) => one.kl));
  const tokens = kl.length;
  const worst = pairs
    .map(({ id, divergence: { kl: own } }) => ({ id, value: Math.max(...own) }))
    .reduce((a, b) => (b.value > a.value ? b : a));
  const shifts = sorted(pairs.map(({ shift }) => shift));
  const shared = sorted(divergence.flatMap(({ sharedTokens }) => sharedTokens ?? []));
  const right = (who: 'reference' | 'model'): number =>
    pairs.filter((pair) => pair[who].isCorrect).length / count;
  const ece = (who: 'reference' | 'model'): number =>
    calibration(pairs.map((pair) => pair[who])).ece ?? NaN;
  const changes = pairs.map(
    ({ model, reference }) => [Number(model.isCorrect) - Number(reference.isCorrect), 1] as const,
  );
  const share = (holds: (pair: Pair) => boolean): Share =>
    shareOf(pairs.filter(holds).length, count) ?? NOTHING;
  return {
    ...{ count, tokens },
    kl: {
      mean: sum(kl) / tokens,
      interval: isBrief
        ? undefined
        : ratioInterval(
            divergence.map((one) => [sum(one.kl), one.kl.length] as const),
            { seed },
          ),
      median: quantile(kl, 0.5),
      p99: quantile(kl, 0.99),
      worst,
    },
    agreement: shareOf(sum(divergence.map(({ agreeing }) => agreeing)), tokens) ?? NOTHING,
    perplexityRatio: Math.exp(sum(divergence.map(({ logProbLoss }) => logProbLoss)) / tokens),
    sameAnswers: share(({ divergence: { sharedTokens } }) => sharedTokens === null),
    medianShared: shared.length === 0 ? undefined : quantile(shared, 0.5),
    shift: { mean: sum(shifts) / count, p95: quantile(shifts, 0.95), max: shifts.at(-1) ?? NaN },
    flips: share(({ reference, model }) => reference.choice !== model.choice),
    accuracy: { reference: right('reference'), model: right('model') },
    accuracyChange: isBrief ? undefined : ratioInterval(changes, { seed }),
    ece: { reference: ece('reference'), model: ece('model') },
  };
}

const NOTHING: Share = { value: NaN, low: 0, high: 1 };

export interface ComparisonInput {
  readonly items: readonly EvaluationItem[];
  readonly reference: ModelRun;
  readonly model: ModelRun;
  readonly smallGroup: number;
  readonly seed: number;
}

/** Undefined where no question was answered by both. */
export function compareModels(input: ComparisonInput): ModelComparison | undefined {
  const { items, reference, model, smallGroup, seed } = input;
  const pairs = items.flatMap(
    (item, i) => pairOf(item, reference.outcomes[i], model.outcomes[i]) ?? [],
  );
  if (pairs.length === 0) return undefined;
  const columns = [...new Set(items.flatMap(({ tags }) => Object.keys(tags)))];
  const groups = columns.flatMap((by) => {
    const values = pairs.flatMap(({ tags }) => tags[by] ?? []);
    const order = [...new Set(values)].sort(compareNames);
    return groupItems(pairs, [{ name: by, order }]).groups.map((group) => ({
      ...{ by, group: group.name, isSmall: group.items.length < smallGroup },
      figures: figuresOf(group.items, seed, true),
    }));
  });
  const marked = [reference, model].map(({ name }, i) => ({
    model: name,
    isRight: pairs.map((pair) => (i === 0 ? pair.reference : pair.model).isCorrect),
  }));
  const [test] = compareWithFirst(marked);
  return { name: model.name, overall: figuresOf(pairs, seed, false), groups, test };
}

/** Questions where the model is furthest from its reference, worst first. */
export function worstQuestions(
  { items, reference, model }: ComparisonInput,
  most: number,
): readonly { readonly id: string; readonly kl: number; readonly shift: number }[] {
  return items
    .flatMap((item, i) => pairOf(item, reference.outcomes[i], model.outcomes[i]) ?? [])
    .map(({ id, divergence: { kl }, shift }) => ({ id, kl: sum(kl) / kl.length, shift }))
    .sort((a, b) => b.kl - a.kl)
    .slice(0, most);
}
