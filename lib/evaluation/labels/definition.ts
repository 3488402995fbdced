/** What an attribute is: a question, the answers that are possible, and the labels that mean each of them. */
import { createError } from '../../errors.js';
import { phraseOf } from '../answers/answer-words.js';

export interface AttributeChoice {
  /** The answer whose probability is computed, and which a generated answer is expected to name. */
  readonly text: string;
  /** Values of the label file that mean this answer. The first one names it in tables of groups. */
  readonly labels: readonly string[];
  /** Other words for it in generated answers. */
  readonly synonyms?: readonly string[] | undefined;
  /** Those of its words that also describe things, as "white" does a wall: they count only where said of the person. */
  readonly needsPerson?: readonly string[] | undefined;
  /** Words that mean this answer when they are denied: "glasses" for `no glasses`. */
  readonly negationOf?: readonly string[] | undefined;
  /** Lowest and highest age in years, both inclusive: ages in generated answers are read. */
  readonly years?: readonly [number, number] | undefined;
}

export interface AttributeDefinition {
  /** In tables and ids: letters, digits, `-` and `_`. */
  readonly name: string;
  /** Columns of the label file that may hold it; the first that exists is read. @default the name */
  readonly columns?: readonly string[] | undefined;
  /** What the model is asked, exactly. */
  readonly question: string;
  /** At least two, in their order where there is one. */
  readonly choices: readonly AttributeChoice[];
  /** Values that are no mistake and have no right answer among the choices: such pictures are not asked about. */
  readonly ignoredLabels?: readonly string[] | undefined;
  /** Choices have an order, and being one off is better than being two off. @default false */
  readonly isOrdinal?: boolean | undefined;
}

/** Values that stand in two lists. */
function doubled(lists: readonly (readonly string[])[]): string[] {
  const owner = new Map<string, number>();
  const found = new Set<string>();
  for (const [i, list] of lists.entries()) {
    for (const value of list) {
      if ((owner.get(value) ?? i) !== i) found.add(value);
      owner.set(value, i);
    }
  }
  return [...found];
}

function yearsProblem({ text, years }: AttributeChoice): string[] {
  if (years === undefined) return [];
  const [low, high] = years;
  if (Number.isFinite(low) && Number.isFinite(high) && low >= 0 && low <= high) return [];
  return [`choice "${text}": years: expected lowest and highest age, got ${low} and ${high}`];
}

function problemsOf({
  name,
  question,
  choices,
  ignoredLabels = [],
}: AttributeDefinition): string[] {
  const problems: string[] = [];
  if (!/^[\p{L}\p{N}_-]+$/u.test(name)) {
    problems.push(`name: expected letters, digits, - and _, got "${name}"`);
  }
  if (question.trim() === '') problems.push('question: expected text');
  if (choices.length < 2) problems.push(`choices: expected at least two, got ${choices.length}`);
  for (const [i, { text, labels, synonyms = [], negationOf = [] }] of choices.entries()) {
    if (text.trim() === '') problems.push(`choices[${i}].text: expected text`);
    if (labels.length === 0) problems.push(`choice "${text}": labels: expected at least one`);
    for (const word of [text, ...synonyms, ...negationOf]) {
      if (phraseOf(word) === '') {
        problems.push(`choice "${text}": "${word}" has no letter or digit to read`);
      }
    }
  }
  problems.push(...choices.flatMap(yearsProblem));
  const labels = doubled([...choices.map((choice) => choice.labels), ignoredLabels]);
  if (labels.length > 0) problems.push(`labels that mean two things: ${labels.join(', ')}`);
  const words = doubled(
    choices.map(({ text, synonyms = [] }) => [text, ...synonyms].map(phraseOf)),
  );
  if (words.length > 0) problems.push(`words that mean two choices: ${words.join(', ')}`);
  const denied = doubled(choices.map(({ negationOf = [] }) => negationOf.map(phraseOf)));
  if (denied.length > 0) problems.push(`negated words that mean two choices: ${denied.join(', ')}`);
  return problems;
}

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing all that is wrong with all of them */
export function checkDefinitions(definitions: readonly AttributeDefinition[]): void {
  const names = definitions.map(({ name }) => name);
  const problems = definitions.flatMap((definition) =>
    problemsOf(definition).map((problem) => `attribute ${definition.name}: ${problem}`),
  );
  for (const name of new Set(names.filter((word, i) => names.indexOf(word) !== i))) {
    problems.push(`attribute ${name} is defined twice`);
  }
  if (names.length === 0) problems.push('attributes: expected at least one');
  if (problems.length === 0) return;
  throw createError('FACELLM_INVALID_ARGUMENT', 'the attributes are wrong', { details: problems });
}
