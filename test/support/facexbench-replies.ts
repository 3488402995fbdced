/**
 * Replies of models and what the two readings must make of them, worked out from the rules by hand: a
 * letter is an option, '-' is none. One character of `official`, one of `strict`.
 */

export interface ReplyTable {
  readonly about: string;
  readonly options: readonly (string | number)[];
  /** Reply to `official strict`. */
  readonly replies: readonly (readonly [reply: string, expected: string])[];
}

const GENDER = ['Both', 'Male', 'Female', 'None of the above'];

export const REPLIES: readonly ReplyTable[] = [
  {
    about: 'a lone letter, and white space as Python knows it',
    options: GENDER,
    replies: [
      ...['A', 'B', 'C', 'D'].map((letter) => [letter, `${letter} ${letter}`] as const),
      ...[' B ', '\nB\n', '\tB', 'B\n\n', '\u00a0B\u00a0', '\u3000B', 'B\u2028'].map(
        (reply) => [reply, 'B B'] as const,
      ),
      // Separators that JavaScript does not call white space, then one that only JavaScript does.
      ['\x1fB', 'B B'],
      ['\x85B', 'B B'],
      ['\ufeffB', 'B -'],
      ['B\ufeff', 'B -'],
      ['\u200bB', 'B -'],
      ...['', '   ', '.', '()', '?!', '\u{1f642}'].map((reply) => [reply, '- -'] as const),
    ],
  },
  {
    about: 'letters that are no label',
    options: GENDER,
    replies: [
      ...['b', '(b)', 'b.', 'c', 'a', 'option b', 'Option b', 'answer: b'].map(
        (reply) => [reply, '- -'] as const,
      ),
      ...['E', 'Z', 'E.', 'I', 'Option E', '\u0411', '\uff22', 'AB', 'ABC', 'BD'].map(
        (reply) => [reply, '- -'] as const,
      ),
      // Skipped, and the search goes on.
      ['a A', 'A -'],
      ['d. D', 'D -'],
      ['E or B', 'B -'],
      ['I think the answer is C', 'C -'],
      ["I'd say D", 'D -'],
      ["It's a B", 'B -'],
    ],
  },
  {
    about: 'where a word begins and ends, in any script',
    options: GENDER,
    replies: [
      ...['_B', 'B_', 'B2', '2B', 'A1', 'ANSWER_B', 'OptionB'].map(
        (reply) => [reply, '- -'] as const,
      ),
      ...[
        '\u00c9B',
        'B\u00c9',
        '\u7b54\u6848\u662fB',
        'B\u662f',
        '\u00bdB',
        '\u00b2B',
        '\u2460B',
      ].map((reply) => [reply, '- -'] as const),
      ...['\u00c9 B', '\u7b54\u6848\u662f B', '\u7b54\u6848\uff1aB', 'B\u3002', 'B\u0301'].map(
        (reply) => [reply, 'B -'] as const,
      ),
      ...['\u00b4B', '\u{1f642}B', '\u{1f642} B', 'B\u200b'].map(
        (reply) => [reply, 'B -'] as const,
      ),
    ],
  },
  {
    about: 'signs around a letter',
    options: GENDER,
    replies: [
      ...['(B)', '[B]', 'B)', '(B', 'B]', 'B.', 'B:', '**B**', '*B*', '**(B)**', '(B).'].map(
        (reply) => [reply, 'B B'] as const,
      ),
      ...['{B}', '<B>', '"B"', "'B'", '`B`', '((B))', '( B )', '$B$', '\\boxed{B}'].map(
        (reply) => [reply, 'B -'] as const,
      ),
      ...[
        'B -',
        'B,',
        'B;',
        'B!',
        'B?',
        'B...',
        'B/',
        'B-A',
        'B\u2013Male',
        'ANSWER=B',
        'B\u00a0-',
      ].map((reply) => [reply, 'B -'] as const),
      ['C++', 'C -'],
      ['D#', 'D -'],
      ['grade C-', 'C -'],
    ],
  },
  {
    about: 'the word Option',
    options: GENDER,
    replies: [
      ...['Option B', 'Option B.', 'Option (B)', 'Option B:', '**Option B**'].map(
        (reply) => [reply, 'B B'] as const,
      ),
      ...['option B', 'OPTION B', 'Option  B', 'Option\nB', 'Option\u00a0B', 'Option: B'].map(
        (reply) => [reply, 'B -'] as const,
      ),
      ['Options B', 'B -'],
      ['Option C is right', 'C -'],
      ['Correct answer is option C', 'C -'],
    ],
  },
  {
    about: 'a letter with a text',
    options: GENDER,
    replies: [
      ...['B. Male', '(B) Male', 'B) Male', 'B: Male', 'B - Male', 'B Male', '[B] Male'].map(
        (reply) => [reply, 'B B'] as const,
      ),
      ...['Option B: Male', 'Option B - Male', 'B. male', 'B. Male.', '(B) MALE', 'B.\nMale'].map(
        (reply) => [reply, 'B B'] as const,
      ),
      ['B\nMale', 'B B'],
      ['**B.** Male', 'B B'],
      ['**B. Male**', 'B -'],
      ['B.Male', 'B -'],
      ['D. None of the above', 'D D'],
      ['A Both', 'A A'],
      // The text of another option, or of none.
      ['B. Female', 'B -'],
      ['C. Male', 'C -'],
      ['A. Male', 'A -'],
      ['B. Maybe', 'B -'],
      ['B because of the beard', 'B -'],
    ],
  },
  {
    about: 'a text without a letter',
    options: GENDER,
    replies: [
      ['Male', 'B B'],
      ['Female', 'C C'],
      ['Both', 'A A'],
      ['None of the above', 'D D'],
      ['None of the above.', 'D D'],
      ['Male.', 'B B'],
      ['male', '- B'],
      ['female', '- C'],
      ['FEMALE', '- C'],
      ['both.', '- A'],
      ['Male!', 'B -'],
      ['None', '- -'],
      ['Woman', '- -'],
      ['This is a man.', '- -'],
      ['The person is male.', '- -'],
      ['The person is Male', 'B -'],
      ['The person is Female', 'C -'],
      // Options are tried in their order, not in that of the reply.
      ['Male or Female', 'B -'],
      ['Female or Male', 'B -'],
      ['Female, Male, Both', 'A -'],
      ['Both Male and Female', 'A -'],
      ['Bothersome', 'A -'],
      ['Maleficent', 'B -'],
      // Behind a letter that is no label.
      ['X. Male', 'B -'],
      ['E. Male', 'B -'],
      ['e) Male', 'B -'],
    ],
  },
  {
    about: 'the first valid letter anywhere, be it an article',
    options: GENDER,
    replies: [
      ['A woman, so the answer is C', 'A -'],
      ['A man', 'A -'],
      ['A male face is shown. The answer is B.', 'A -'],
      ['Answer: A woman', 'A -'],
      ['Q: which? A: Male', 'A -'],
      ['Not A but B', 'A -'],
      ['The answer is B, not C', 'B -'],
      ['C, not B', 'C -'],
      ['B or C', 'B -'],
      ['Either C or B', 'C -'],
      ['A, B, C, D', 'A -'],
      ['D C B A', 'D -'],
      ['A-B', 'A -'],
      ['Answer: B', 'B -'],
      ['Answer:B', 'B -'],
      ['The correct answer is (C).', 'C -'],
      ['The correct option is: C. Female', 'C -'],
      ['final answer - D', 'D -'],
      ["Can't tell: C", 'C -'],
      ['Vitamin C', 'C -'],
      ['Plan B', 'B -'],
      ['U.S. citizen', '- -'],
      ['T-shirt, B', 'B -'],
      ['The subject wears glasses.\nTherefore: D', 'D -'],
    ],
  },
  {
    about: 'options that are integers',
    options: [1, 3, 0, 2],
    replies: [
      ['1', 'A A'],
      ['3', 'B B'],
      ['0', 'C C'],
      ['2', 'D D'],
      ['1.', 'A A'],
      ['A. 1', 'A A'],
      ['(D) 2', 'D D'],
      ['C. 0', 'C C'],
      ['13 people', 'A -'],
      ['30', 'B -'],
      ['20', 'C -'],
      ['12', 'A -'],
      ['1.0', 'A -'],
      ['-1', 'A -'],
      ['2 images', 'D -'],
      ['There are 0 of 3', 'B -'],
      ['I count 2', 'D -'],
      ['a 2', 'D -'],
      ['A: 3', 'A -'],
      ['B. 1', 'B -'],
      ['4', '- -'],
      ['two', '- -'],
      ['\u0663', '- -'],
      ['\uff11', '- -'],
    ],
  },
  {
    about: 'options of which one is part of another',
    options: ['Image 1', 'Image 1, Image 4', 'Image 1, Image 2, Image 3', 'Image 4'],
    replies: [
      ['Image 1', 'A A'],
      ['Image 1, Image 4', 'A B'],
      ['Image 1, Image 2, Image 3', 'A C'],
      ['Image 4', 'D D'],
      ['Image 4, Image 1', 'A -'],
      ['Image 10', 'A -'],
      ['image 1', '- A'],
      ['Image 5', '- -'],
      ['B. Image 1, Image 4', 'B B'],
      ['D. Image 1', 'D -'],
      ['Image A', 'A -'],
    ],
  },
  {
    about: 'ranges',
    options: ['38 to 42', '0 to 10', '-10 to 0', '-20 to -10'],
    replies: [
      ['38 to 42', 'A A'],
      ['38 to 42.', 'A A'],
      ['138 to 420', 'A -'],
      ['40', '- -'],
      ['38-42', '- -'],
      ['38  to 42', '- -'],
      ['About 40, so A', 'A -'],
      ['0 to 10', 'B B'],
      ['20 to 10', 'B -'],
      ['-10 to 0', 'C C'],
      ['D. -20 to -10', 'D D'],
      ['-20 to -10 degrees', 'D -'],
    ],
  },
  {
    about: 'an option that begins another',
    options: ['Not Sure', 'No', 'Cannot Determine', 'Yes'],
    replies: [
      ['No', 'B B'],
      ['Not Sure', 'A A'],
      ['Not sure', 'B A'],
      ['Nothing', 'B -'],
      ['None', 'B -'],
      ['Unknown', '- -'],
      ['Yes, No', 'B -'],
      ['Yes', 'D D'],
      ['yes.', '- D'],
      ['Cannot determine', '- C'],
      ['I do not know', '- -'],
    ],
  },
  {
    about: 'two options: further letters are no labels',
    options: ['Real', 'Fake'],
    replies: [
      ['A', 'A A'],
      ['B', 'B B'],
      ['C', '- -'],
      ['Option D', '- -'],
      ['C. Fake', 'B -'],
      ['C or B', 'B -'],
      ['Really', 'A -'],
      ['Unreal', '- -'],
    ],
  },
  {
    about: 'odd options',
    options: ['B', 'A', '  padded ', '', 'e'],
    replies: [
      // Options that are letters: the reply may mean either.
      ['A', 'A -'],
      ['A. B', 'A A'],
      ['B. A', 'B B'],
      ['C. padded', 'C C'],
      ['padded', 'C C'],
      ['E', 'E E'],
      ['E. e', 'E E'],
      // The empty text is part of every reply.
      ['anything', 'D -'],
      ['', 'D -'],
    ],
  },
];
