/** What is added to the scores of single ids. */
import { z } from 'zod';

/** Biases by id: an object whose keys are the ids, or a Map. */
export type LogitBias = Readonly<Record<number, number>> | ReadonlyMap<number, number>;

/** What ids may be named in a request. */
export interface Vocabulary {
  readonly controlTokens: ReadonlyMap<string, number>;
  /** One more than the largest id. */
  readonly vocabSize: number;
}

const MOST_BIASES = 300;
const LARGEST_BIAS = 100;

/** As they are given; keys of an object that read as whole numbers are these. */
function entriesOf(bias: object): (readonly [id: unknown, bias: unknown])[] {
  if (bias instanceof Map) return [...(bias as ReadonlyMap<unknown, unknown>)];
  return Object.entries(bias).map(([id, value]) => [/^\d+$/.test(id) ? Number(id) : id, value]);
}

function problemsOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [`expected a bias for each token id, as an object or a Map, received ${typeof value}`];
  }
  const entries = entriesOf(value);
  if (entries.length > MOST_BIASES) {
    return [`expected at most ${MOST_BIASES} token ids, received ${entries.length}`];
  }
  return entries.flatMap(([id, bias]) => {
    const name = typeof id === 'string' ? JSON.stringify(id) : String(id);
    const isBias = typeof bias === 'number' && Math.abs(bias) <= LARGEST_BIAS;
    return [
      ...(Number.isSafeInteger(id) && Number(id) >= 0 ? [] : [`${name} is no token id`]),
      ...(isBias ? [] : [`id ${name}: expected -100..100, received ${String(bias)}`]),
    ];
  });
}

/** Gives a copy. */
export const logitBias: z.ZodType<LogitBias> = z.unknown().transform((value, context) => {
  const problems = problemsOf(value);
  for (const message of problems) context.issues.push({ code: 'custom', message, input: value });
  return problems.length > 0 ? z.NEVER : (new Map(entriesOf(value as object)) as LogitBias);
});

/** Entries in the order given. */
export function biasesOf(bias: LogitBias | undefined): readonly (readonly [number, number])[] {
  return bias === undefined ? [] : (entriesOf(bias) as [number, number][]);
}

/** A line for each id that may not have a bias. */
export function biasProblems(
  biases: readonly (readonly [number, number])[],
  { controlTokens, vocabSize }: Vocabulary,
): string[] {
  if (biases.length === 0) return [];
  const controls = new Map([...controlTokens].map(([literal, id]) => [id, literal] as const));
  return biases.flatMap(([id]) => {
    const literal = controls.get(id);
    if (literal !== undefined) return [`logitBias: id ${id} is the control token ${literal}`];
    return id < vocabSize
      ? []
      : [`logitBias: id ${id} is unknown, the tokenizer knows 0..${vocabSize - 1}`];
  });
}
