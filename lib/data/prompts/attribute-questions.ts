/**
 * Short questions on one labelled attribute each, asked only of pictures whose label is known. Made for
 * small models: with the `labels` teacher the answers are a few canonical sentences.
 */
import type { Attribute } from '../labels/vocabulary.js';
import type { PromptQuestion, PromptSet } from './prompt-set.js';

function ask(attribute: Attribute, topic: string, student: string): PromptQuestion {
  return {
    id: attribute,
    topic,
    student,
    teacher: `{known} ${student} Answer in one short sentence, without mentioning that anything was given to you.`,
    about: [attribute],
    requires: [attribute],
  };
}

export const ATTRIBUTE_QUESTIONS: PromptSet = {
  name: 'attributes',
  version: '1',
  system: 'You answer short questions about the face in a picture, in one plain sentence.',
  known: 'It is known that this is a face image of {person}.',
  questions: [
    ask('gender', 'gender', 'Is the person in the image a man or a woman?'),
    ask('age', 'age', 'How old does the person in the image look?'),
    ask('expression', 'expression', 'What expression does the face in the image show?'),
    ask('eyewear', 'eyewear', 'Does the person in the image wear glasses?'),
    ask('pose', 'face pose', 'Which way does the face in the image point?'),
  ],
};
