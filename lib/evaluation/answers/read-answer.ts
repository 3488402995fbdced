/**
 * A generated answer read back to one of an attribute's choices. The rules, in full (docs/fairness.md tells them to
 * users):
 *
 * 1. Sentences are read one by one. The first one that names exactly one choice decides; one that names none or
 *    several is passed over. If no sentence decides, the answer is unread.
 * 2. A choice is named by its text or a synonym, as whole words, whatever the case. From left to right the longest
 *    phrase wins and its words are used up: "female" is not "male", "no glasses" is not "glasses". A bare "no",
 *    "none" or "nothing" is an answer only where no word follows it directly. Ages in years, ranges and decades
 *    name the choice that holds their middle.
 * 3. A phrase is denied by "no", "not", "without" and the like at most four words before it in the same clause, or
 *    by "no" or "none" after a colon ("glasses: none"). It then names the choice that lists it in `negationOf`, if
 *    any does. Denied phrases count only where the sentence names nothing else.
 * 4. What follows "whether" is not a statement and names nothing.
 * 5. Words that also describe things (a choice's `needsPerson`: "white", "Indian", "neutral", "baby") name a choice
 *    only where they are said of the person or are the whole answer: "white hair", "an Indian summer" and "holding
 *    a baby" name nothing. Nor do the set phrases of {@link IDIOMS}.
 */
import { readAge } from './age-words.js';
import { phraseOf, sentencesOf, type Word, wordSet } from './answer-words.js';
import type { AttributeChoice } from '../labels/definition.js';
import { isSaidOfPerson } from './said-of-person.js';

export type AnswerReading =
  | { readonly choice: number; readonly problem?: undefined }
  /** `nothing`: no choice is named; `several`: only sentences that name more than one. */
  | { readonly choice: undefined; readonly problem: 'nothing' | 'several' };

const NEGATORS = wordSet('no not without never neither nor non lacks lacking');
const AFTER_COLON = wordSet('no none not false absent');
/** These answer the question only where no word follows: not in "no glasses are worn" or "nothing more is noted". */
const NEEDS_END = wordSet('no none nothing');
/** A negation reaches no further than these. */
const CLAUSE_ENDS = wordSet(
  ', ; : ( ) and but with while however though although yet who which that',
);
const MAX_WORDS_BETWEEN = 4;
/** Words of choices that in these phrases mean something else. */
const IDIOMS =
  `black and white, white and black, man made, man bun, male pattern, boy band, boy cut, girl next
  door, lady bug, baby blue, baby pink, baby face, baby faced, baby hair, child like, shades of,
  glasses of, wine glasses, champagne glasses, drinking glasses`.split(/,\s+/);

interface Meaning {
  /** Choice that the phrase names. */
  affirmed?: number;
  /** Choice that it names when it is denied. */
  denied?: number;
  needsPerson?: boolean;
}

interface Vocabulary {
  readonly meanings: ReadonlyMap<string, Meaning>;
  readonly longest: number;
  readonly choices: readonly AttributeChoice[];
}

function vocabularyOf(choices: readonly AttributeChoice[]): Vocabulary {
  const meanings = new Map<string, Meaning>();
  const at = (word: string): Meaning => {
    const phrase = phraseOf(word);
    const meaning = meanings.get(phrase) ?? {};
    meanings.set(phrase, meaning);
    return meaning;
  };
  for (const idiom of IDIOMS) at(idiom);
  for (const [i, choice] of choices.entries()) {
    const { text, synonyms = [], negationOf = [], needsPerson = [] } = choice;
    for (const word of [text, ...synonyms]) at(word).affirmed = i;
    for (const word of negationOf) at(word).denied = i;
    for (const word of needsPerson) at(word).needsPerson = true;
  }
  const lengths = [...meanings.keys()].map((phrase) => phrase.split(' ').length);
  return { meanings, longest: Math.max(...lengths), choices };
}

interface Mention {
  readonly at: number;
  readonly length: number;
  readonly meaning: Meaning;
}

function phraseAt(words: readonly Word[], at: number, vocabulary: Vocabulary): Mention | undefined {
  for (let length = Math.min(vocabulary.longest, words.length - at); length > 0; length--) {
    const phrase = words.slice(at, at + length).join(' ');
    const meaning = vocabulary.meanings.get(phrase);
    const belongsToNext = NEEDS_END.has(phrase) && /^\p{L}/u.test(words[at + length] ?? '');
    if (meaning !== undefined && !belongsToNext) return { at, length, meaning };
  }
  return undefined;
}

function ageAt(words: readonly Word[], at: number, { choices }: Vocabulary): Mention | undefined {
  if (choices.every(({ years }) => years === undefined)) return undefined;
  const age = readAge(words, at);
  if (age === undefined) return undefined;
  const middle = Math.floor((age.low + age.high) / 2);
  const choice = choices.findIndex(
    ({ years }) => years !== undefined && years[0] <= middle && middle <= years[1],
  );
  return { at, length: age.length, meaning: choice === -1 ? {} : { affirmed: choice } };
}

/** The phrases of a sentence from left to right, none within another. */
function mentionsIn(words: readonly Word[], vocabulary: Vocabulary): Mention[] {
  const mentions: Mention[] = [];
  for (let at = 0; at < words.length && words[at] !== 'whether';) {
    const mention = phraseAt(words, at, vocabulary) ?? ageAt(words, at, vocabulary);
    if (mention !== undefined) mentions.push(mention);
    at += mention?.length ?? 1;
  }
  return mentions;
}

function isDenied(words: readonly Word[], { at, length }: Mention): boolean {
  for (let i = at - 1; i >= Math.max(0, at - 1 - MAX_WORDS_BETWEEN); i--) {
    const word = words[i] ?? '';
    if (CLAUSE_ENDS.has(word)) break;
    if (NEGATORS.has(word)) return true;
  }
  return words[at + length] === ':' && AFTER_COLON.has(words[at + length + 1] ?? '');
}

/** The choices that a sentence names. */
function namedIn(
  words: readonly Word[],
  vocabulary: Vocabulary,
  isFirst: boolean,
): ReadonlySet<number> {
  const affirmed = new Set<number>();
  const denied = new Set<number>();
  const mentions = mentionsIn(words, vocabulary);
  const phrases = new Map(mentions.map(({ at, length }) => [at, length]));
  const inPhrase = new Set(
    mentions.flatMap(({ at, length }) => Array.from({ length }, (_, k) => at + k)),
  );
  const sentence = { words, isFirst, phrases, inPhrase };
  for (const mention of mentions) {
    const { at, length, meaning } = mention;
    if (meaning.needsPerson === true && !isSaidOfPerson(sentence, at, length)) continue;
    if (!isDenied(words, mention)) {
      if (meaning.affirmed !== undefined) affirmed.add(meaning.affirmed);
    } else if (meaning.denied !== undefined) denied.add(meaning.denied);
  }
  return affirmed.size > 0 ? affirmed : denied;
}

/** Makes the reader of one attribute; the same one may read any number of answers. */
export function answerReader(choices: readonly AttributeChoice[]): (text: string) => AnswerReading {
  const vocabulary = vocabularyOf(choices);
  return (text) => {
    let isAmbiguous = false;
    for (const [i, words] of sentencesOf(text).entries()) {
      const [choice, ...others] = namedIn(words, vocabulary, i === 0);
      if (choice !== undefined && others.length === 0) return { choice };
      if (choice !== undefined) isAmbiguous = true;
    }
    return { choice: undefined, problem: isAmbiguous ? 'several' : 'nothing' };
  };
}
