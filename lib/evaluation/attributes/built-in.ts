/**
 * The attributes that are known by name: FairFace's three with its strings (joojs/fairface), and what other labelled
 * folders say of expression and eyewear. Take one and change it for another question or other words.
 */
import type { AttributeChoice, AttributeDefinition } from './definition.js';

const GENDER: AttributeDefinition = {
  name: 'gender',
  question: 'What is the gender of the person in this picture? Answer Male or Female.',
  choices: [
    {
      text: 'Male',
      labels: ['Male'],
      synonyms: ['man', 'men', 'boy', 'gentleman', 'masculine', 'he', 'him', 'his'],
    },
    {
      text: 'Female',
      labels: ['Female'],
      synonyms: ['woman', 'women', 'girl', 'lady', 'feminine', 'she', 'her', 'hers'],
    },
  ],
};

/** A bracket of ages under FairFace's name. */
function bracket(
  years: readonly [number, number],
  synonyms: readonly string[] = [],
  text = `${years[0]}-${years[1]}`,
): AttributeChoice {
  return { text, labels: [text], synonyms, years };
}

const AGE: AttributeDefinition = {
  name: 'age',
  columns: ['age', 'age_bracket'],
  question:
    'How old is the person in this picture? Answer with one of 0-2, 3-9, 10-19, 20-29, 30-39, 40-49, 50-59, 60-69, more than 70.',
  choices: [
    bracket([0, 2], ['baby', 'infant', 'newborn', 'toddler']),
    bracket([3, 9], ['child']),
    bracket([10, 19], ['teenager', 'teenage', 'teen', 'teens', 'adolescent']),
    bracket([20, 29], ['twenties']),
    bracket([30, 39], ['thirties']),
    bracket([40, 49], ['forties']),
    bracket([50, 59], ['fifties']),
    bracket([60, 69], ['sixties']),
    bracket([70, 120], ['seventies', 'eighties', 'nineties'], 'more than 70'),
  ],
  isOrdinal: true,
};

const RACE: AttributeDefinition = {
  name: 'race',
  question:
    'Which of these describes the person in this picture best? Answer with one of White, Black, Latino or Hispanic, East Asian, Southeast Asian, Indian, Middle Eastern.',
  choices: [
    { text: 'White', labels: ['White'], synonyms: ['Caucasian', 'European'] },
    { text: 'Black', labels: ['Black'], synonyms: ['African', 'African American'] },
    {
      text: 'Latino or Hispanic',
      labels: ['Latino_Hispanic'],
      synonyms: ['Latino_Hispanic', 'Latino', 'Latina', 'Latinx', 'Hispanic'],
    },
    { text: 'East Asian', labels: ['East Asian'], synonyms: ['Chinese', 'Japanese', 'Korean'] },
    {
      text: 'Southeast Asian',
      labels: ['Southeast Asian'],
      synonyms: ['South-East Asian', 'Vietnamese', 'Thai', 'Filipino', 'Indonesian', 'Malay'],
    },
    { text: 'Indian', labels: ['Indian'], synonyms: ['South Asian'] },
    {
      text: 'Middle Eastern',
      labels: ['Middle Eastern', 'West Asian'],
      synonyms: ['West Asian', 'Arab', 'Arabic', 'Persian'],
    },
  ],
  // Said by people of themselves in the London set; no single choice is right.
  ignoredLabels: ['East Asian/White'],
};

const SMILE: AttributeDefinition = {
  name: 'smile',
  columns: ['smile', 'expression'],
  question: 'Is the person in this picture smiling? Answer smiling or not smiling.',
  choices: [
    {
      text: 'smiling',
      labels: ['smiling'],
      synonyms: ['smile', 'smiles', 'grinning', 'grin', 'yes'],
    },
    {
      text: 'not smiling',
      labels: ['neutral', 'sad', 'angry'],
      synonyms: ['unsmiling', 'neutral', 'serious', 'stern', 'no'],
      negationOf: ['smiling', 'smile', 'smiles', 'grinning', 'grin'],
    },
  ],
  // A posed mood, which may or may not show as a smile.
  ignoredLabels: ['happy', 'surprised', 'fearful', 'disgusted'],
};

const EXPRESSION: AttributeDefinition = {
  name: 'expression',
  question:
    'What is the expression of the person in this picture? Answer with one of neutral, happy, sad, angry.',
  choices: [
    { text: 'neutral', labels: ['neutral'], synonyms: ['calm', 'serious', 'expressionless'] },
    {
      text: 'happy',
      labels: ['happy', 'smiling'],
      synonyms: ['happiness', 'smiling', 'smile', 'smiles', 'joyful', 'joy', 'cheerful'],
    },
    { text: 'sad', labels: ['sad'], synonyms: ['sadness', 'unhappy', 'sorrowful'] },
    { text: 'angry', labels: ['angry'], synonyms: ['anger', 'annoyed', 'furious'] },
  ],
  ignoredLabels: ['surprised', 'fearful', 'disgusted'],
};

const EYEWEAR: AttributeDefinition = {
  name: 'eyewear',
  question:
    'What does the person in this picture wear over the eyes? Answer with one of no glasses, eyeglasses, sunglasses.',
  choices: [
    {
      text: 'no glasses',
      labels: ['none'],
      synonyms: ['none', 'nothing', 'no eyewear', 'no eyeglasses', 'no sunglasses'],
      negationOf: ['eyewear', 'glasses', 'eyeglasses', 'spectacles', 'sunglasses'],
    },
    {
      text: 'eyeglasses',
      labels: ['eyeglasses'],
      synonyms: ['glasses', 'eye glasses', 'spectacles', 'reading glasses'],
    },
    {
      text: 'sunglasses',
      labels: ['sunglasses'],
      synonyms: ['sun glasses', 'dark glasses', 'tinted glasses', 'shades'],
    },
  ],
};

export type BuiltInAttribute = 'gender' | 'age' | 'race' | 'smile' | 'expression' | 'eyewear';

/** In the order of tables. */
export const BUILT_IN_ATTRIBUTES: Readonly<Record<BuiltInAttribute, AttributeDefinition>> = {
  gender: GENDER,
  age: AGE,
  race: RACE,
  smile: SMILE,
  expression: EXPRESSION,
  eyewear: EYEWEAR,
};

/** The attribute of that name, if there is one. */
export function builtInAttribute(name: string): AttributeDefinition | undefined {
  return Object.hasOwn(BUILT_IN_ATTRIBUTES, name)
    ? BUILT_IN_ATTRIBUTES[name as BuiltInAttribute]
    : undefined;
}
