/**
 * What an answer claims of the person, as closed questions that can be put to a model that looks. A closed question's answer claims
 * itself; an open one's claims the labels that its teacher was given and that it may speak of.
 */
import type { Attribute } from '../labels/vocabulary.js';
import { CLOSED_QUESTIONS, type ClosedQuestion } from '../prompts/closed-questions.js';
import type { PromptQuestion } from '../prompts/prompt-set.js';
import type { Plan } from '../synthesis/plan.js';

/** A question to the judge; the same for all pictures. */
export interface JudgeItem {
  /** A question of the set, or `about:` and an attribute. */
  readonly id: string;
  readonly question: string;
  /** At least two. */
  readonly choices: readonly string[];
}

export interface Claim extends JudgeItem {
  /** One of the choices. */
  readonly claimed: string;
}

/** Which question asks for an attribute that an open answer speaks of. Poses have none. */
const ASKED_ABOUT: { readonly [attribute in Attribute]?: ClosedQuestion } = {
  gender: CLOSED_QUESTIONS.gender,
  age: CLOSED_QUESTIONS.age,
  race: CLOSED_QUESTIONS.race,
  expression: CLOSED_QUESTIONS.expression,
  eyewear: CLOSED_QUESTIONS.eyewear,
};

const texts = (answers: Readonly<Record<string, string>>): readonly string[] => [
  ...new Set(Object.values(answers)),
];

function itemsOf({ id, student, about, answers }: PromptQuestion): readonly JudgeItem[] {
  if (answers !== undefined) {
    const choices = texts(answers);
    return choices.length < 2 ? [] : [{ id, question: student, choices }];
  }
  return about.flatMap((attribute): JudgeItem[] => {
    const asked = ASKED_ABOUT[attribute];
    if (asked === undefined) return [];
    const { question, answers: known } = asked;
    return [{ id: `about:${attribute}`, question, choices: texts(known) }];
  });
}

/** Everything that a judge may be asked in a run, in the order of the prompt set. */
export function judgeItems(questions: readonly PromptQuestion[]): readonly JudgeItem[] {
  const items = questions.flatMap(itemsOf);
  return items.filter(({ id }, i) => items.findIndex((other) => other.id === id) === i);
}

/** What a pair's answer claims; nothing where no label that it may speak of can be asked for. */
export function claimsOf(plan: Plan, pair: number, text: string): readonly Claim[] {
  const question = plan.question(pair);
  const { labels } = plan.image(pair);
  return itemsOf(question).flatMap((item): Claim[] => {
    if (question.answers !== undefined) return [{ ...item, claimed: text.trim() }];
    const attribute = question.about.find((one) => item.id === `about:${one}`);
    const label = attribute === undefined ? undefined : labels[attribute];
    const claimed = attribute && label && ASKED_ABOUT[attribute]?.answers[label];
    return claimed === undefined || claimed === '' ? [] : [{ ...item, claimed }];
  });
}

/** Which items are asked of a picture: those that one of its answers may claim something by. */
export function itemsOfImage(plan: Plan, image: number): readonly JudgeItem[] {
  const { questions } = plan.prompts;
  const labels = plan.images[image]?.labels ?? {};
  const asked = questions.filter(
    (_, k) => plan.obstacle(image * questions.length + k) === undefined,
  );
  return judgeItems(asked).filter(({ id }) => {
    const attribute = id.startsWith('about:')
      ? (id.slice('about:'.length) as Attribute)
      : undefined;
    if (attribute === undefined) return true;
    const label = labels[attribute];
    return label !== undefined && ASKED_ABOUT[attribute]?.answers[label] !== undefined;
  });
}
