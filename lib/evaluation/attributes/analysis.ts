/** All that the fairness report says, as data: fairness.json is this, rounded. */
import type { ReliabilityBin } from '../metrics/calibration.js';
import { type ConfusionMatrix, confusionMatrix } from '../metrics/classification.js';
import { checkRuns, mostProbable } from '../outcomes.js';
import {
  compareWithFirst,
  type MarkedAnswers,
  type PairedComparison,
} from '../paired/comparison.js';
import type { PairedOptions } from '../paired/report.js';
import type { EvaluationItem, ItemOutcome, ModelRun } from '../types.js';
import type { AttributeDefinition } from '../labels/definition.js';
import { type Figures, figuresOf, reliability, type ScoredAnswer } from './figures.js';
import { type Grouping, groupingsOf } from './groupings.js';
import { answerReader, type AnswerReading } from '../answers/read-answer.js';

export type Reading = 'text' | 'probability';

/** A generated answer that could not be read. */
export interface UnreadAnswer {
  readonly id: string;
  readonly text: string;
  readonly problem: string;
}

export interface Score {
  readonly model: string;
  readonly reading: Reading;
  readonly overall: Figures;
  readonly confusion: ConfusionMatrix;
  /** Undefined of generated text. */
  readonly reliability: readonly ReliabilityBin[] | undefined;
  /** The first ones. */
  readonly unreadAnswers: readonly UnreadAnswer[];
  readonly groupings: readonly Grouping[];
}

export interface Comparison extends PairedComparison {
  readonly reading: Reading;
}

export interface AttributeAnalysis {
  readonly name: string;
  readonly question: string;
  readonly choices: readonly string[];
  readonly isOrdinal: boolean;
  readonly count: number;
  readonly scores: readonly Score[];
  readonly comparisons: readonly Comparison[];
}

export interface AnalysisOptions extends PairedOptions {
  readonly attributes: readonly AttributeDefinition[];
}

const MAX_UNREAD_ANSWERS = 20;

interface ReadOutcome {
  readonly answer: ScoredAnswer;
  readonly unread: UnreadAnswer | undefined;
}

function scoreText(
  item: EvaluationItem,
  outcome: ItemOutcome,
  read: (text: string) => AnswerReading,
): ReadOutcome {
  const { id, tags, answer: truth } = item;
  const { text } = outcome;
  const reading = text === undefined ? undefined : read(text);
  const unread =
    reading?.choice === undefined
      ? { id, text: text ?? '', problem: reading?.problem ?? 'no answer' }
      : undefined;
  return { answer: { id, tags, truth, predicted: reading?.choice, confidence: undefined }, unread };
}

function scoreProbabilities(item: EvaluationItem, outcome: ItemOutcome): ReadOutcome {
  const { id, tags, answer: truth } = item;
  const predicted = mostProbable(outcome);
  const confidence = predicted === undefined ? undefined : outcome.probabilities?.[predicted];
  const unread = predicted === undefined ? { id, text: '', problem: 'no answer' } : undefined;
  return { answer: { id, tags, truth, predicted, confidence }, unread };
}

interface ModelAnswers extends MarkedAnswers {
  readonly score: Score;
}

function scoreRun(
  { name: model, outcomes }: ModelRun,
  reading: Reading,
  definition: AttributeDefinition,
  options: AnalysisOptions,
): ModelAnswers {
  const read = answerReader(definition.choices);
  const results = options.items.flatMap((item, i) => {
    const outcome = outcomes[i];
    if (item.tags['attribute'] !== definition.name || outcome === undefined) return [];
    return [
      reading === 'text' ? scoreText(item, outcome, read) : scoreProbabilities(item, outcome),
    ];
  });
  const answers = results.map(({ answer }) => answer);
  const classCount = definition.choices.length;
  const { seed, groups, smallGroup } = options;
  const isOrdinal = definition.isOrdinal ?? false;
  const score: Score = {
    model,
    reading,
    overall: figuresOf(answers, { classCount, isOrdinal, seed }),
    confusion: confusionMatrix(answers, classCount),
    reliability: reading === 'probability' ? reliability(answers) : undefined,
    unreadAnswers: results
      .flatMap(({ unread }) => (unread === undefined ? [] : [unread]))
      .slice(0, MAX_UNREAD_ANSWERS),
    groupings: groupingsOf(answers, { groups, smallGroup, classCount, isOrdinal }),
  };
  return { model, score, isRight: answers.map(({ truth, predicted }) => truth === predicted) };
}

function analyseAttribute(
  definition: AttributeDefinition,
  options: AnalysisOptions,
): AttributeAnalysis {
  const { runs, readings, items } = options;
  const scored = readings.map((reading) => ({
    reading,
    models: runs.map((run) => scoreRun(run, reading, definition, options)),
  }));
  return {
    name: definition.name,
    question: definition.question,
    choices: definition.choices.map(({ text }) => text),
    isOrdinal: definition.isOrdinal ?? false,
    count: items.filter(({ tags }) => tags['attribute'] === definition.name).length,
    scores: scored.flatMap(({ models }) => models.map(({ score }) => score)),
    comparisons: scored.flatMap(({ reading, models }) =>
      compareWithFirst(models).map((comparison) => ({ reading, ...comparison })),
    ),
  };
}

/**
 * Scores every run on every attribute that has items. Blocks the event loop, about a second at FairFace's size.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT if a run does not answer the items
 */
export function analyseAttributes(options: AnalysisOptions): readonly AttributeAnalysis[] {
  checkRuns(options.items, options.runs);
  return options.attributes
    .map((definition) => analyseAttribute(definition, options))
    .filter(({ count }) => count > 0);
}
