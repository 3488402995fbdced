/**
 * The authors' way from a reply to an option, as aggregate_results.py of github Kartik-3004/facexbench
 * finds it, faults included: "A woman, so the answer is C" is an A, a lower-case "b" is nothing, and
 * "13 people" is the option 1. Numbers can be compared with theirs only if read like theirs.
 */
import { pythonPattern, pythonStrip } from './python-text.js';

/** A letter as a word of its own, the word Option before it, or a sign after or around it. */
const LABEL_FORMS = [
  '\\b\\(?([A-Za-z])\\)?\\b',
  '\\bOption\\s+([A-Za-z])\\b',
  '\\b([A-Za-z])\\.',
  '\\b([A-Za-z]):',
  '\\b([A-Za-z])\\s+-',
  '\\b\\(([A-Za-z])\\)',
];
const AT_START = LABEL_FORMS.map((form) => pythonPattern(form, 'y'));
const ANYWHERE = LABEL_FORMS.map((form) => pythonPattern(form, 'g'));

/** `A`, `B` and on, one for each option. */
export function optionLabels(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String.fromCharCode(65 + i));
}

/**
 * Index of the option that a reply is taken for, or undefined, which counts as wrong. The first rule
 * that gives a valid label wins: each pattern at the very start; each pattern anywhere, its matches
 * from left to right; the first option whose text occurs anywhere in the reply.
 */
export function extractOfficial(
  reply: string,
  options: readonly (string | number)[],
): number | undefined {
  const text = pythonStrip(reply);
  const labels = optionLabels(options.length);
  const indexOf = (label: string | undefined): number => labels.indexOf(label ?? '');
  for (const pattern of AT_START) {
    pattern.lastIndex = 0;
    const index = indexOf(pattern.exec(text)?.[1]);
    if (index >= 0) return index;
  }
  for (const pattern of ANYWHERE) {
    for (const match of text.matchAll(pattern)) {
      const index = indexOf(match[1]);
      if (index >= 0) return index;
    }
  }
  const byText = options.findIndex((option) => text.includes(pythonStrip(String(option))));
  return byText >= 0 ? byText : undefined;
}
