/** How many answers a judge bears out, of all and of each group of people: a judge that errs more on one group thins that group's data. */
import type { LabelledImage } from '../labels/read-labels.js';
import { type Attribute, VOCABULARY } from '../labels/vocabulary.js';
import type { Verdict } from './verdict.js';

export interface JudgedCounts {
  /** Answers that could be judged. */
  readonly judged: number;
  /** Of these, answers below the threshold. */
  readonly doubtful: number;
}

export interface JudgedGroup extends JudgedCounts {
  readonly by: 'gender' | 'age' | 'race';
  readonly group: string;
}

export interface JudgementSummary extends JudgedCounts {
  /** Twelve digits of the judge. */
  readonly judge: string;
  readonly threshold: number;
  readonly action: JudgeAction;
  /** Answers that claim nothing that can be asked for; kept. */
  readonly noClaim: number;
  /** Answers about pictures that could not be shown to the judge; kept. */
  readonly unjudged: number;
  /** Answers that the judge was not asked about before the run was stopped; left out of the dataset until it is. */
  readonly open: number;
  readonly byQuestion: Readonly<Record<string, JudgedCounts>>;
  /** In the order of the vocabulary. */
  readonly groups: readonly JudgedGroup[];
}

export type JudgeAction = 'drop' | 'mark';

const GROUPED = ['gender', 'age', 'race'] as const satisfies readonly Attribute[];

type Counts = { -readonly [key in keyof JudgedCounts]: number };

function countIn<K>(all: Map<K, Counts>, key: K, isDoubtful: boolean): void {
  const counts = all.get(key) ?? { judged: 0, doubtful: 0 };
  all.set(key, counts);
  counts.judged++;
  counts.doubtful += Number(isDoubtful);
}

export class JudgementTally {
  readonly #all: Counts = { judged: 0, doubtful: 0 };
  readonly #kinds = { no_claim: 0, unjudged: 0, open: 0 };
  readonly #byQuestion = new Map<string, Counts>();
  readonly #byGroup = new Map<string, Counts>();

  add({ labels }: LabelledImage, question: string, verdict: Verdict, isDoubtful: boolean): void {
    if (verdict.kind !== 'judged') {
      this.#kinds[verdict.kind]++;
      return;
    }
    this.#all.judged++;
    this.#all.doubtful += Number(isDoubtful);
    countIn(this.#byQuestion, question, isDoubtful);
    for (const by of GROUPED) {
      const group = labels[by];
      if (group !== undefined) countIn(this.#byGroup, `${by}:${group}`, isDoubtful);
    }
  }

  summary(how: Pick<JudgementSummary, 'judge' | 'threshold' | 'action'>): JudgementSummary {
    const { no_claim: noClaim, unjudged, open } = this.#kinds;
    const groups = GROUPED.flatMap((by) =>
      VOCABULARY[by].flatMap((group): JudgedGroup[] => {
        const counts = this.#byGroup.get(`${by}:${group}`);
        return counts === undefined ? [] : [{ by, group, ...counts }];
      }),
    );
    const byQuestion = Object.fromEntries(this.#byQuestion);
    return { ...how, ...this.#all, noClaim, unjudged, open, byQuestion, groups };
  }
}
