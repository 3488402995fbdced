/** Generated answers read back to choices: a table of replies, and properties. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import { answerReader } from '../../lib/evaluation/answers/read-answer.js';
import {
  BUILT_IN_ATTRIBUTES,
  type BuiltInAttribute,
} from '../../lib/evaluation/labels/built-in.js';

/** Words of race said of other things, and of people among such things; what could be either is unread. */
const COLOURS_AND_THINGS: readonly (readonly [string, string | undefined])[] = [
  // Found in answers: the first sentence once decided by the hair, the shirt.
  ['She has long black hair and brown eyes. She appears to be East Asian.', 'East Asian'],
  ['The picture shows a man in a white shirt. His ethnicity looks Indian.', 'Indian'],
  ['The person has white hair.', undefined],
  ...[
    ...['Black hair', 'jet-black hair', 'a black-haired woman', 'black eyes', 'a black suit'],
    ...[
      'a white wall',
      'white teeth',
      'white skin',
      'a black leather jacket',
      'black-rimmed glasses',
    ],
    ...[
      'a white and gray beard',
      'A man with black and gray hair',
      'A person with black, long hair',
    ],
    ...[
      'a black, white and red dress',
      'a black and white photograph of a man',
      'It is black and white.',
    ],
    ...[
      'in front of a white background',
      'The background is white.',
      'The picture has a white background.',
    ],
    ...[
      'The hair is black.',
      'Her hair, which is black, is long.',
      'Hair: black',
      'hair color: black',
    ],
    ...[
      'The scarf of the man is white.',
      'The wall behind the woman is white.',
      'dressed in white',
    ],
    ...[
      'The man in black',
      "He's wearing black.",
      'The image is white.',
      'A man in a shirt that is black',
    ],
    ...['She has blonde hair.', 'He works a white-collar job.', 'the White House', 'Black Friday'],
    ...[
      'It was an Indian summer.',
      'a Persian rug',
      'a traditional Japanese kimono',
      'Chinese food',
    ],
    ...['The sign is in Arabic.', 'an African print dress', 'a European city', 'the Indian Ocean'],
    ...['His teeth can be seen. They are white.', 'She wears gloves. These are black.'],
    ...[
      'She is not White.',
      'Black or White',
      'a non-White person',
      'The shirt has a collar and is white.',
    ],
  ].map((reply) => [reply, undefined] as const),
  ...(
    [
      ['White', 'White: the skin is light.'],
      ['Black', 'Black, with short black hair.'],
      ['White', 'Race: White'],
      ['White', '{"race": "White", "hair": "black"}'],
      ['East Asian', 'Hair: black; eyes: brown; race: East Asian'],
      ['Black', 'Answer: Black'],
      ['Black', '(B) Black'],
      ['White', 'It is White.'],
      ['White', 'A young woman, probably White, with black hair.'],
      ['White', 'a White, middle-aged man'],
      ['Black', 'a Black 30-year-old woman in a white dress'],
      ['Black', 'Black male'],
      ['White', 'White or Caucasian'],
      ['White', 'The person in the image is White, based on the light skin.'],
      ['Black', 'The image shows a woman who is Black.'],
      ['Black', 'The person is not White but Black.'],
      ['Black', 'The person is an African American.'],
      ['Black', 'a man of African descent wearing white'],
      ['Indian', 'The ethnicity of the person in the picture is Indian.'],
      ['Indian', 'An Indian man in front of a Chinese temple.'],
      ['East Asian', 'The face has East Asian features.'],
      ['East Asian', 'Chinese eyes, as it seems'],
      ['Southeast Asian', 'I would say that she is most likely Filipino.'],
      // As our own training data says it.
      ['White', 'The features suggest a White background.'],
      ['Black', 'She appears to have a Black background.'],
      ['Latino or Hispanic', 'The person in the image appears to be Latino or Hispanic.'],
      ['Black', 'Her ethnic background: Black'],
      ['Indian', 'Against a white background, the person looks Indian.'],
    ] as const
  ).map(([choice, reply]) => [reply, choice] as const),
];

