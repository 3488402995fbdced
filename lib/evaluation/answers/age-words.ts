/**
 * Ages in the words of a sentence: "35 years old", "aged 35", "20-29", "between 20 and 29", "in his late 30s",
 * "over 70", "under 3 years". A number that nothing marks as an age ("2 people") is none.
 */
import { type Word, wordSet } from './answer-words.js';

export interface AgeMention {
  /** In years, both inclusive. */
  readonly low: number;
  readonly high: number;
  /** How many words it takes up. */
  readonly length: number;
}

const OLDEST = 120;
const UNIT = wordSet('year years yr yrs yo');
const JOIN = wordSet('- to and');
const BEFORE_AGE = wordSet('age aged ages');
const ABOVE = ['more than', 'older than', 'over', 'above', 'at least'];
const BELOW = ['less than', 'younger than', 'under', 'below', 'at most'];
const INCLUSIVE = new Set(['at least', 'at most']);
/** Between "age" and its number. */
const FILLER = wordSet('of is about around approximately roughly : range group');

function ageOf(word: Word | undefined): number | undefined {
  if (word === undefined || !/^\d/.test(word)) return undefined;
  const age = Math.floor(Number(word));
  return age <= OLDEST ? age : undefined;
}

/** What may follow an age; before any other word the number counts something else ("20-30 people"). */
const AFTER_AGE =
  wordSet(`, ; : ( ) + or and but old age aged range group bracket category in with based given judging
  due because as from for at is who which`);
/** Years that are no age: "40 years ago", "10 years of experience", "a 5-year contract", "the last 20 years". */
const AFTER_SPAN =
  wordSet(`ago later earlier before since of in together apart contract warranty period anniversary
  experience career veteran marriage service plan term`);
const BEFORE_SPAN = wordSet('last past next first for in after within every');
/** "80s style", "the 80s". */
const AFTER_ERA = wordSet('style fashion look music era vibe movie film decor');

function endsAsAge(next: Word | undefined): boolean {
  return next === undefined || UNIT.has(next) || AFTER_AGE.has(next);
}

/** "10 years" as a length of time, the unit standing at `unit`. */
function isSpan(words: readonly Word[], at: number, unit: number): boolean {
  if (!UNIT.has(words[unit] ?? '')) return false;
  const after = words[unit + 1] ?? '';
  // "35 years of age" is one.
  if (after === 'of' && words[unit + 2] === 'age') return false;
  return AFTER_SPAN.has(after) || BEFORE_SPAN.has(words[at - 1] ?? '');
}

/** "20-29", "20 to 29"; with "between" or "from" before them also "20 and 29". */
function readRange(words: readonly Word[], at: number): AgeMention | undefined {
  const low = ageOf(words[at]);
  const join = words[at + 1];
  const high = ageOf(words[at + 2]);
  if (low === undefined || high === undefined || low >= high) return undefined;
  if (join === undefined || !JOIN.has(join)) return undefined;
  if (join === 'and' && words[at - 1] !== 'between') return undefined;
  if (!endsAsAge(words[at + 3]) || isSpan(words, at, at + 3)) return undefined;
  return { low, high, length: 3 };
}

/** "30s". */
function readDecade(words: readonly Word[], at: number): AgeMention | undefined {
  const low = ageOf(words[at]);
  if (low === undefined || low % 10 !== 0 || words[at + 1] !== 's') return undefined;
  if (words[at - 1] === 'the' || AFTER_ERA.has(words[at + 2] ?? '')) return undefined;
  return { low, high: low + 9, length: 2 };
}

/** "over 70", "under 3", as the nearest whole age on that side. */
function readBound(words: readonly Word[], at: number): AgeMention | undefined {
  for (const [phrases, step] of [
    [ABOVE, 1],
    [BELOW, -1],
  ] as const) {
    for (const phrase of phrases) {
      const parts = phrase.split(' ');
      if (!parts.every((part, i) => words[at + i] === part)) continue;
      const bound = ageOf(words[at + parts.length]);
      const next = at + parts.length + 1;
      if (bound === undefined || !endsAsAge(words[next]) || isSpan(words, at, next)) continue;
      const age = Math.max(0, bound + (INCLUSIVE.has(phrase) ? 0 : step));
      return { low: age, high: age, length: parts.length + 1 };
    }
  }
  return undefined;
}

function followsAge(words: readonly Word[], at: number): boolean {
  let before = at - 1;
  while (before >= 0 && FILLER.has(words[before] ?? '')) before -= 1;
  return BEFORE_AGE.has(words[before] ?? '');
}

/** "70+", "35 years", "aged 35", or a number that is the whole sentence. */
function readSingle(words: readonly Word[], at: number): AgeMention | undefined {
  const age = ageOf(words[at]);
  if (age === undefined || isSpan(words, at, at + 1)) return undefined;
  if (words[at + 1] === '+') return { low: age, high: age, length: 2 };
  const isMarked = UNIT.has(words[at + 1] ?? '') || followsAge(words, at) || words.length === 1;
  return isMarked ? { low: age, high: age, length: 1 } : undefined;
}

/** The age that begins at this word, if one does. */
export function readAge(words: readonly Word[], at: number): AgeMention | undefined {
  return (
    readRange(words, at) ?? readDecade(words, at) ?? readBound(words, at) ?? readSingle(words, at)
  );
}
