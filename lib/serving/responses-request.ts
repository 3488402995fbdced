/** `POST /v1/responses`: the body as the chat completion that it is. Nothing is kept between requests. */
import { ApiError } from './api-error.js';
import type { ParsedBody } from './parse-body.js';
import { IGNORED_FIELDS, PROMPT_FIELDS } from './prompt-fields.js';
import { type Body, Fields, isObject, isOff, Problems } from './values.js';

/** Would change the answer, or keep something: refused unless they say "off". */
const NOT_DONE = [
  ...['previous_response_id', 'conversation', 'background', 'tools', 'tool_choice', 'reasoning'],
  ...['max_tool_calls', 'prompt', 'context_management', 'moderation', 'store'],
];
const OWN = ['input', 'instructions', 'max_output_tokens', 'text', 'include', 'truncation'];
/** Of chat completions, under the same names. */
const SHARED = [
  ...['temperature', 'top_p', 'top_k', 'min_p', 'repetition_penalty', 'seed', 'stream'],
  ...['top_logprobs', 'probabilities', 'stream_options'],
  ...PROMPT_FIELDS,
];
const KNOWN: readonly string[] = [...OWN, ...NOT_DONE, ...SHARED, ...IGNORED_FIELDS];
const LOG_PROBS = 'message.output_text.logprobs';
/** Facts about an earlier answer that is sent back. */
const OF_ITEMS = ['type', 'role', 'content', 'id', 'status', 'phase'];
const IN_PARTS: Readonly<Record<string, readonly string[]>> = {
  input_text: ['type', 'text'],
  output_text: ['type', 'text', 'annotations', 'logprobs'],
  input_image: ['type', 'image_url', 'detail'],
};

export interface ConvertedRequest {
  readonly parsed: ParsedBody;
  /** What an answer repeats of its request. */
  readonly echo: Body;
  /** A refusal of the chat completion in the words of this request. */
  readonly rename: (error: ApiError) => ApiError;
}

/** @throws ApiError naming all that this protocol's part of the request has wrong */
export function convertResponses(
  { body, pictures }: ParsedBody,
  ignoresUnknown: boolean,
): ConvertedRequest {
  const problems = new Problems();
  const fields = new Fields(body, problems);
  if (!ignoresUnknown) fields.refuseOthers(KNOWN);
  for (const name of NOT_DONE) {
    const value = fields.raw(name);
    if (!isOff(value) && !(name === 'tool_choice' && value === 'auto')) problems.unsupported(name);
  }
  const truncation = fields.word('truncation', 'disabled', 'auto');
  if (truncation === 'auto')
    problems.unsupported('truncation', "other than 'disabled' is not supported");
  const include = fields.list('include', 0, 16) ?? [];
  if (include.some((one) => one !== LOG_PROBS)) {
    problems.unsupported('include', `of other things than ${LOG_PROBS} is not supported`);
  }
  const stream = fields.object('stream_options', ['include_obfuscation']);
  if (stream?.flag('include_obfuscation') === true)
    problems.unsupported('stream_options.include_obfuscation');
  const instructions = fields.text('instructions', 2 ** 20);
  const format = readFormat(fields);
  const messages = readInput(fields);
  problems.throwIfAny();
  const shared = Object.fromEntries(
    Object.entries(body).filter(
      ([name]) => !OWN.includes(name) && !NOT_DONE.includes(name) && name !== 'stream_options',
    ),
  );
  const lead =
    instructions === undefined || instructions === ''
      ? []
      : [{ role: 'system', content: instructions }];
  const isStreamed = fields.raw('stream') === true;
  const chat = {
    ...shared,
    messages: [...lead, ...messages],
    ...(fields.raw('max_output_tokens') !== undefined && {
      max_completion_tokens: fields.raw('max_output_tokens'),
    }),
    ...(format !== undefined && { response_format: format }),
    ...((include.length > 0 || !isOff(fields.raw('top_logprobs'))) && { logprobs: true }),
    ...(isStreamed && { stream_options: { include_usage: true } }),
  };
  return {
    parsed: { body: chat, pictures },
    echo: {
      instructions: instructions ?? null,
      max_output_tokens: fields.raw('max_output_tokens') ?? null,
      temperature: fields.raw('temperature') ?? null,
      top_p: fields.raw('top_p') ?? null,
      text: {
        format: isObject(body['text'])
          ? (body['text']['format'] ?? { type: 'text' })
          : { type: 'text' },
      },
      metadata: isObject(body['metadata']) ? body['metadata'] : {},
    },
    rename: (error) => renamed(error, lead.length),
  };
}

