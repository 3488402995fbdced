/** Forms that an answer is held to: OpenAI's `response_format`, vLLM's `structured_outputs`. */
import { readPattern, readSettledSchema } from '../structured/index.js';
import { type Body, type Fields, isObject, isOff } from './values.js';

export interface AskedForm {
  readonly schema: Body | 'json_object';
  /** One of an enum's texts, or a text of a pattern, without quotes. */
  readonly isPlain: boolean;
  /** Whether the answer tells the probabilities of its fields. */
  readonly tellsFields: boolean;
}

const CODES = {
  invalid: 'invalid_json_schema',
  unsupported: 'unsupported_json_schema',
  complex: 'json_schema_too_complex',
} as const;

/** Would draw otherwise than values are chosen here, or change nothing; refused unless they say so. */
const NOT_BESIDE: readonly (readonly [name: string, off: readonly unknown[]])[] = [
  ['stop', []],
  ['logprobs', []],
  ['logit_bias', []],
  ['min_tokens', []],
  ['frequency_penalty', []],
  ['presence_penalty', []],
  ['repetition_penalty', [1]],
  ['top_k', []],
  ['top_p', [1]],
  ['min_p', []],
];

/** A schema that can be held to; undefined, and told, where it cannot. */
export function readGivenSchema(schema: unknown, param: string, fields: Fields): Body | undefined {
  const { problems } = fields;
  if (!isObject(schema)) {
    problems.wrong(param, 'a JSON schema');
    return undefined;
  }
  // The body is nobody else's: what is read of it here is what the library is given.
  const read = readSettledSchema(schema);
  for (const { kind, pointer, message } of read.problems ?? []) {
    problems.add({ code: CODES[kind], param: pointer, message });
  }
  return read.node === undefined ? undefined : schema;
}

/** Undefined: any text. */
export function readForm(fields: Fields): AskedForm | undefined {
  const { problems } = fields;
  const tellsFields = fields.flag('probabilities') ?? false;
  const format = fields.raw('response_format');
  const outputs = fields.raw('structured_outputs');
  const isFormat = !isOff(format) && !(isObject(format) && format['type'] === 'text');
  const isOutputs = !isOff(outputs);
  if (isFormat && isOutputs) {
    problems.wrong('structured_outputs', 'either response_format or structured_outputs');
    return undefined;
  }
  if (!isFormat && !isOutputs) {
    if (tellsFields)
      problems.wrong('probabilities', 'response_format with a JSON schema beside it');
    return undefined;
  }
  for (const [name, off] of NOT_BESIDE) {
    const value = fields.raw(name);
    if (isOff(value) || off.includes(value)) continue;
    problems.unsupported(name, 'is not supported beside a JSON schema or a list of choices');
  }
  const given = isFormat ? readFormat(fields) : readOutputs(fields);
  return given && { ...given, tellsFields };
}

type Given = Omit<AskedForm, 'tellsFields'> | undefined;

function readFormat(fields: Fields): Given {
  const format = fields.object('response_format', ['type', 'json_schema']);
  if (format?.raw('type') === 'json_object') return { schema: 'json_object', isPlain: false };
  if (format?.raw('type') !== 'json_schema') {
    const why = "of this type is not supported; use {type: 'json_schema'} or {type: 'json_object'}";
    fields.problems.unsupported('response_format', why);
    return undefined;
  }
  const inner = format.object('json_schema', ['name', 'schema', 'strict', 'description']);
  inner?.text('name', 64, 1);
  const param = 'response_format.json_schema.schema';
  const schema = readGivenSchema(inner?.raw('schema'), param, fields);
  return schema && { schema, isPlain: false };
}

function readOutputs(fields: Fields): Given {
  const outputs = fields.object('structured_outputs', ['choice', 'json', 'regex', 'grammar']);
  const [choice, json, regex] = ['choice', 'json', 'regex'].map((name) => outputs?.raw(name));
  const given = [choice, json, regex].filter((one) => one !== undefined);
  if (given.length !== 1) {
    const why = 'other than one of choice, regex and json is not supported';
    fields.problems.unsupported('structured_outputs', why);
    return undefined;
  }
  if (regex !== undefined) return readRegex(regex, fields);
  if (choice !== undefined) {
    const isTexts = Array.isArray(choice) && choice.every((one) => typeof one === 'string');
    if (isTexts && choice.length >= 2 && choice.length <= 256 && !choice.includes('')) {
      return { schema: { enum: choice }, isPlain: true };
    }
    fields.problems.wrong('structured_outputs.choice', 'a list of 2..256 texts');
    return undefined;
  }
  const schema = readGivenSchema(json, 'structured_outputs.json', fields);
  return schema && { schema, isPlain: false };
}

/** vLLM's: of the whole answer. */
function readRegex(pattern: unknown, { problems }: Fields): Given {
  const read = readPattern(pattern, false, true);
  if ('expression' in read) return { schema: { type: 'string', pattern }, isPlain: true };
  const param = 'structured_outputs.regex';
  problems.add({ code: CODES[read.kind], param, message: `${param}: expected ${read.expected}` });
  return undefined;
}
