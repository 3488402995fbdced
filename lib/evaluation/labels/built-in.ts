/**
 * The attributes that are known by name: FairFace's three with its strings (joojs/fairface), and what other labelled
 * folders say of expression and eyewear. What is asked and what the answers are is the wording of training data
 * (CLOSED_QUESTIONS); here stands how answers in other words are read. Take one and change it for another question or
 * other words.
 */
import { VOCABULARY } from '../../data/labels/vocabulary.js';
import { CLOSED_QUESTIONS, type ClosedQuestionName } from '../../data/prompts/closed-questions.js';
import type { AttributeChoice, AttributeDefinition } from './definition.js';

export type BuiltInAttribute = ClosedQuestionName;

/** What may be said of a choice besides its text and labels. */
interface Reading extends Partial<Pick<AttributeChoice, 'synonyms' | 'negationOf' | 'years'>> {
  /** Labels that other folders use for it. */
  readonly moreLabels?: readonly string[];
}

type Rest = Pick<AttributeDefinition, 'columns' | 'isOrdinal'> & {
  /** By text of the choice. */
  readonly readings: Readonly<Record<string, Reading>>;
  /** Labels of other folders that no single choice answers. */
  readonly moreIgnored?: readonly string[];
  /** Words of any choice that also describe things. @default none */
  readonly needsPerson?: 'all' | readonly string[];
};

function define(
  name: BuiltInAttribute,
  { readings, moreIgnored = [], needsPerson = [], ...rest }: Rest,
): AttributeDefinition {
  const { attribute, question, answers } = CLOSED_QUESTIONS[name];
  const choices = [...new Set(Object.values(answers))].map((text): AttributeChoice => {
    const { moreLabels = [], ...reading } = readings[text] ?? {};
    const labels = Object.keys(answers).filter((label) => answers[label] === text);
    const words = [text, ...(reading.synonyms ?? [])];
    const ofPeople = words.filter((word) => needsPerson === 'all' || needsPerson.includes(word));
    return { text, labels: [...labels, ...moreLabels], ...reading, needsPerson: ofPeople };
  });
  const unanswered = VOCABULARY[attribute].filter((label) => !Object.hasOwn(answers, label));
  return { name, question, choices, ignoredLabels: [...unanswered, ...moreIgnored], ...rest };
}

/** In the order of tables. */
export const BUILT_IN_ATTRIBUTES: Readonly<Record<BuiltInAttribute, AttributeDefinition>> = {
  gender: define('gender', {
    readings: {
      Male: { synonyms: ['man', 'men', 'boy', 'gentleman', 'masculine', 'he', 'him', 'his'] },
      Female: { synonyms: ['woman', 'women', 'girl', 'lady', 'feminine', 'she', 'her', 'hers'] },
    },
  }),
  age: define('age', {
    columns: ['age', 'age_bracket'],
    isOrdinal: true,
    needsPerson: [
      'baby',
      'infant',
      'newborn',
      'toddler',
      'child',
      'teenager',
      'teen',
      'adolescent',
    ],
    readings: {
      '0-2': { years: [0, 2], synonyms: ['baby', 'infant', 'newborn', 'toddler'] },
      '3-9': { years: [3, 9], synonyms: ['child'] },
      '10-19': {
        years: [10, 19],
        synonyms: ['teenager', 'teenage', 'teen', 'teens', 'adolescent'],
      },
      '20-29': { years: [20, 29], synonyms: ['twenties'] },
      '30-39': { years: [30, 39], synonyms: ['thirties'] },
      '40-49': { years: [40, 49], synonyms: ['forties'] },
      '50-59': { years: [50, 59], synonyms: ['fifties'] },
      '60-69': { years: [60, 69], synonyms: ['sixties'] },
      'more than 70': { years: [70, 120], synonyms: ['seventies', 'eighties', 'nineties'] },
    },
  }),
  race: define('race', {
    needsPerson: 'all',
    readings: {
      White: { synonyms: ['Caucasian', 'European'] },
      Black: { synonyms: ['African', 'African American'] },
      'Latino or Hispanic': {
        synonyms: ['Latino_Hispanic', 'Latino', 'Latina', 'Latinx', 'Hispanic'],
      },
      'East Asian': { synonyms: ['Chinese', 'Japanese', 'Korean'] },
      'Southeast Asian': {
        synonyms: ['South-East Asian', 'Vietnamese', 'Thai', 'Filipino', 'Indonesian', 'Malay'],
      },
      Indian: { synonyms: ['South Asian'] },
      'Middle Eastern': {
        moreLabels: ['West Asian'],
        synonyms: ['West Asian', 'Arab', 'Arabic', 'Persian'],
      },
    },
    // Said by people of themselves in the London set; no single choice is right.
    moreIgnored: ['East Asian/White'],
  }),
  smile: define('smile', {
    columns: ['smile', 'expression'],
    needsPerson: ['neutral', 'serious', 'stern'],
    readings: {
      smiling: { synonyms: ['smile', 'smiles', 'grinning', 'grin', 'yes'] },
      'not smiling': {
        synonyms: ['unsmiling', 'neutral', 'serious', 'stern', 'no'],
        negationOf: ['smiling', 'smile', 'smiles', 'grinning', 'grin'],
      },
    },
  }),
  expression: define('expression', {
    needsPerson: ['neutral', 'calm', 'serious', 'happy', 'cheerful'],
    readings: {
      neutral: { synonyms: ['calm', 'serious', 'expressionless'] },
      happy: {
        synonyms: ['happiness', 'smiling', 'smile', 'smiles', 'joyful', 'joy', 'cheerful'],
      },
      sad: { synonyms: ['sadness', 'unhappy', 'sorrowful'] },
      angry: { synonyms: ['anger', 'annoyed', 'furious'] },
    },
  }),
  eyewear: define('eyewear', {
    readings: {
      'no glasses': {
        synonyms: ['none', 'nothing', 'no eyewear', 'no eyeglasses', 'no sunglasses'],
        negationOf: ['eyewear', 'glasses', 'eyeglasses', 'spectacles', 'sunglasses'],
      },
      eyeglasses: { synonyms: ['glasses', 'eye glasses', 'spectacles', 'reading glasses'] },
      sunglasses: { synonyms: ['sun glasses', 'dark glasses', 'tinted glasses', 'shades'] },
    },
  }),
};

/** The attribute of that name, if there is one. */
export function builtInAttribute(name: string): AttributeDefinition | undefined {
  return Object.hasOwn(BUILT_IN_ATTRIBUTES, name)
    ? BUILT_IN_ATTRIBUTES[name as BuiltInAttribute]
    : undefined;
}