/** `text.format` as `response_format`; undefined: any text. */
function readFormat(fields: Fields): object | undefined {
  const { problems } = fields;
  const text = fields.object('text', ['format', 'verbosity']);
  if (!isOff(text?.raw('verbosity'))) problems.unsupported('text.verbosity');
  const format = text?.object('format', ['type', 'name', 'schema', 'strict', 'description']);
  const type = format?.raw('type');
  if (format === undefined || type === 'text') return undefined;
  if (type === 'json_object') return { type };
  if (type !== 'json_schema') {
    problems.unsupported('text.format', "of this type is not supported; use {type: 'json_schema'}");
    return undefined;
  }
  const inner = ['name', 'schema', 'strict', 'description'].flatMap((name) =>
    format.raw(name) === undefined ? [] : [[name, format.raw(name)] as const],
  );
  return { type, json_schema: Object.fromEntries(inner) };
}

function readInput(fields: Fields): readonly object[] {
  const { problems } = fields;
  const input = fields.raw('input');
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  if (!Array.isArray(input) || input.length === 0) {
    problems.wrong('input', 'a text, or a list of messages');
    return [];
  }
  return (input as readonly unknown[]).flatMap((item, i) =>
    readItem(item, `input[${i}]`, problems),
  );
}

function readItem(item: unknown, param: string, problems: Problems): readonly object[] {
  if (!isObject(item) || (item['type'] ?? 'message') !== 'message') {
    const message = `${param}: expected a message {role, content}; other items are not supported`;
    problems.add({ code: 'unsupported_content_part', param, message });
    return [];
  }
  new Fields(item, problems, `${param}.`).refuseOthers(OF_ITEMS);
  const { role, content } = item;
  if (!Array.isArray(content)) return [{ role, content }];
  const parts = (content as readonly unknown[]).flatMap((part, i) =>
    readPart(part, `${param}.content[${i}]`, problems),
  );
  return [{ role, content: parts }];
}

function readPart(part: unknown, param: string, problems: Problems): readonly object[] {
  const type = isObject(part) ? part['type'] : undefined;
  const known =
    typeof type === 'string' && Object.hasOwn(IN_PARTS, type) ? IN_PARTS[type] : undefined;
  if (!isObject(part) || known === undefined) {
    const message = `${param}: this type of part is not supported; there are input_text, input_image and output_text`;
    problems.add({ code: 'unsupported_content_part', param, message });
    return [];
  }
  new Fields(part, problems, `${param}.`).refuseOthers(known);
  if (type !== 'input_image') return [{ type: 'text', text: part['text'] }];
  const { image_url: url, detail } = part;
  return [{ type: 'image_url', image_url: { url, ...(detail !== undefined && { detail }) } }];
}

/** @param lead messages before those of `input` */
function renamed(error: ApiError, lead: number): ApiError {
  const words = (text: string): string =>
    text
      .replace(/messages\[(\d+)\](\.content)?/g, (_, i: string, content = '') =>
        Number(i) < lead ? 'instructions' : `input[${Number(i) - lead}]${content}`,
      )
      .replaceAll('image_url.url', 'image_url')
      .replace(/\bmessages\b/g, 'input')
      .replaceAll('max_completion_tokens', 'max_output_tokens')
      .replaceAll('response_format.json_schema', 'text.format')
      .replaceAll('response_format', 'text.format');
  const param = error.param === undefined ? undefined : words(error.param);
  const { status, code, headers, cause } = error;
  return new ApiError(status, code, words(error.message), { param, headers, cause });
}
