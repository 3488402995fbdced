/**
 * Building blocks of the config schemas. Every check is a zod check with a message of the form
 * "expected …, received …", and cross-field checks run whenever their own fields are sound, so that
 * one pass over a config lists everything that is wrong with it.
 */
import { z } from 'zod';

import { isJsonObject, type JsonObject } from '../files/index.js';
import { received } from '../options/describe.js';

/** Collects what is wrong in the files of one checkpoint; thrown as one error at the end. */
export type Problems = string[];

/** The message of a failed check. */
export function expected(text: string, value: unknown): string {
  return `expected ${text}, ${received(value)}`;
}

type Value<T> = z.ZodType<T>;

/** A value that `isValid` accepts; `text` says what that is. */
export function checked<T>(text: string, isValid: (value: unknown) => boolean): Value<T> {
  // By default a failed custom check would keep the cross-field checks of its object from running.
  return z.custom<T>(isValid, { error: (issue) => expected(text, issue.input), abort: false });
}

/** A whole number in [min, max]. */
export function integer(min: number, max: number): Value<number> {
  return checked(`a whole number from ${min} to ${max}`, (v) => {
    return typeof v === 'number' && Number.isSafeInteger(v) && v >= min && v <= max;
  });
}

/** Sizes of layers: far above any released model, far below what could exhaust memory by mistake. */
export const layerSize: Value<number> = integer(1, 1 << 20);
export const layerCount: Value<number> = integer(1, 1024);
export const tokenId: Value<number> = integer(0, 2 ** 31 - 1);

/** A finite number above `min`. */
export function numberAbove(min: number): Value<number> {
  return checked(`a number above ${min}`, (v) => {
    return typeof v === 'number' && Number.isFinite(v) && v > min;
  });
}

export const boolean: Value<boolean> = checked('true or false', (v) => typeof v === 'boolean');

/** One of a few constants; anything else is a model that this engine does not compute. */
export function oneOf<const T extends string | number | boolean>(
  ...choices: readonly T[]
): Value<T> {
  const text = choices.map((choice) => JSON.stringify(choice)).join(' or ');
  return checked(text, (v) => (choices as readonly unknown[]).includes(v));
}

/** Absent or null means `fallback`: the default of the class that the reference would build. */
export function withDefault<T>(schema: Value<T>, fallback: T): Value<T> {
  return schema.nullish().transform((v) => v ?? fallback);
}

/** Absent or null means undefined. */
export function optional<T>(schema: Value<T>): Value<T | undefined> {
  return schema.nullish().transform((v) => v ?? undefined);
}

/** What `read` makes of a value; `text` says what one is like of which it makes nothing. */
export function readAs<T>(text: string, read: (value: unknown) => T | undefined): Value<T> {
  return z
    .unknown()
    .nullish()
    .transform((raw, context) => {
      const value = read(raw ?? undefined);
      if (value !== undefined) return value;
      const message = expected(text, raw ?? undefined);
      context.issues.push({ code: 'custom', message, input: raw });
      return z.NEVER;
    });
}

/** A square size given as one number, `[height, width]` or `{height, width}`. */
export const squareSize: Value<number> = readAs(
  'a square size from 1 to 8192: n, [n, n] or {height, width}',
  (input) => {
    const pair = isJsonObject(input) ? [input['height'], input['width']] : input;
    const [height, width] = Array.isArray(pair) ? (pair as unknown[]) : [pair, pair];
    const isPair = !Array.isArray(pair) || pair.length === 2;
    const isSize = Number.isSafeInteger(height) && Number(height) >= 1 && Number(height) <= 8192;
    return isPair && isSize && height === width ? Number(height) : undefined;
  },
);

/** The `when` of a cross-field check: true if none of these fields has failed on its own. */
export function whenValid(...keys: readonly string[]): (payload: z.core.ParsePayload) => boolean {
  return ({ value: object, issues }) =>
    isJsonObject(object) && !issues.some((issue) => keys.includes(String(issue.path?.[0])));
}

/** Parses one file's object; problems are added as "file: key.path: message". */
export function parseObject<T>(
  schema: Value<T>,
  object: JsonObject,
  file: string,
  problems: Problems,
): T | undefined {
  const result = schema.safeParse(object);
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    const path = issue.path.map(String).join('.');
    problems.push(path === '' ? `${file}: ${issue.message}` : `${file}: ${path}: ${issue.message}`);
  }
  return undefined;
}
