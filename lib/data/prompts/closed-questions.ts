/**
 * Questions that have a fixed set of answers, with the exact text of each: the one wording that training data asks with
 * (the prompt set `attributes`) and that evaluation scores by (its built-in attributes). A model is so asked what it
 * has learnt.
 */
import type { Attribute } from '../labels/vocabulary.js';

export interface ClosedQuestion {
  readonly attribute: Attribute;
  /** Tells all answers, so that it gives none away. */
  readonly question: string;
  /** Label to answer; a picture whose label is not here is not asked about. Labels may share an answer. */
  readonly answers: Readonly<Record<string, string>>;
}

export type ClosedQuestionName = 'gender' | 'age' | 'race' | 'smile' | 'expression' | 'eyewear';

/** The same words for label and answer. */
function asLabelled(...labels: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(labels.map((label) => [label, label]));
}

export const CLOSED_QUESTIONS: Readonly<Record<ClosedQuestionName, ClosedQuestion>> = {
  gender: {
    attribute: 'gender',
    question: 'What is the gender of the person in this picture? Answer Male or Female.',
    answers: asLabelled('Male', 'Female'),
  },
  age: {
    attribute: 'age',
    question:
      'How old is the person in this picture? Answer with one of 0-2, 3-9, 10-19, 20-29, 30-39, 40-49, 50-59, 60-69, more than 70.',
    answers: asLabelled(
      ...['0-2', '3-9', '10-19', '20-29', '30-39'],
      ...['40-49', '50-59', '60-69', 'more than 70'],
    ),
  },
  race: {
    attribute: 'race',
    question:
      'Which of these describes the person in this picture best? Answer with one of White, Black, Latino or Hispanic, East Asian, Southeast Asian, Indian, Middle Eastern.',
    answers: {
      ...asLabelled('White', 'Black'),
      Latino_Hispanic: 'Latino or Hispanic',
      ...asLabelled('East Asian', 'Southeast Asian', 'Indian', 'Middle Eastern'),
    },
  },
  smile: {
    attribute: 'expression',
    question: 'Is the person in this picture smiling? Answer smiling or not smiling.',
    // The other expressions are posed moods, which may or may not show as a smile.
    answers: {
      smiling: 'smiling',
      neutral: 'not smiling',
      sad: 'not smiling',
      angry: 'not smiling',
    },
  },
  expression: {
    attribute: 'expression',
    question:
      'What is the expression of the person in this picture? Answer with one of neutral, happy, sad, angry.',
    answers: { neutral: 'neutral', happy: 'happy', smiling: 'happy', sad: 'sad', angry: 'angry' },
  },
  eyewear: {
    attribute: 'eyewear',
    question:
      'What does the person in this picture wear over the eyes? Answer with one of no glasses, eyeglasses, sunglasses.',
    answers: { none: 'no glasses', eyeglasses: 'eyeglasses', sunglasses: 'sunglasses' },
  },
};
