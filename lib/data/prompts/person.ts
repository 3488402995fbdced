/** Labels in words, for the teacher only. */
import type { FaceLabels } from '../labels/vocabulary.js';
import type { PromptQuestion, PromptSet } from './prompt-set.js';

/** Version of the words in this file; part of every prompt set's hash. */
export const PERSON_WORDING = '1';

/**
 * Man, woman, and boy or girl for the bracket 3-9 alone, as fairfacegpt.py has it: `0-2` and `10-19`
 * stay man and woman.
 */
export function genderWord({ gender, age }: FaceLabels): string {
  const isChild = age === '3-9';
  if (gender === 'Male') return isChild ? 'boy' : 'man';
  if (gender === 'Female') return isChild ? 'girl' : 'woman';
  return 'person';
}

const EXPRESSION_WORDS: Readonly<Record<string, string>> = {
  neutral: 'with a neutral expression',
  smiling: 'smiling',
  happy: 'with a happy expression',
  sad: 'with a sad expression',
  angry: 'with an angry expression',
  surprised: 'with a surprised expression',
  fearful: 'with a fearful expression',
  disgusted: 'with a disgusted expression',
};
const POSE_WORDS: Readonly<Record<string, string>> = {
  frontal: 'facing the camera',
  left: "turned to the person's own left",
  right: "turned to the person's own right",
  up: 'looking up',
  down: 'looking down',
};
const EYEWEAR_WORDS: Readonly<Record<string, string>> = {
  none: 'without glasses',
  eyeglasses: 'wearing eyeglasses',
  sunglasses: 'wearing sunglasses',
};

/** "a man with Indian ethnicity, 20-29 years old"; race and age as FairFace writes them. */
export function describePerson(labels: FaceLabels): string {
  const { race, age, expression, pose, eyewear } = labels;
  const known = [
    `a ${genderWord(labels)}${race === undefined ? '' : ` with ${race} ethnicity`}`,
    age === undefined ? undefined : `${age} years old`,
    expression && EXPRESSION_WORDS[expression],
    pose && POSE_WORDS[pose],
    eyewear && EYEWEAR_WORDS[eyewear],
  ];
  return known.filter((part) => part !== undefined).join(', ');
}

/** The user turn for the teacher. */
export function teacherPrompt(
  set: Pick<PromptSet, 'known'>,
  question: PromptQuestion,
  labels: FaceLabels,
): string {
  const known = set.known.replaceAll('{person}', describePerson(labels));
  return question.teacher.replaceAll('{known}', known);
}
