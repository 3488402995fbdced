/**
 * Whether a word that also describes things ("white" of a wall, "Indian" of a summer, "neutral" of a background) is
 * said of the person. What counts is listed here, not what does not: of a word that is not known nobody can tell
 * whether it names a person or a scarf, and an answer is then unread rather than guessed at.
 */
import { type Word, wordSet } from './answer-words.js';

/** Whoever is asked about, what is asked, and who answers. */
const PERSON =
  wordSet(`person people man men woman women boy girl lady gentleman guy male female adult individual subject
  baby infant newborn toddler child teenager teen adolescent he she someone face facial appearance features feature
  traits race ethnicity ethnic racial descent ancestry heritage origin origins nationality american americans expression
  expressions look mood emotion demeanor demeanour gender age i my answer option options choice choices`);
/** Of a person's face, but they have a colour of their own. */
const FACE_PARTS = wordSet('eyes mouth lips brow brows eyebrows forehead gaze');
/** Say nothing of what a sentence is about. */
const FILLER =
  wordSet(`a an the this that these it they is are was be been being am appears appear appearing appeared
  seems seem seemed looks looking looked can could may might would will should must to of as like me we their his her
  its there say think guess believe estimate describe described identify identified classify classified categorized
  considered perceived recognized labeled labelled called shown depicted pictured visible seen show shows showing
  depict depicts depicting suggest suggests suggesting indicate indicates belong belongs belonging has have having
  most more very quite rather fairly somewhat slightly likely probably possibly perhaps maybe possible probable
  clearly definitely apparently predominantly primarily mostly generally also well not nor neither either both than
  best category group description out given yes no ok okay`);
/** May stand between an adjective and the person. */
const MODIFIER =
  wordSet(`young younger old older elderly middle aged mature senior teenage little small cute smiling serious
  calm happy relaxed typical looking presenting year years`);
const COLOURS =
  wordSet(`white black grey gray red blue brown green yellow orange pink purple beige golden silver dark light
  pale blond blonde`);
const ARTICLES = wordSet('a an the his her their its my your some any one');
const PICTURES = wordSet('image picture photo photograph portrait headshot');
const SHOWING = wordSet(
  'shows show showing depicts depicting features displays contains captures presents',
);
const WITHIN = wordSet('in of from on');
const VERBS = wordSet('is are was has have appears appear seems seem looks');
/** Where a noun would have to have come. */
const AFTER =
  wordSet(`in on at by from for with without based because due given judging as but while who which that though
  although however and or`);
const MARKS = wordSet(', ; : ( )');
/** A clause may take over the person of the clause before these. */
const BOUNDARIES = wordSet(', ; : ( ) and or but who that which while however though although yet');
/** "appears to have a Black background" is a judgement, "has a black background" may be the studio's. */
const JUDGING = wordSet(
  'appears appear seems seem suggest suggests indicate indicates ethnic racial',
);

/** Words in their order, with the places that phrases of the choices take up. */
export interface Sentence {
  readonly words: readonly Word[];
  /** Nothing came before it, so "it" and "this" are what was asked about. */
  readonly isFirst: boolean;
  /** By first word, the number of words. */
  readonly phrases: ReadonlyMap<number, number>;
  /** Every word of a phrase. */
  readonly inPhrase: ReadonlySet<number>;
}

/** Words looked at on either side; what needs more is not understood. */
const REACH = 60;

type Noun = 'person' | 'background' | 'thing' | 'none';

/** What the phrase that ends before `at` stands before, other adjectives passed over. */
function nounAfter({ words, phrases }: Sentence, at: number, ofColour: boolean): Noun {
  let isMixed = false;
  for (let i = at; i < at + REACH;) {
    const word = words[i];
    if (word === undefined || (MARKS.has(word) && word !== ',')) return isMixed ? 'thing' : 'none';
    const length = phrases.get(i);
    if (length !== undefined && !PERSON.has(word)) i += length;
    else if (PERSON.has(word) || (!ofColour && FACE_PARTS.has(word))) return 'person';
    else if (word === 'background') return 'background';
    else if (MODIFIER.has(word) || /^\d/.test(word)) i += 1;
    else if (COLOURS.has(word)) {
      isMixed = true;
      i += 1;
    } else if (word === ',' || word === 'and' || word === 'or') {
      const next = words[i + 1] ?? '';
      const goesOn = phrases.has(i + 1) || COLOURS.has(next) || MODIFIER.has(next);
      if (!goesOn) return isMixed ? 'thing' : 'none';
      i += 1;
    } else return AFTER.has(word) && !isMixed ? 'none' : 'thing';
  }
  return 'thing';
}

/** "in the image", "the image shows", "a photo of": how many words they take up before `end`; 0 if it is neither. */
function pictureWords(words: readonly Word[], end: number, at: number): number {
  const next = words[end + 1] ?? '';
  if (SHOWING.has(next)) return 1;
  if (next === 'of' && !words.slice(end, at).some((word) => VERBS.has(word))) return 1;
  if (WITHIN.has(words[end - 1] ?? '')) return 2;
  return WITHIN.has(words[end - 2] ?? '') && FILLER.has(words[end - 1] ?? '') ? 3 : 0;
}

/** Whether nothing before `at` could be what is described but the person, or nothing is described at all. */
function isOfPersonBefore(sentence: Sentence, at: number, ofColour: boolean): boolean {
  const { words, isFirst, inPhrase } = sentence;
  let hasPerson = false;
  let hasVerb = false;
  for (let i = at - 1; i >= 0; i--) {
    if (i < at - REACH) return false;
    const word = words[i] ?? '';
    if (BOUNDARIES.has(word)) {
      if (hasPerson) return true;
    } else if (PERSON.has(word) || (!ofColour && FACE_PARTS.has(word))) hasPerson = true;
    else if (PICTURES.has(word)) {
      const length = pictureWords(words, i, at);
      if (length === 0) return false;
      i -= length - 1;
    } else if (word === 'background') {
      if (!PERSON.has(words[i - 1] ?? '')) return false;
    } else {
      const isJoin = word === 'on' && i < at - 1;
      const isKnown = FILLER.has(word) || MODIFIER.has(word) || isJoin || word.length === 1;
      if (!isKnown && !inPhrase.has(i)) return false;
      hasVerb ||= VERBS.has(word);
    }
  }
  // "White." is the answer; of a later "They are white." nobody knows what is.
  return hasPerson || isFirst || !hasVerb;
}

/** Whether the `length` words at `at` are said of the person, or are an answer by themselves. */
export function isSaidOfPerson(sentence: Sentence, at: number, length: number): boolean {
  const { words } = sentence;
  const first = words[at] ?? '';
  const ofColour = COLOURS.has(first);
  if (PERSON.has(first)) return isOfPersonBefore(sentence, at, ofColour);
  const noun = nounAfter(sentence, at + length, ofColour);
  if (noun === 'person') return true;
  if (noun === 'thing') return false;
  // "a White" is no noun; "an African American" is one.
  if (noun === 'none' && ofColour && ARTICLES.has(words[at - 1] ?? '')) return false;
  if (
    noun === 'background' &&
    ofColour &&
    !words.slice(Math.max(0, at - REACH), at).some((word) => JUDGING.has(word))
  ) {
    return false;
  }
  return isOfPersonBefore(sentence, at, ofColour);
}
