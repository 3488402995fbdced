/** Answers held against labels, by question and group: counted as they come, figured as `attributes` figures them, and not kept. */
import {
  type Block,
  CalibrationCount,
  type Figures,
  FIGURE_NAMES,
  FIGURE_TITLES,
  figuresOfMatrix,
  formatEstimate,
  numeric,
  SMALL_GROUP,
} from '../evaluation/index.js';
import type { AnnotationAnswer } from './answers.js';
import type { ClosedField } from './columns.js';
import type { Grouping } from './groups.js';

/** Of the intervals' resamples: a report made again is the same. */
const SEED = 0;

const LABELS_NOTE =
  'Against the labels: of pictures with a label of which one answer was given, whether sure or not; a picture whose several faces were asked each on their own has no answer of its own. ' +
  '95 % intervals: Wilson for accuracy and within one bin, bootstrap for balanced accuracy and macro-F1. Labels of gender, age and race are judgements of appearance, and errors in them count as errors of the model.';

class Count {
  readonly #counts: number[][];
  readonly #calibration = new CalibrationCount();
  #total = 0;

  constructor(classes: number) {
    this.#counts = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  }

  add(truth: number, predicted: number, confidence: number): void {
    const row = this.#counts[truth];
    if (row === undefined || predicted < 0) return;
    row[predicted] = (row[predicted] ?? 0) + 1;
    this.#total++;
    this.#calibration.add({ confidence, isCorrect: truth === predicted });
  }

  figures(isOrdinal: boolean): Figures {
    const unread = this.#counts.map(() => 0);
    const matrix = { counts: this.#counts, unread, total: this.#total };
    return figuresOfMatrix(matrix, this.#calibration.result.ece, isOrdinal, SEED);
  }
}

/** Of one question: over all pictures, and by grouping and group. */
export interface LabelledFigures {
  readonly question: string;
  readonly overall: Figures;
  readonly groupings: readonly {
    readonly by: string;
    readonly groups: readonly (Figures & { readonly name: string; readonly isSmall: boolean })[];
  }[];
}

const ALL = '';

export class GroupAccuracy {
  readonly #fields: readonly ClosedField[];
  readonly #labelled: Grouping['labelled'];
  /** By question, then by grouping and group as JSON. */
  readonly #counts = new Map<string, Map<string, Count>>();

  constructor(fields: readonly ClosedField[], { labelled }: Pick<Grouping, 'labelled'>) {
    this.#fields = fields.filter(({ name }) => labelled.has(name));
    this.#labelled = labelled;
  }

  /** A picture's one answer to each question. */
  add(
    answers: Readonly<Record<string, AnnotationAnswer>>,
    labels: ReadonlyMap<string, number>,
    groups: readonly (readonly [by: string, group: string])[],
  ): void {
    for (const { name, choices } of this.#fields) {
      const truth = labels.get(name);
      const answer = answers[name];
      if (truth === undefined || answer === undefined) continue;
      const shares = choices.map((choice) => answer.probabilities[choice] ?? 0);
      const predicted = shares.indexOf(Math.max(...shares));
      for (const group of [ALL, ...groups.map((one) => JSON.stringify(one))]) {
        this.#count(name, group, choices.length).add(truth, predicted, answer.probability);
      }
    }
  }

  /** @param order of groups' names */
  figures(order: (a: string, b: string) => number): readonly LabelledFigures[] {
    return this.#fields.flatMap(({ name: question, choices }) => {
      const counts = this.#counts.get(question);
      const isOrdinal = this.#labelled.get(question)?.isOrdinal ?? false;
      if (counts === undefined) return [];
      const overall = this.#count(question, ALL, choices.length).figures(isOrdinal);
      const named = [...counts].flatMap(([key, count]) =>
        key === ALL ? [] : [[...(JSON.parse(key) as [string, string]), count] as const],
      );
      const groupings = [...new Set(named.map(([by]) => by))].map((by) => ({
        by,
        groups: named
          .filter(([own]) => own === by)
          .sort(([, a], [, b]) => order(a, b))
          .map(([, name, count]) => {
            const figures = count.figures(isOrdinal);
            return { name, isSmall: figures.count < SMALL_GROUP, ...figures };
          }),
      }));
      return [{ question, overall, groupings }];
    });
  }

  #count(question: string, group: string, classes: number): Count {
    const counts = this.#counts.get(question) ?? new Map<string, Count>();
    this.#counts.set(question, counts);
    const count = counts.get(group) ?? new Count(classes);
    counts.set(group, count);
    return count;
  }
}

/** Figures that a question of these has: nearness where answers have an order. */
const namesIn = (all: readonly Figures[]) =>
  FIGURE_NAMES.filter((name) => all.some((figures) => figures[name] !== undefined));

function figureTable(
  title: string,
  rows: readonly (Figures & { readonly name: string; readonly isSmall?: boolean })[],
): Block {
  const names = namesIn(rows);
  return {
    kind: 'table',
    columns: [{ title }, ...numeric('n', ...names.map((name) => FIGURE_TITLES[name]))],
    rows: rows.map(({ name, isSmall = false, ...figures }) => ({
      cells: [name, String(figures.count), ...names.map((one) => formatEstimate(figures[one]))],
      isMuted: isSmall,
    })),
  };
}

/** Over all pictures. */
export function labelledBlocks(all: readonly LabelledFigures[]): Block[] {
  if (all.length === 0) return [];
  return [
    { kind: 'heading', level: 2, text: 'Against the labels' },
    figureTable(
      'question',
      all.map(({ question: name, overall }) => ({ name, ...overall })),
    ),
    { kind: 'paragraph', text: LABELS_NOTE },
  ];
}

/** Of one question in the groups of one grouping. */
export function labelledTable(
  all: readonly LabelledFigures[],
  question: string,
  by: string,
): Block[] {
  const own = all.find((one) => one.question === question);
  const grouping = own?.groupings.find((one) => one.by === by);
  return grouping === undefined ? [] : [figureTable(`${by}, against the labels`, grouping.groups)];
}
