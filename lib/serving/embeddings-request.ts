/** `POST /v1/embeddings`: the body to what the library is asked. */
import { checkPictureCount, type Detail, PictureReader } from './message-fields.js';
import type { Policy } from './options.js';
import type { ParsedBody } from './parse-body.js';
import type { PictureField } from './picture-intake.js';
import {
  IGNORED_FIELDS,
  PROMPT_FIELDS,
  type PromptFields,
  readPromptFields,
} from './prompt-fields.js';
import { Fields, isObject, Problems } from './values.js';

export interface EmbeddingsRequest extends PromptFields {
  readonly pictures: readonly PictureField[];
  readonly detail: Detail | undefined;
  readonly pooling: 'mean' | 'none';
  readonly encoding: 'float' | 'base64';
}

const KNOWN: readonly string[] = [
  ...['input', 'pooling', 'encoding_format', 'dimensions'],
  ...PROMPT_FIELDS,
  ...IGNORED_FIELDS,
];
const MOST_INPUTS = 64;

/** @throws ApiError naming all that is wrong */
export function readEmbeddingsRequest(
  { body, pictures: parsed }: ParsedBody,
  policy: Policy,
): EmbeddingsRequest {
  const problems = new Problems();
  const fields = new Fields(body, problems);
  if (!policy.ignoresUnknown) fields.refuseOthers(KNOWN);
  if (fields.raw('dimensions') !== undefined) problems.unsupported('dimensions');
  const reader = new PictureReader(parsed, problems);
  readInput(fields, reader);
  checkPictureCount(reader.pictures, policy, problems, 'input');
  const request: EmbeddingsRequest = {
    ...readPromptFields(fields, policy),
    pictures: reader.pictures,
    detail: reader.detail(),
    pooling: fields.word('pooling', 'mean', 'none') ?? 'mean',
    encoding: fields.word('encoding_format', 'float', 'base64') ?? 'float',
  };
  problems.throwIfAny();
  return request;
}

/** One picture or a list, each a URL (its place in the body's pictures by now) or `{content: [part]}`. */
function readInput(fields: Fields, reader: PictureReader): void {
  const { problems } = fields;
  const input = fields.raw('input');
  const expected = `a data: URL or {content: [{type: 'image_url', image_url}]}, or a list of 1..${MOST_INPUTS} of these`;
  const many = Array.isArray(input);
  const given: readonly unknown[] = many ? input : input === undefined ? [] : [input];
  if (given.length < 1 || given.length > MOST_INPUTS) {
    problems.wrong('input', expected);
    return;
  }
  given.forEach((one, i) => {
    const param = many ? `input[${i}]` : 'input';
    if (typeof one === 'number') takeUrl(one, param, reader, problems);
    else if (isObject(one)) takeContent(one['content'], `${param}.content`, reader, problems);
    else problems.wrong(param, expected);
  });
}

/** What is no URL at all is a text. */
function takeUrl(place: number, param: string, reader: PictureReader, problems: Problems): void {
  const at = reader.take(place, param);
  const picture = reader.pictures[at]?.picture;
  if (picture !== undefined && 'isText' in picture && picture.isText) {
    refuseText(param, problems);
  }
}

function takeContent(
  content: unknown,
  param: string,
  reader: PictureReader,
  problems: Problems,
): void {
  const parts: readonly unknown[] = Array.isArray(content) ? content : [];
  const [part] = parts;
  if (parts.length === 1 && isObject(part) && part['type'] === 'image_url') {
    reader.takePart(part, `${param}[0]`);
  } else if (typeof content === 'string' || parts.some((one) => isObject(one) && 'text' in one)) {
    refuseText(param, problems);
  } else problems.wrong(param, "one part {type: 'image_url', image_url}");
}

function refuseText(param: string, problems: Problems): void {
  const message = `${param}: this model embeds pictures only; send data:image/...;base64,...`;
  problems.add({ code: 'unsupported_input', param, message });
}
