/**
 * What a model answered about groups of pictures: how many, how often a face was found, shares of answers with Wilson's intervals, and
 * where labels are there how often it was right.
 */
import { mkdir } from 'node:fs/promises';

import {
  type Block,
  compareNames,
  type Estimate,
  FIGURE_NAMES,
  type Figures,
  formatEstimate,
  formatShare,
  numeric,
  roundedJson,
  SMALL_GROUP,
  wilsonInterval,
  writeReport,
} from '../evaluation/index.js';
import { csvLine } from '../files/index.js';
import type { AnnotationRow } from './annotate-picture.js';
import type { RowSink } from './compose.js';
import type { ClosedField } from './columns.js';
import {
  GroupAccuracy,
  labelledBlocks,
  type LabelledFigures,
  labelledTable,
} from './group-accuracy.js';
import type { Grouping } from './groups.js';

const WARNING =
  "A model's answers are not facts about people. They must not be used to decide about anybody, nor to tell what people of a group are like.";

const UNIT =
  'Shares with 95 % Wilson intervals in brackets. n counts answers, one for each face that was asked on its own: the intervals take faces of one picture as independent, and are too narrow where many are. With a face, with several: of pictures that faces were looked for in.';

/** Of one question in one group. */
interface Answers {
  /** Of faces, where each was asked on its own; else of pictures. */
  count: number;
  /** With an answer. */
  pictures: number;
  lastFile: string | undefined;
  /** Below the question's least probability. */
  unsure: number;
  /** Sum over the best answers. */
  probability: number;
  readonly best: number[];
}

interface Group {
  pictures: number;
  /** Those that faces were looked for in: what was asked as a whole or could not be read tells nothing of faces. */
  searched: number;
  /** Pictures with a face. */
  found: number;
  several: number;
  readonly answers: readonly Answers[];
}

const share = (count: number, total: number) =>
  total === 0 ? undefined : { value: count / total, ...wilsonInterval(count, total) };

function described(name: string, group: Group, all: readonly ClosedField[]) {
  const { pictures, searched, found, several, answers } = group;
  return {
    ...{ name, isSmall: pictures < SMALL_GROUP, pictures, searched },
    found: share(found, searched),
    several: share(several, searched),
    questions: all.map(({ name: question, choices }, i) => {
      const { count = 0, pictures: asked = 0, unsure = 0 } = answers[i] ?? {};
      const { probability = 0, best = [] } = answers[i] ?? {};
      return {
        ...{ name: question, isSmall: asked < SMALL_GROUP, count, pictures: asked },
        unsure: share(unsure, count),
        meanProbability: count === 0 ? undefined : probability / count,
        answers: choices.map((answer, k) => ({
          answer,
          count: best[k] ?? 0,
          share: share(best[k] ?? 0, count),
        })),
      };
    }),
  };
}

type Described = ReturnType<typeof described>;

function blocksOf(
  by: string,
  groups: readonly Described[],
  all: readonly ClosedField[],
  labelled: readonly LabelledFigures[],
): Block[] {
  const small = groups.some((one) => one.isSmall || one.questions.some(({ isSmall }) => isSmall));
  return [
    { kind: 'heading', level: 2, text: `By ${by}` },
    ...(small
      ? [
          {
            kind: 'paragraph',
            text: `Paler: fewer than ${SMALL_GROUP} pictures, of a question with an answer: too few to say anything.`,
          } as const,
        ]
      : []),
    {
      kind: 'table',
      columns: [{ title: by }, ...numeric('pictures', 'with a face', 'with several')],
      rows: groups.map(({ name, pictures, found, several, isSmall }) => ({
        cells: [name, String(pictures), formatEstimate(found), formatEstimate(several)],
        isMuted: isSmall,
      })),
    },
    ...all.flatMap(({ name, question, choices }, i): Block[] => [
      { kind: 'heading', level: 3, text: name },
      ...(question === '' ? [] : [{ kind: 'paragraph', text: question } as const]),
      {
        kind: 'table',
        columns: [{ title: by }, ...numeric('n', ...choices, 'unsure', 'mean probability')],
        rows: groups.map((group) => {
          const asked = group.questions[i];
          const shares = asked?.answers.map((one) => formatEstimate(one.share)) ?? [];
          const more = [formatEstimate(asked?.unsure), formatShare(asked?.meanProbability)];
          return {
            cells: [group.name, String(asked?.count ?? 0), ...shares, ...more],
            isMuted: asked?.isSmall ?? true,
          };
        }),
      },
      ...labelledTable(labelled, name, by),
    ]),
    { kind: 'paragraph', text: UNIT },
  ];
}

/** A line a figure: of each answer its share, and where labels are there what they say, over all without a group. */
const CSV_HEADER = [
  ...['grouping', 'group', 'is_small', 'question', 'figure', 'answer', 'count', 'of'],
  ...['value', 'low', 'high'],
];

