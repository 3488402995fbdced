/**
 * What a public call takes, said once: names, kinds and bounds of its fields. The compiler holds each set of fields equal
 * to the interface that it checks, so that the two cannot drift apart.
 */
import { z } from 'zod';

import { InvalidArgumentError } from '../errors.js';
import { didYouMean, received } from './describe.js';

/** A value of which `test` is true. */
export function field<T>(expected: string, test: (value: unknown) => boolean): z.ZodType<T> {
  return z.custom<T>(test, { error: ({ input }) => `expected ${expected}, ${received(input)}` });
}

/** One of several kinds of value: `pick` tells by the value which of them is meant. */
export function kindOf<T>(pick: (value: unknown) => z.ZodType<T>): z.ZodType<T> {
  return z.unknown().transform((value, context) => {
    const parsed = pick(value).safeParse(value);
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues) {
      context.issues.push({ ...issue, input: value } as z.core.$ZodRawIssue);
    }
    return z.NEVER;
  });
}

/** The fields of an interface: exactly these, of its types. */
export type Shape<T> = {
  readonly [K in keyof T]-?: object extends Pick<T, K>
    ? z.ZodOptional<z.ZodType<Exclude<T[K], undefined>>>
    : z.ZodType<T[K]>;
};

/** An object with these fields and no others. What it gives is a copy. */
export function fields<T extends object>(shape: Shape<T>): z.ZodType<T> {
  return z.strictObject(shape, { error: unknownFields(shape) }) as unknown as z.ZodType<T>;
}

/** For a `z.strictObject` of these fields: {@link problemsOf} names those that it does not know, with the nearest. */
export function unknownFields(shape: object): z.core.$ZodErrorMap {
  const known = Object.keys(shape);
  return (issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => `there is no such field; ${didYouMean(key, known)}`).join('\n')
      : `expected an object, ${received(issue.input)}`;
}

/** True or false. */
export const flag: z.ZodType<boolean> = field(
  'true or false',
  (value) => typeof value === 'boolean',
);
/** Any text; `expected` says what it is for. */
export const text = (expected: string): z.ZodType<string> =>
  field(expected, (value) => typeof value === 'string');
/** At least one character. */
export const name = (expected: string): z.ZodType<string> =>
  field(expected, (value) => typeof value === 'string' && value !== '');
/** A whole number, from `least` to `most`. */
export const whole = (
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
  unit = '',
): z.ZodType<number> =>
  field(
    most === Number.MAX_SAFE_INTEGER
      ? `a whole number of at least ${least}${unit}`
      : `a whole number of ${least}..${most}${unit}`,
    (value) => Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most,
  );
/** One of these words. */
export const word = <const W extends string>(...words: readonly W[]): z.ZodType<W> =>
  field(words.join(' or '), (value) => words.includes(value as W));
/** A function; what it is called with is the compiler's to check. */
export const callback = <F>(): z.ZodType<F> =>
  field('a function', (value) => typeof value === 'function');
export const abortSignal: z.ZodType<AbortSignal> = field(
  'an AbortSignal',
  (value) => value instanceof AbortSignal,
);
export const deviceName: z.ZodType<string> = field(
  'cpu, cuda or cuda:N',
  (value) => typeof value === 'string' && /^(cpu|cuda(:\d{1,3})?)$/.test(value),
);
/** A finite number, from `least` to `most`. */
export const number = (
  expected: string,
  least: number,
  most: number = Number.MAX_VALUE,
): z.ZodType<number> =>
  field(expected, (value) => typeof value === 'number' && value >= least && value <= most);
/** Texts by name. */
export const texts: z.ZodType<Readonly<Record<string, string>>> = field(
  'names with a text each, such as {name: text}',
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((one) => typeof one === 'string'),
);
/** A list of at least `least` and at most `most`. What it gives is a copy. */
export function list<T>(
  item: z.ZodType<T>,
  expected: string,
  least = 0,
  most: number = Number.MAX_SAFE_INTEGER,
): z.ZodType<readonly T[]> {
  const isMet = (value: unknown): boolean =>
    Array.isArray(value) && value.length >= least && value.length <= most;
  const isList = field<readonly T[]>(expected, isMet);
  const isTooLong = z.custom<readonly T[]>(isMet, {
    error: ({ input }) => `expected ${expected}, received ${(input as unknown[]).length}`,
  });
  return kindOf((value) => {
    if (isMet(value)) return z.array(item);
    return Array.isArray(value) && value.length > most ? isTooLong : isList;
  });
}

function linesOf(issue: z.core.$ZodIssue, name: string): string[] {
  const place = issue.path.reduce<string>((path, step) => {
    if (typeof step === 'number') return `${path}[${step}]`;
    return path === '' ? String(step) : `${path}.${String(step)}`;
  }, name);
  if (issue.code !== 'unrecognized_keys') return [`${place || 'options'}: ${issue.message}`];
  const messages = issue.message.split('\n');
  const prefix = place === '' ? '' : `${place}.`;
  return issue.keys.map((key, i) => `${prefix}${key}: ${messages[i] ?? ''}`);
}

/** Every line that is wrong with a value, each beginning with its place. */
export function problemsOf(error: z.core.$ZodError, name = ''): string[] {
  return error.issues.flatMap((issue) => linesOf(issue, name));
}

/** What a call is given: how it must be, what came, and its name where it is no set of options. */
export type Argument<T> = readonly [schema: z.ZodType<T>, value: unknown, name?: string];

/**
 * The arguments of a call as their schemas take them: copies, holding known fields only.
 *
 * @param what for the message: 'the load options are wrong'
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every unknown field, with the nearest known one, and
 *   every wrong value
 */
export function checkArguments<T extends readonly unknown[]>(
  what: string,
  ...args: { [K in keyof T]: Argument<T[K]> }
): T {
  const details: string[] = [];
  const values = (args as readonly Argument<unknown>[]).map(([schema, value, name]) => {
    const parsed = schema.safeParse(value);
    if (!parsed.success) details.push(...problemsOf(parsed.error, name));
    return parsed.data;
  });
  if (details.length === 0) return values as unknown as T;
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', what, { details });
}

/** {@link checkArguments} of one. */
export function checkFields<T>(schema: z.ZodType<T>, value: unknown, what: string, name = ''): T {
  return checkArguments<[T]>(what, [schema, value, name])[0];
}