/** Reply to the choice that it is read as; undefined: unread. */
const REPLIES: Readonly<Record<string, readonly (readonly [string, string | undefined])[]>> = {
  gender: [
    ['Male', 'Male'],
    ['female.', 'Female'],
    ['**Female**', 'Female'],
    ['The person in the image is a man.', 'Male'],
    ['This is a young woman with long hair.', 'Female'],
    ["The woman's face is lit from the left.", 'Female'],
    ['The woman\u2019s face', 'Female'],
    ['He appears to be in his thirties.', 'Male'],
    ['{"gender": "Female", "age": "20-29"}', 'Female'],
    ['MALE', 'Male'],
    ['a boy', 'Male'],
    ['Male or Female. The person is Female.', 'Female'],
    [
      'The image shows the face of a woman. The visible traits are those of a female face.',
      'Female',
    ],
    ['The picture shows a man. Nothing more is noted on the face.', 'Male'],
    ['Male or female', undefined],
    ['It could be a man or a woman.', undefined],
    ['The person is not a man.', undefined],
    ['I cannot tell whether this is a man.', undefined],
    ['The demale', undefined],
    ['The face is lit by a man-made light.', undefined],
    ["The person wears a men's jacket.", undefined],
    ["The woman wears a men's jacket.", 'Female'],
    ['The hair is tied in a man bun.', undefined],
    ['', undefined],
    ['I am sorry, I cannot help with that.', undefined],
  ],
  age: [
    ['20-29', '20-29'],
    ['20\u201329', '20-29'],
    ['20 - 29 years old', '20-29'],
    ['20 to 29', '20-29'],
    ['more than 70', 'more than 70'],
    ['Over 70', 'more than 70'],
    ['over 70 years old', 'more than 70'],
    ['70+', 'more than 70'],
    ['older than 75', 'more than 70'],
    ['at least 70', 'more than 70'],
    ['under 3', '0-2'],
    ['less than 3 years', '0-2'],
    ['The person is 35 years old.', '30-39'],
    ['A 35-year-old woman', '30-39'],
    ['35', '30-39'],
    ['aged 42', '40-49'],
    ['Age: 42', '40-49'],
    ['Their age is about 61.', '60-69'],
    ['in his late 30s', '30-39'],
    ['mid-50s', '50-59'],
    ['in her twenties', '20-29'],
    ['between 20 and 30 years', '20-29'],
    ['between 40 and 49', '40-49'],
    ['25-35', '30-39'],
    ['a toddler', '0-2'],
    ['a teenager', '10-19'],
    ['2.5 years', '0-2'],
    ['The age range is 30-39. The light comes from the left.', '30-39'],
    ['There are 2 people; the man is 35 years old.', '30-39'],
    ['The person in the image looks between 20 and 29 years old.', '20-29'],
    ['The person looks more than 70 years old.', 'more than 70'],
    ['The age can be put at between 3 and 9 years.', '3-9'],
    ['An age estimate of more than 70 years fits the face.', 'more than 70'],
    ['late 30s or early 40s', undefined],
    ['There are 3 people.', undefined],
    ['over 100 pictures', undefined],
    ['in 1990', undefined],
    ['middle-aged', undefined],
    // Numbers of people and of years that pass are no ages.
    ['There are 2-3 people.', undefined],
    ['between 20 and 30 people', undefined],
    ['The photo was taken 40 years ago. The man is 61 years old.', '60-69'],
    ['He has over 20 years of experience.', undefined],
    ['for the last 30 years', undefined],
    ['a jacket in the style of the 80s', undefined],
    ['80s style clothing', undefined],
    ['35 years of age', '30-39'],
    ['20-29 years of age', '20-29'],
    ['The age group is 20-29, based on the skin.', '20-29'],
    // Children who are somebody else.
    ['A woman holding a baby. She looks 35 years old.', '30-39'],
    ['The man stands next to his child.', undefined],
    ['He wears a baby blue shirt.', undefined],
    ['This is a baby girl.', '0-2'],
    ['The image shows the face of a young child.', '3-9'],
    ['The photo of a toddler', '0-2'],
  ],
  race: [
    ['Southeast Asian', 'Southeast Asian'],
    ['South-East Asian', 'Southeast Asian'],
    ['East Asian', 'East Asian'],
    ['south asian', 'Indian'],
    ['Latino_Hispanic', 'Latino or Hispanic'],
    ['Latino or Hispanic', 'Latino or Hispanic'],
    ['Hispanic', 'Latino or Hispanic'],
    ['African-American', 'Black'],
    ['middle-eastern', 'Middle Eastern'],
    ['White.', 'White'],
    ['She appears to have an Indian background.', 'Indian'],
    ['A Black man in a white shirt.', 'Black'],
    ['Asian', undefined],
    ...COLOURS_AND_THINGS,
  ],
  smile: [
    ['smiling', 'smiling'],
    ['not smiling', 'not smiling'],
    ['Yes, she is smiling.', 'smiling'],
    ['Yes', 'smiling'],
    ['No.', 'not smiling'],
    ['No, he is not smiling.', 'not smiling'],
    ["He isn't smiling.", 'not smiling'],
    ['The expression is neutral, without a smile.', 'not smiling'],
    ['There is no visible smile.', 'not smiling'],
    ['The person has a broad smile.', 'smiling'],
    ['The face in the image shows a smiling expression.', 'smiling'],
    ['The person has a neutral expression.', 'not smiling'],
    ['unsmiling', 'not smiling'],
    ['non-smiling', 'not smiling'],
    ['not wearing glasses, smiling', 'smiling'],
    ['not wearing glasses and smiling', 'smiling'],
    ['She is smiling against a neutral background.', 'smiling'],
    ['The background is neutral.', undefined],
    ['It is unclear whether she is smiling.', undefined],
    ['The person wears no glasses.', undefined],
  ],
  eyewear: [
    ['no glasses', 'no glasses'],
    ['No glasses.', 'no glasses'],
    ['none', 'no glasses'],
    ['eyeglasses', 'eyeglasses'],
    ['The person wears glasses.', 'eyeglasses'],
    ['sunglasses', 'sunglasses'],
    ['dark glasses', 'sunglasses'],
    ['The person is not wearing glasses.', 'no glasses'],
    ["She doesn't wear any kind of glasses.", 'no glasses'],
    ['without eyewear', 'no glasses'],
    ['There are no glasses on the face.', 'no glasses'],
    ['Nothing.', 'no glasses'],
    ['There is a pair of sunglasses on the face.', 'sunglasses'],
    ['The picture shows a face. Nothing more is noted on the eyes.', undefined],
    ['None of the people is named.', undefined],
    ['neither glasses nor sunglasses', 'no glasses'],
    ['no glasses or sunglasses', 'no glasses'],
    ['glasses: none', 'no glasses'],
    ['{"glasses": "no"}', 'no glasses'],
    ['eyeglasses, not sunglasses', 'eyeglasses'],
    ['The man wears no hat but glasses.', 'eyeglasses'],
    ['No hat, sunglasses.', 'sunglasses'],
    ['glasses or sunglasses', undefined],
    ['The shirt has several shades of blue.', undefined],
    ['Two wine glasses stand on the table.', undefined],
    ['The eyes are open.', undefined],
  ],
  expression: [
    ['happy', 'happy'],
    ['smiling', 'happy'],
    ['The face shows sadness.', 'sad'],
    ['unhappy', 'sad'],
    ['not angry', undefined],
    ['neutral', 'neutral'],
    ['The expression on her face is neutral.', 'neutral'],
    ['A neutral expression can be seen.', 'neutral'],
    ['The lighting is neutral. The person looks sad.', 'sad'],
    ['A sad face in front of a calm, neutral background.', 'sad'],
    ['a card that says happy birthday', undefined],
  ],
};

