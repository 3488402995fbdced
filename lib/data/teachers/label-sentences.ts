/**
 * Sentences for labels. Each bank says the same thing in several ways; the words that carry the label
 * are the same in all, so that a small model can learn them. Nothing is said that a label does not say.
 */
import type { Attribute, FaceLabels } from '../labels/vocabulary.js';
import { genderWord } from '../prompts/person.js';

/** The person as grammar needs it. */
export interface Subject {
  /** "a woman" */
  readonly noun: string;
  /** "The woman" */
  readonly the: string;
  /** "She" */
  readonly pronoun: string;
  /** "her" */
  readonly possessive: string;
}

export function subjectOf(labels: FaceLabels): Subject {
  const { gender, age } = labels;
  // "A man of 0 to 2 years" is no English.
  const isBaby = age === '0-2' && gender !== undefined;
  const word = isBaby ? (gender === 'Male' ? 'baby boy' : 'baby girl') : genderWord(labels);
  const pronouns = { Male: ['He', 'his'], Female: ['She', 'her'] } as const;
  const [pronoun, possessive] =
    gender === 'Male' || gender === 'Female' ? pronouns[gender] : (['The person', 'the'] as const);
  return { noun: `a ${word}`, the: `The ${word}`, pronoun, possessive };
}

/** "an Indian", "a White" */
export function withArticle(words: string): string {
  return `${/^[aeiou]/i.test(words) ? 'an' : 'a'} ${words}`;
}

/** "between 20 and 29 years old" */
export function ageWords(age: string): string {
  const range = /^(\d+)-(\d+)$/.exec(age);
  return range ? `between ${range[1]} and ${range[2]} years old` : `${age} years old`;
}

/** Latino_Hispanic is a column's word, not a reader's. */
export function raceWords(race: string): string {
  return race === 'Latino_Hispanic' ? 'Latino or Hispanic' : race;
}

const POSE: Readonly<Record<string, string>> = {
  frontal: 'turned to the camera',
  left: "turned to the person's left",
  right: "turned to the person's right",
  up: 'turned up',
  down: 'turned down',
};

type Bank = (value: string, subject: Subject) => readonly string[];

/** One sentence that answers a question about the attribute alone. */
export const SHORT: { readonly [attribute in Attribute]: Bank } = {
  gender: (_, { noun }) => [
    `The person in the image is ${noun}.`,
    `This is ${noun}.`,
    `The image shows ${noun}.`,
  ],
  age: (value) => [
    `The person in the image looks ${ageWords(value)}.`,
    `The person looks ${ageWords(value)}.`,
    `This person looks ${ageWords(value)}.`,
  ],
  race: (value) => [
    `The person in the image appears to be ${raceWords(value)}.`,
    `The person appears to be ${raceWords(value)}.`,
    `This person appears to be ${raceWords(value)}.`,
  ],
  expression: (value) => [
    `The face in the image shows ${withArticle(`${value} expression`)}.`,
    `The person has ${withArticle(`${value} expression`)}.`,
    `This face shows ${withArticle(`${value} expression`)}.`,
  ],
  pose: (value) => [
    `The face in the image is ${POSE[value] ?? value}.`,
    `The face is ${POSE[value] ?? value}.`,
    `This face is ${POSE[value] ?? value}.`,
  ],
  eyewear: (value) =>
    value === 'none'
      ? [
          'The person in the image is not wearing glasses.',
          'The person is not wearing glasses.',
          'This person is not wearing glasses.',
        ]
      : [
          `The person in the image is wearing ${value}.`,
          `The person is wearing ${value}.`,
          `This person is wearing ${value}.`,
        ],
};

/** One sentence of a longer answer, after the subject has been named. */
export const LONG: { readonly [attribute in Attribute]: Bank } = {
  gender: (value) => {
    const word = value.toLowerCase();
    return [
      `The visible traits are those of a ${word} face.`,
      `The face is that of a ${word} person.`,
      `The overall impression of the face is ${word}.`,
    ];
  },
  age: (value, { the, pronoun }) => [
    `${the} appears to be ${ageWords(value)}.`,
    `${pronoun} looks ${ageWords(value)}.`,
    `From the appearance of the face, the age can be put at ${ageWords(value).replace(' years old', ' years')}.`,
    `An age estimate of ${ageWords(value).replace(' years old', ' years')} fits the face.`,
  ],
  race: (value, { the, pronoun }) => [
    `${the} appears to be ${raceWords(value)}.`,
    `${pronoun} appears to have ${withArticle(`${raceWords(value)} background`)}.`,
    `The features suggest ${withArticle(`${raceWords(value)} background`)}.`,
  ],
  expression: (value, { the, possessive }) => [
    `${the} shows ${withArticle(`${value} expression`)}.`,
    `The expression on ${possessive} face is ${value}.`,
    `A ${value} expression can be seen.`.replace(/^A (?=[aeiou])/, 'An '),
  ],
  pose: (value, { possessive }) => [
    `The face is ${POSE[value] ?? value}.`,
    `In this picture ${possessive} head is ${POSE[value] ?? value}.`,
    `The head is ${POSE[value] ?? value}.`,
  ],
  eyewear: (value, { the, pronoun }) =>
    value === 'none'
      ? [
          `${the} is not wearing glasses.`,
          `${pronoun} wears no glasses.`,
          'There are no glasses on the face.',
        ]
      : [
          `${the} is wearing ${value}.`,
          `${pronoun} wears ${value}.`,
          `There is a pair of ${value} on the face.`,
        ],
};

/** Names the subject. */
export function openings({ noun }: Subject): readonly string[] {
  return [
    `The image shows the face of ${noun}.`,
    `This is a face image of ${noun}.`,
    `The picture shows ${noun}.`,
    `The face of ${noun} can be seen in the image.`,
  ];
}

/** Names nobody; for questions on which no label may be told. */
export const PLAIN_OPENINGS: readonly string[] = [
  'The image shows a face.',
  'The picture shows a face.',
  'This is an image of a face.',
  'A face can be seen in the image.',
];

/** Ends an answer on a topic that no label tells of. */
export function closings(topic: string): readonly string[] {
  return [
    `Nothing further is stated about the ${topic}.`,
    `This description says no more about the ${topic}.`,
    `No further statement about the ${topic} is made here.`,
    `Nothing more is noted on the ${topic}.`,
  ];
}
