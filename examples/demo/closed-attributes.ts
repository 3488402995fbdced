/** The questions with their answers, as the package's prompt set has them, and what is true of a portrait. */
import { PROMPT_SETS } from 'facellm';

import { ATTRIBUTES, type DemoAttribute } from './demo.js';
import type { Portrait } from './portraits.js';

export interface ClosedAttribute {
  readonly name: DemoAttribute;
  readonly question: string;
  /** Each answer once. */
  readonly choices: readonly string[];
  /** Label to answer. */
  readonly answers: Readonly<Record<string, string>>;
}

/** Column of labels.csv that tells it. */
const COLUMN = {
  gender: 'gender',
  eyewear: 'eyewear',
  smile: 'expression',
} as const satisfies Record<DemoAttribute, keyof Portrait>;

export function closedAttributes(): readonly ClosedAttribute[] {
  const { questions } = PROMPT_SETS['attributes'] ?? { questions: [] };
  return ATTRIBUTES.map((name) => {
    const found = questions.find(({ id }) => id === name);
    if (found?.answers === undefined) throw new Error(`the prompt set has no question ${name}`);
    const { student: question, answers } = found;
    return { name, question, answers, choices: [...new Set(Object.values(answers))] };
  });
}

/** The answer that a portrait's label means; undefined where there is none. */
export function truthOf(portrait: Portrait, name: DemoAttribute): string | undefined {
  const attribute = closedAttributes().find((one) => one.name === name);
  return attribute?.answers[portrait[COLUMN[name]]];
}
