/** What can be extracted: a schema, and what it is asked about. */
import { z } from 'zod';

import { type ChatMessage, conversation } from '../chat/index.js';
import { InvalidArgumentError } from '../errors.js';
import type { FieldsResult, Form, GrammarClient } from '../generation/index.js';
import {
  abortSignal,
  callback,
  field,
  fields,
  flag,
  name,
  number,
  text,
  whole,
} from '../options/index.js';
import {
  anyObject,
  type GrammarNode,
  plainText,
  readPattern,
  readSchema,
} from '../structured/index.js';
import { type CalibrationChoice, calibrationShape } from './calibrated.js';
import { type Preparation, preparationShape } from './prepared.js';
import { type PromptOptions, promptShape } from './prompt-options.js';
import {
  type AdapterChoice,
  adapterShape,
  type Question,
  questionShape,
  toMessage,
} from './requests.js';

/** A zod 4 type, a JSON schema, or `json_object`: any object, nested at most 16 deep. */
export type ExtractSchema = z.ZodType | Readonly<Record<string, unknown>> | 'json_object';

/** What a schema's answers are: of a JSON schema nobody knows before. */
export type Extracted<S extends ExtractSchema> = S extends z.ZodType ? z.output<S> : unknown;

/** One schema asked of many pictures: what `annotate()` and `calibrate()` take. */
export interface AskedSchema {
  /** What is asked: the schema is not part of the prompt. */
  readonly question: string;
  /** An object as `extract` takes it: a zod type or a JSON schema. */
  readonly schema: ExtractSchema;
  /** Of a picture's whole object. @default 500 */
  readonly maxNewTokens?: number | undefined;
}

export const askedSchema: z.ZodType<AskedSchema> = fields<AskedSchema>({
  question: name('a text of at least one character'),
  schema: field<ExtractSchema>(
    'a zod type or a JSON schema',
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  ),
  maxNewTokens: whole(1).optional(),
});

