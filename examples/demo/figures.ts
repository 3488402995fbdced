/** The figures that screen and report show, from what `evaluate()` and `train()` wrote. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { closedAttributes, truthOf } from './closed-attributes.js';
import { type Demo, type DemoAttribute } from './demo.js';
import type { Portrait } from './portraits.js';
import { SCORES_FOLDER } from './stages/scores.js';
import { RUN_FOLDER } from './stages/training.js';

export interface Estimate {
  readonly value: number;
  /** Of the 95 % interval. */
  readonly low?: number;
  readonly high?: number;
}

export interface ReliabilityBin {
  readonly low: number;
  readonly high: number;
  readonly count: number;
  readonly correct: number;
  /** Share right, and mean probability of the answer; null in an empty bin. */
  readonly accuracy: number | null;
  readonly meanConfidence: number | null;
}

interface OverallFigures {
  readonly count: number;
  readonly unread: number;
  readonly accuracy?: Estimate;
  readonly balancedAccuracy?: Estimate;
  readonly ece?: Estimate;
}

/** What this module reads of report/fairness.json. */
interface FairnessFile {
  readonly attributes: readonly {
    readonly name: DemoAttribute;
    readonly scores: readonly {
      readonly model: 'base' | 'tuned';
      readonly reading: 'text' | 'probability';
      readonly overall: OverallFigures;
      readonly reliability?: readonly ReliabilityBin[];
      readonly groupings: readonly {
        readonly by: readonly string[];
        readonly groups: readonly { readonly name: string; readonly figures: OverallFigures }[];
      }[];
    }[];
  }[];
}

/** Of one way of reading the answers. */
export interface ReadingFigures {
  readonly balancedAccuracy: Estimate;
  readonly accuracy: Estimate;
  /** Answers that name no choice; counted as wrong. */
  readonly unread: number;
}

export interface GroupFigures {
  /** `source`, `gender`, `age`. */
  readonly by: string;
  readonly group: string;
  readonly pictures: number;
  readonly accuracy: Estimate;
}

export interface AttributeFigures {
  readonly attribute: DemoAttribute;
  readonly pictures: number;
  readonly people: number;
  /** Balanced accuracy of guessing: one over the number of answers that occur. */
  readonly chance: number;
  readonly before: Readonly<Record<'probability' | 'text', ReadingFigures>>;
  readonly after: Readonly<Record<'probability' | 'text', ReadingFigures>>;
  /** Expected calibration error of the trained model. */
  readonly ece: number;
  readonly reliability: readonly ReliabilityBin[];
  /** Of the trained model, by choice probabilities. */
  readonly groups: readonly GroupFigures[];
}

const NONE: Estimate = { value: 0 };

function readingOf({ balancedAccuracy, accuracy, unread }: OverallFigures): ReadingFigures {
  return { balancedAccuracy: balancedAccuracy ?? NONE, accuracy: accuracy ?? NONE, unread };
}

function figuresOf(
  { name, scores }: FairnessFile['attributes'][number],
  portraits: readonly Portrait[],
): AttributeFigures {
  const asked = portraits.filter(
    (portrait) => portrait.split === 'test' && truthOf(portrait, name) !== undefined,
  );
  const scoreOf = (model: string, reading: string) => {
    const found = scores.find((score) => score.model === model && score.reading === reading);
    if (found === undefined) throw new Error(`the scores lack ${name} of ${model} by ${reading}`);
    return found;
  };
  const both = (model: string): AttributeFigures['after'] => ({
    probability: readingOf(scoreOf(model, 'probability').overall),
    text: readingOf(scoreOf(model, 'text').overall),
  });
  const { overall, reliability = [], groupings } = scoreOf('tuned', 'probability');
  return {
    attribute: name,
    pictures: asked.length,
    people: new Set(asked.map(({ identity }) => identity)).size,
    chance: 1 / new Set(asked.map((portrait) => truthOf(portrait, name))).size,
    before: both('base'),
    after: both('tuned'),
    ece: overall.ece?.value ?? 0,
    reliability,
    groups: groupings
      .filter(({ by }) => by.length === 1)
      .flatMap(({ by: [column = ''], groups }) =>
        groups.map(({ name: group, figures }) => ({
          ...{ by: column, group, pictures: figures.count },
          accuracy: figures.accuracy ?? NONE,
        })),
      ),
  };
}

export async function readFigures({
  cache,
  portraits,
}: Demo): Promise<readonly AttributeFigures[]> {
  const path = join(cache.path(SCORES_FOLDER), 'report', 'fairness.json');
  const { attributes } = JSON.parse(await readFile(path, 'utf8')) as FairnessFile;
  return closedAttributes().flatMap(({ name }) => {
    const found = attributes.find((one) => one.name === name);
    return found === undefined ? [] : [figuresOf(found, portraits)];
  });
}

async function readLines<Line>(path: string): Promise<readonly Line[]> {
  const text = await readFile(path, 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}

export interface LossPoint {
  readonly step: number;
  readonly loss: number;
}

/** The loss of each update that was logged. */
export async function readLosses({ cache }: Demo): Promise<readonly LossPoint[]> {
  const path = join(cache.path(RUN_FOLDER), 'trainer_log.jsonl');
  const lines = await readLines<{ current_steps: number; loss?: number }>(path);
  return lines.flatMap(({ current_steps: step, loss }) =>
    loss === undefined ? [] : [{ step, loss }],
  );
}

/** The trained model's answer to one question about one test picture, by its choice probabilities. */
export interface PictureAnswer {
  readonly attribute: DemoAttribute;
  readonly answer: string;
  readonly truth: string;
  readonly probability: number;
}

/** By file. */
export async function readAnswers({
  cache,
  portraits,
}: Demo): Promise<ReadonlyMap<string, readonly PictureAnswer[]>> {
  const path = join(cache.path(SCORES_FOLDER), 'questions-tuned.jsonl');
  const outcomes = await readLines<{ id: string; probabilities?: readonly number[] }>(path);
  const byId = new Map(outcomes.map(({ id, probabilities = [] }) => [id, probabilities]));
  const tested = portraits.filter(({ split }) => split === 'test');
  return new Map(
    tested.map((portrait) => [
      portrait.file,
      closedAttributes().flatMap(({ name, choices }): PictureAnswer[] => {
        const truth = truthOf(portrait, name);
        const probabilities = byId.get(`${portrait.file}#${name}`) ?? [];
        const probability = Math.max(...probabilities);
        const answer = choices[probabilities.indexOf(probability)];
        if (truth === undefined || answer === undefined) return [];
        return [{ attribute: name, answer, truth, probability }];
      }),
    ]),
  );
}
