/**
 * A generated answer as sentences of words: case, typographic quotes and dashes, contractions and hyphens do not
 * matter. Numbers, and the signs that join or follow them, are words of their own.
 */

/** What reading needs of a text: a lower-case word, a number, or one of `-` (between numbers) `+` `,` `;` `:` `(` `)`. */
export type Word = string;

/** The words of a text, kept apart by white space. */
export function wordSet(words: string): ReadonlySet<Word> {
  return new Set(words.split(/\s+/));
}

const WORD = /\p{L}[\p{L}\p{M}]*|\d+(?:\.\d+)?|[-+,;:()]/gu;

function isNumber(word: Word | undefined): boolean {
  return word !== undefined && /^\d/.test(word);
}

function wordsOf(text: string): Word[] {
  const words: Word[] = text.match(WORD) ?? [];
  // A hyphen counts in "20-29", not in "middle-aged" or "30-year-old".
  return words.filter(
    (word, i) => word !== '-' || (isNumber(words[i - 1]) && isNumber(words[i + 1])),
  );
}

function normalise(text: string): string {
  return (
    text
      .normalize('NFKC')
      .toLowerCase()
      .replace(/[\u2018\u2019\u02bc]/g, "'")
      .replace(/[\u2010-\u2015\u2212]/g, '-')
      // Clothes are made for men and women, and worn by anybody.
      .replace(/\b(wo)?men's\b/g, '$1menswear')
      // "isn't" is "is not" (and "can't" is "can not"); "woman's" is "woman".
      .replace(/\bcan't\b/g, 'can not')
      .replace(/\bcannot\b/g, 'can not')
      .replace(/n't\b/g, ' not')
      .replace(/'s\b/g, '')
  );
}

/** The sentences of a text, each as its words; those without words are left out. */
export function sentencesOf(text: string): (readonly Word[])[] {
  return normalise(text)
    .split(/[.!?\u3002]+(?=\s|["')\]*]|$)|[\r\n]+/u)
    .map(wordsOf)
    .filter((words) => words.length > 0);
}

/** A phrase in the form in which two that read the same are equal. */
export function phraseOf(text: string): string {
  return wordsOf(normalise(text)).join(' ');
}
