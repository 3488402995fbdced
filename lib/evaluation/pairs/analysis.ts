/** All that the verification report says, as data: pairs.json is this, rounded. */
import { answerReader } from '../answers/read-answer.js';
import { type Gap, largestGap } from '../metrics/groups.js';
import { equalErrorRateInterval } from '../metrics/intervals.js';
import { equalErrorRate, type OperatingPoint, tmrAtFmr } from '../metrics/operating-points.js';
import { areaUnderRoc, type Roc, rocCurve, type ScoredPair } from '../metrics/roc.js';
import { mostProbable } from '../outcomes.js';
import {
  compareWithFirst,
  type MarkedAnswers,
  type PairedComparison,
} from '../paired/comparison.js';
import { type GroupColumn, groupItems } from '../paired/groups.js';
import { type PairedOptions, type Share, shareOf } from '../paired/report.js';
import type { ModelRun } from '../types.js';

/** The false match rates at which true match rates are told. */
export const FALSE_MATCH_RATES = [0.1, 0.01, 0.001] as const;
/** That of the one threshold at which groups are compared. */
export const COMMON_FMR = 0.01;

export interface PairFigures {
  readonly genuine: number;
  readonly impostor: number;
  /** Undefined where a kind of pairs is missing, as are the figures below. */
  readonly equalErrorRate: Share | undefined;
  readonly area: number | undefined;
  readonly operatingPoints: readonly OperatingPoint[];
}

export interface GroupPairFigures extends PairFigures {
  readonly name: string;
  /** Of either kind there are few. */
  readonly isSmall: boolean;
  /** At the threshold that gives {@link COMMON_FMR} over all pairs. */
  readonly common: Readonly<Record<'tmr' | 'fmr', Share | undefined>> | undefined;
}

export interface PairGrouping {
  readonly by: string;
  /** Pairs across groups, or of pictures whose group is not known. */
  readonly others: number;
  readonly groups: readonly GroupPairFigures[];
  readonly gaps: Readonly<Partial<Record<'equalErrorRate' | 'tmr' | 'fmr', Gap | undefined>>>;
}

export interface PairScore {
  readonly model: string;
  /** Pairs without an answer: a genuine one scores 0, an impostor one 1, so that each counts as wrong. */
  readonly failed: number;
  readonly overall: PairFigures;
  /** Share right where the more probable of the two answers is taken. */
  readonly accuracy: Share | undefined;
  /** The same from generated text, if that was asked for. */
  readonly textAccuracy?: Share | undefined;
  /** Generated answers that name neither. */
  readonly unread?: number;
  readonly groupings: readonly PairGrouping[];
  /** Not for the file: what plots are made from. */
  readonly roc: Roc;
  readonly pairs: readonly ScoredPair[];
}

export interface PairAnalysis {
  readonly scores: readonly PairScore[];
  readonly comparisons: readonly PairedComparison[];
}

interface TaggedPair extends ScoredPair {
  readonly tags: Readonly<Record<string, string>>;
}

function figuresOf(pairs: readonly ScoredPair[], roc: Roc, { seed }: PairedOptions): PairFigures {
  const eer = equalErrorRate(roc);
  const interval = eer === undefined ? undefined : equalErrorRateInterval(pairs, { seed });
  return {
    genuine: roc.genuine,
    impostor: roc.impostor,
    equalErrorRate: eer === undefined || !interval ? undefined : { value: eer, ...interval },
    area: areaUnderRoc(roc),
    operatingPoints: FALSE_MATCH_RATES.flatMap((fmr) => tmrAtFmr(roc, fmr) ?? []),
  };
}

/** What one threshold for everybody does to a group. */
function commonRates(
  pairs: readonly ScoredPair[],
  threshold: number | undefined,
): GroupPairFigures['common'] {
  if (threshold === undefined) return undefined;
  const matchRate = (ofGenuine: boolean): Share | undefined => {
    const kind = pairs.filter(({ isGenuine }) => isGenuine === ofGenuine);
    const matches = kind.filter(({ score }) => score >= threshold).length;
    return shareOf(matches, kind.length);
  };
  return { tmr: matchRate(true), fmr: matchRate(false) };
}

function groupingOf(
  column: GroupColumn,
  pairs: readonly TaggedPair[],
  threshold: number | undefined,
  options: PairedOptions,
): PairGrouping {
  const { smallGroup } = options;
  const by = column.name;
  const { groups: known, unknown: others } = groupItems(pairs, [column]);
  const groups = known.map(({ name, items }): GroupPairFigures => {
    const figures = figuresOf(items, rocCurve(items), options);
    return {
      name,
      isSmall: Math.min(figures.genuine, figures.impostor) < smallGroup,
      ...figures,
      common: commonRates(items, threshold),
    };
  });
  const gaps = {
    equalErrorRate: largestGap(groups, ({ equalErrorRate: eer }) => eer?.value),
    tmr: largestGap(groups, ({ common }) => common?.tmr?.value),
    fmr: largestGap(groups, ({ common }) => common?.fmr?.value),
  };
  return { by, others, groups, gaps };
}

interface RunAnswers extends MarkedAnswers {
  readonly score: PairScore;
}

/** Generated answers read as one of the two. */
function readTexts({ outcomes }: ModelRun, { items }: PairedOptions) {
  const choices = (items[0]?.choices ?? []).map((text) => ({ text, labels: [text] }));
  const read = answerReader(choices);
  const answers = outcomes.map(({ text }) => (text === undefined ? undefined : read(text).choice));
  const right = answers.filter((choice, i) => choice === items[i]?.answer).length;
  const unread = answers.filter((choice) => choice === undefined).length;
  return { textAccuracy: shareOf(right, items.length), unread };
}

function scoreRun(run: ModelRun, options: PairedOptions): RunAnswers {
  const { items, groups, readings } = options;
  const pairs = items.map(({ answer, tags }, i): TaggedPair => {
    const isGenuine = answer === 0;
    const probability = run.outcomes[i]?.probabilities?.[0];
    return { score: probability ?? (isGenuine ? 0 : 1), isGenuine, tags };
  });
  const isRight = items.map(({ answer }, i) => {
    const outcome = run.outcomes[i];
    return outcome !== undefined && mostProbable(outcome) === answer;
  });
  const roc = rocCurve(pairs);
  const common = tmrAtFmr(roc, COMMON_FMR)?.threshold;
  const score: PairScore = {
    model: run.name,
    failed: run.outcomes.filter(({ probabilities }) => probabilities === undefined).length,
    overall: figuresOf(pairs, roc, options),
    accuracy: shareOf(isRight.filter(Boolean).length, items.length),
    ...(readings.includes('text') && readTexts(run, options)),
    groupings: groups
      .map((column) => groupingOf(column, pairs, common, options))
      .filter((grouping) => grouping.groups.length > 0),
    roc,
    pairs,
  };
  return { model: run.name, score, isRight };
}

/** Scores every run. Blocks the event loop, some seconds for several thousand pairs. */
export function analysePairs(options: PairedOptions): PairAnalysis {
  const scored = options.runs.map((run) => scoreRun(run, options));
  return { scores: scored.map(({ score }) => score), comparisons: compareWithFirst(scored) };
}