describe('answers read back to choices', () => {
  for (const [attribute, replies] of Object.entries(REPLIES)) {
    const { choices } = BUILT_IN_ATTRIBUTES[attribute as BuiltInAttribute];
    const read = answerReader(choices);
    for (const [reply, expected] of replies) {
      it(`${attribute}: ${JSON.stringify(reply)} is ${expected ?? 'unread'}`, () => {
        const { choice } = read(reply);
        assert.equal(choice === undefined ? undefined : choices[choice]?.text, expected);
      });
    }
  }

  it('tells why an answer is unread', () => {
    const read = answerReader(BUILT_IN_ATTRIBUTES.gender.choices);
    assert.equal(read('a face').problem, 'nothing');
    assert.equal(read('male, female').problem, 'several');
  });

  it('reads every choice and synonym of every attribute, bare and in a sentence, in any case', () => {
    for (const { name, choices } of Object.values(BUILT_IN_ATTRIBUTES)) {
      const read = answerReader(choices);
      for (const [index, { text, synonyms = [] }] of choices.entries()) {
        for (const word of [text, ...synonyms]) {
          for (const reply of [word, ` ${word.toUpperCase()}.\n`, `I would say "${word}".`]) {
            assert.equal(read(reply).choice, index, `${name}: ${reply}`);
          }
        }
      }
    }
  });

  it('never throws, and gives a choice or a reason', () => {
    const words = fc.constantFrom(
      ...['no', 'not', 'glasses', 'smiling', 'man', 'woman', '20', '-', '29', 'years', 'whether'],
      ...[',', '.', ':', 'over', 'age', 's', '+', '\n', "isn't", 'East Asian', '\u0000', '\ud800'],
    );
    const replies = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(words, { maxLength: 30 }).map((list) => list.join(' ')),
    );
    const readers = Object.values(BUILT_IN_ATTRIBUTES).map(({ choices }) => ({
      ...{ read: answerReader(choices), count: choices.length },
    }));
    fc.assert(
      fc.property(replies, (reply) => {
        for (const { read, count } of readers) {
          const { choice, problem } = read(reply);
          assert.ok(choice === undefined ? problem !== undefined : choice >= 0 && choice < count);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('takes time in proportion to the length of an answer', () => {
    const read = answerReader(BUILT_IN_ATTRIBUTES.age.choices);
    assert.equal(read('over '.repeat(50_000)).choice, undefined);
    assert.equal(read('20-'.repeat(50_000)).choice, undefined);
    const race = answerReader(BUILT_IN_ATTRIBUTES.race.choices);
    assert.equal(race('white '.repeat(50_000)).choice, undefined);
    assert.equal(race('and white '.repeat(50_000)).choice, undefined);
  });
});