function csvOf(
  groupings: readonly { readonly by: string; readonly groups: readonly Described[] }[],
  labelled: readonly LabelledFigures[],
): string {
  const shares = groupings.flatMap(({ by, groups }) =>
    groups.flatMap(({ name, questions }) =>
      questions.flatMap(({ name: question, isSmall, count, answers }) =>
        answers.map((one) => [
          ...[by, name, String(isSmall), question, 'share', one.answer, one.count, count],
          ...boundsOf(one.share),
        ]),
      ),
    ),
  );
  const figures = (place: readonly string[], own: Figures) =>
    FIGURE_NAMES.flatMap((figure) => {
      const estimate = own[figure];
      if (estimate === undefined) return [];
      return [[...place, figure, null, null, own.count, ...boundsOf(estimate)]];
    });
  const right = labelled.flatMap(({ question, overall, groupings: all }) => [
    ...figures(['', '', String(overall.count < SMALL_GROUP), question], overall),
    ...all.flatMap(({ by, groups }) =>
      groups.flatMap((one) => figures([by, one.name, String(one.isSmall), question], one)),
    ),
  ]);
  return [CSV_HEADER, ...shares, ...right].map((cells) => csvLine(cells)).join('');
}

const boundsOf = (estimate: Estimate | undefined): (number | null)[] =>
  [estimate?.value, estimate?.low, estimate?.high].map((value) => value ?? null);

export class GroupReport implements RowSink {
  readonly #folder: string;
  readonly #questions: readonly ClosedField[];
  readonly #grouping: Grouping;
  readonly #accuracy: GroupAccuracy;
  /** By grouping and value. */
  readonly #groupings = new Map<string, Map<string, Group>>();
  #lastFile: string | undefined;
  /** The last picture's row, as long as it has one alone. */
  #only: AnnotationRow | undefined;
  #ungrouped = 0;

  /** @param folder is made */
  constructor(folder: string, questions: readonly ClosedField[], grouping: Grouping) {
    this.#folder = folder;
    this.#questions = questions;
    this.#grouping = grouping;
    this.#accuracy = new GroupAccuracy(questions, grouping);
  }

  write(row: AnnotationRow): void {
    // A picture's rows follow each other.
    const isNew = row.file !== this.#lastFile;
    this.#lastFile = row.file;
    if (isNew) this.#settle();
    this.#only = isNew ? row : undefined;
    const tags = Object.entries(this.#grouping.of(row.file).groups);
    if (tags.length === 0 && isNew) this.#ungrouped++;
    for (const [by, value] of tags) this.#count(this.#group(by, value), row, isNew);
  }

  /** The picture before is whole: a label is held against the answer of one that has one answer. */
  #settle(): void {
    if (this.#only === undefined) return;
    const { file, answers } = this.#only;
    const { labels, groups } = this.#grouping.of(file);
    this.#accuracy.add(answers, labels, Object.entries(groups));
  }

  async commit(): Promise<void> {
    this.#settle();
    await mkdir(this.#folder, { recursive: true });
    const groupings = [...this.#groupings].map(([by, groups]) => ({
      by,
      groups: [...groups]
        .sort(([a], [b]) => compareNames(a, b))
        .map(([name, group]) => described(name, group, this.#questions)),
    }));
    const labelled = this.#accuracy.figures(compareNames);
    const notes = [
      ...(this.#ungrouped === 0 ? [] : [`In no group: ${this.#ungrouped} picture(s).`]),
      ...this.#grouping.notes,
    ];
    const blocks: Block[] = [
      { kind: 'warning', text: WARNING },
      ...(notes.length === 0 ? [] : [{ kind: 'list', items: notes } as const]),
      ...labelledBlocks(labelled),
      ...groupings.flatMap(({ by, groups }) => blocksOf(by, groups, this.#questions, labelled)),
    ];
    await writeReport({
      output: this.#folder,
      stem: 'groups',
      document: { title: 'Answers by group', blocks },
      json: roundedJson({
        format: 'facellm-groups-1',
        warning: WARNING,
        smallGroup: SMALL_GROUP,
        notes,
        groupings,
        ...(labelled.length > 0 && { labelled }),
      }),
      csv: csvOf(groupings, labelled),
      charts: false,
    });
  }

  discard(): Promise<void> {
    return Promise.resolve();
  }

  #group(by: string, value: string): Group {
    const groups = this.#groupings.get(by) ?? new Map<string, Group>();
    this.#groupings.set(by, groups);
    const group = groups.get(value) ?? {
      ...{ pictures: 0, searched: 0, found: 0, several: 0 },
      answers: this.#questions.map(({ choices }) => ({
        ...{ count: 0, pictures: 0, lastFile: undefined, unsure: 0, probability: 0 },
        best: choices.map(() => 0),
      })),
    };
    groups.set(value, group);
    return group;
  }

  #count(group: Group, row: AnnotationRow, isNew: boolean): void {
    if (isNew) {
      group.pictures++;
      group.searched += Number(row.facesFound !== null);
      group.found += Number((row.facesFound ?? 0) > 0);
      group.several += Number((row.facesFound ?? 0) > 1);
    }
    this.#questions.forEach(({ name, choices }, i) => {
      const answer = row.answers[name];
      const answers = group.answers[i];
      if (answer === undefined || answers === undefined) return;
      answers.count++;
      if (answers.lastFile !== row.file) answers.pictures++;
      answers.lastFile = row.file;
      answers.probability += answer.probability;
      if (answer.best === null) answers.unsure++;
      else {
        const place = choices.indexOf(answer.best);
        answers.best[place] = (answers.best[place] ?? 0) + 1;
      }
    });
  }
}
