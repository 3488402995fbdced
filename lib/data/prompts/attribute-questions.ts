/**
 * Short questions on one labelled attribute each, asked only of pictures whose label is known. Made for
 * small models. All but the one on pose are evaluation's own, answered by the text of a choice.
 */
import { CLOSED_QUESTIONS, type ClosedQuestionName } from './closed-questions.js';
import type { PromptQuestion, PromptSet } from './prompt-set.js';

const TOPICS: Readonly<Record<ClosedQuestionName, string>> = {
  gender: 'gender',
  age: 'age',
  race: 'ethnicity',
  smile: 'smile',
  expression: 'expression',
  eyewear: 'eyewear',
};

function ask(name: ClosedQuestionName): PromptQuestion {
  const { attribute, question, answers } = CLOSED_QUESTIONS[name];
  return {
    id: name,
    topic: TOPICS[name],
    student: question,
    teacher: `{known} ${question} Write that answer alone, in exactly those words and without a full stop.`,
    about: [attribute],
    requires: [attribute],
    answers,
  };
}

const POSE = 'Which way does the face in the image point?';

export const ATTRIBUTE_QUESTIONS: PromptSet = {
  name: 'attributes',
  version: '2',
  system: 'You answer short questions about the face in a picture, in one plain sentence or less.',
  known: 'It is known that this is a face image of {person}.',
  questions: [
    ...(Object.keys(CLOSED_QUESTIONS) as ClosedQuestionName[]).map(ask),
    {
      id: 'pose',
      topic: 'face pose',
      student: POSE,
      teacher: `{known} ${POSE} Answer in one short sentence, without mentioning that anything was given to you.`,
      about: ['pose'],
      requires: ['pose'],
    },
  ],
};