export interface ExtractOptions<S extends ExtractSchema = ExtractSchema>
  extends Partial<Question>, PromptOptions, AdapterChoice, CalibrationChoice, Preparation {
  /** A conversation in place of a question with its pictures. */
  readonly messages?: readonly ChatMessage[] | undefined;
  /**
   * Objects of named properties, enums, constants, booleans, null, numbers with bounds, texts, lists of at most 64: each
   * value is chosen as a whole. Patterns, formats, recursion, longer lists and branches that begin alike are written token by
   * token under a grammar. It is not part of the prompt: say in the question
   * what is wanted.
   */
  readonly schema: S;
  /**
   * 0: each value is the most probable one. Above: values are drawn from their probabilities to the power of 1/temperature,
   * free text token by token. @default 0
   */
  readonly temperature?: number | undefined;
  /** Of the draws. @default another one for every call */
  readonly seed?: number | undefined;
  /** Of the whole answer with what the schema gives. @default 500 */
  readonly maxNewTokens?: number | undefined;
  /**
   * Of an enum of texts: one of them is the whole answer, without quotes. Of a text with a pattern, which must then be of all of
   * it: the text. @default false: the answer is JSON
   */
  readonly plain?: boolean | undefined;
  readonly reusePrefix?: boolean | undefined;
  /**
   * Who asks, where a program answers several: what their schemas need of grammars is compiled in turn, and kept in equal shares.
   * @default one for all calls
   */
  readonly client?: GrammarClient | undefined;
  /** Receives the answer's text as it is settled. */
  readonly onText?: ((text: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An object of the schema's form, and what the model thought of each of its fields. */
export interface ExtractResult<T> extends Omit<FieldsResult, 'json'> {
  /** Undefined where the answer was not whole within its limit of tokens: `isComplete`. */
  readonly value: T | undefined;
}

const WRONG = 'the request is wrong';

const grammarClient: z.ZodType<GrammarClient> = fields<GrammarClient>({
  name: text('a name'),
  isBackground: flag.optional(),
  bound: fields<NonNullable<GrammarClient['bound']>>({
    most: whole(1),
    refusal: callback<() => Error>(),
  }).optional(),
});

export const extractOptions: z.ZodType<ExtractOptions> = fields<ExtractOptions>({
  ...promptShape,
  ...adapterShape,
  ...calibrationShape,
  ...preparationShape,
  image: questionShape.image,
  question: questionShape.question.optional(),
  messages: conversation.optional(),
  schema: field<ExtractSchema>(
    'a zod type, a JSON schema, or json_object',
    (value) =>
      value === 'json_object' ||
      (typeof value === 'object' && value !== null && !Array.isArray(value)),
  ),
  temperature: number('a number of at least 0', 0).optional(),
  seed: whole(0).optional(),
  maxNewTokens: whole(1).optional(),
  plain: flag.optional(),
  reusePrefix: flag.optional(),
  client: grammarClient.optional(),
  onText: callback<(text: string) => void>().optional(),
  signal: abortSignal.optional(),
});

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT where both or neither are given */
export function turnsOf({ messages, question, image }: ExtractOptions): readonly ChatMessage[] {
  const isAsked = question !== undefined;
  if ((messages === undefined) !== isAsked || (messages !== undefined && image !== undefined)) {
    throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', WRONG, {
      details: ['messages: expected either messages, or a question with its pictures'],
    });
  }
  return messages ?? [toMessage({ image, question: question ?? '' })];
}

const isZod = (schema: ExtractSchema): schema is z.ZodType =>
  typeof schema === 'object' && '_zod' in schema;

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing all that cannot be held to */
export function formOf({ schema, plain }: Pick<ExtractOptions, 'schema' | 'plain'>): Form {
  if (schema === 'json_object') return { node: anyObject() };
  if (plain === true && !isZod(schema) && 'pattern' in schema) return { node: plainOf(schema) };
  const { node, problems } = readSchema(isZod(schema) ? jsonSchemaOf(schema) : schema);
  if (node !== undefined && plain !== true) return { node };
  const values = node?.kind === 'values' ? node.values.map(({ value }) => value) : [];
  const texts = values.filter((value) => typeof value === 'string');
  if (texts.length > 1 && texts.length === values.length) return { choices: texts };
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the schema cannot be held to', {
    details: problems?.map(({ message }) => message) ?? [
      'plain: expected an enum of several texts, or a text with a pattern',
    ],
  });
}

/** A text of a pattern, as the whole answer. */
function plainOf({ pattern, ...others }: Readonly<Record<string, unknown>>): GrammarNode {
  const read = readPattern(pattern, false, true);
  const unknown = Object.keys(others).filter((key) => key !== 'type');
  if ('expression' in read && unknown.length === 0) return plainText(read.expression);
  const expected = 'kind' in read ? read.expected : `nothing but type and pattern beside plain`;
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the schema cannot be held to', {
    details: [`#/pattern: expected ${expected}`],
  });
}

function jsonSchemaOf(schema: z.ZodType): unknown {
  try {
    // What the model writes is what the type reads.
    return z.toJSONSchema(schema, { io: 'input' });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the schema cannot be held to', {
      details: [`schema: ${reason}`],
      cause,
    });
  }
}

const unmet = (details: readonly string[], cause: unknown): Error =>
  new InvalidArgumentError(
    'FACELLM_INVALID_ARGUMENT',
    'the answer does not meet conditions of the type that no JSON schema carries',
    { details, cause },
  );

/** @throws InvalidArgumentError where the type has conditions that its JSON schema has not, or functions of its own that fail */
export async function parsed(schema: ExtractSchema, json: unknown): Promise<unknown> {
  if (!isZod(schema)) return json;
  const result = await schema.safeParseAsync(json).catch((cause: unknown) => {
    // What a refinement or transform throws is no issue of zod's.
    throw unmet([`schema: ${cause instanceof Error ? cause.message : String(cause)}`], cause);
  });
  if (result.success) return result.data;
  const { issues } = result.error;
  throw unmet(
    issues.map(({ path, message }) => `/${path.join('/')}: ${message}`),
    result.error,
  );
}
