/** All that the fairness report says, as data: fairness.json is this, rounded. */
import type { ReliabilityBin } from '../metrics/calibration.js';
import { type ConfusionMatrix, confusionMatrix } from '../metrics/classification.js';
import { mostProbable } from '../outcomes.js';
import {
  compareWithFirst,
  type MarkedAnswers,
  type PairedComparison,
} from '../paired/comparison.js';
import type { PairedOptions } from '../paired/report.js';
import type { ItemOutcome, ModelRun } from '../types.js';
import type { AttributeDefinition } from '../labels/definition.js';
import { type Figures, figuresOf, reliability } from './figures.js';
import { type Grouping, groupingsOf } from './groupings.js';
import { answerReader } from '../answers/read-answer.js';

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
  /** Undefined without a calibration. */
  readonly calibratedReliability: readonly ReliabilityBin[] | undefined;
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

/** What an outcome was taken for. */
interface Taken {
  readonly choice: number | undefined;
  readonly confidence?: number | undefined;
  readonly calibratedConfidence?: number | undefined;
  readonly text?: string;
  /** Why it was taken for nothing. */
  readonly problem?: string | undefined;
}

function takerOf(reading: Reading, { choices }: AttributeDefinition): (one: ItemOutcome) => Taken {
  const read = answerReader(choices);
  return (outcome) => {
    const { text, probabilities, calibrated } = outcome;
    if (reading === 'text' && text !== undefined) return { text, ...read(text) };
    // By the model's own probabilities: a temperature changes no answer, and rounding shall not either.
    const choice = reading === 'text' ? undefined : mostProbable(outcome);
    if (choice === undefined) return { choice, problem: 'no answer' };
    const [confidence, calibratedConfidence] = [probabilities?.[choice], calibrated?.[choice]];
    return { choice, confidence, calibratedConfidence };
  };
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
  const take = takerOf(reading, definition);
  const answers = options.items.flatMap(({ id, tags, answer: truth }, i) => {
    const outcome = outcomes[i];
    if (tags['attribute'] !== definition.name || outcome === undefined) return [];
    const { choice: predicted, text = '', problem, ...confidences } = take(outcome);
    return [{ id, tags, truth, predicted, ...confidences, text, problem }];
  });
  const score: Score = {
    model,
    reading,
    overall: figuresOf(answers, definition, options.seed),
    confusion: confusionMatrix(answers, definition.choices.length),
    reliability: reliability(answers, 'confidence'),
    calibratedReliability: reliability(answers, 'calibratedConfidence'),
    unreadAnswers: answers
      .flatMap(({ id, text, problem }) => (problem === undefined ? [] : [{ id, text, problem }]))
      .slice(0, MAX_UNREAD_ANSWERS),
    groupings: groupingsOf(answers, definition, options),
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

/** Scores every run on every attribute that has items. Blocks the event loop, about a second at FairFace's size. */
export function analyseAttributes(options: AnalysisOptions): readonly AttributeAnalysis[] {
  return options.attributes
    .map((definition) => analyseAttribute(definition, options))
    .filter(({ count }) => count > 0);
}
