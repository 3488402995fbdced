/** `POST /v1/choose`: the body to what the library is asked. */
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
import { readImages, readItemQuestion, readQuestion } from './question-fields.js';
import { Fields, isObject, Problems } from './values.js';

export interface GivenChoice {
  readonly text: string;
  readonly label: string | undefined;
}

export interface ChoiceItem {
  readonly id: string | undefined;
  readonly question: string;
  readonly choices: readonly GivenChoice[];
}

export interface ChooseRequest extends PromptFields {
  readonly items: readonly ChoiceItem[];
  /** Of a system turn. */
  readonly system: string | undefined;
  readonly pictures: readonly PictureField[];
  readonly detail: Detail | undefined;
  readonly includeEnd: boolean;
  readonly ignored: readonly string[];
}

const OWN = ['messages', 'images', 'question', 'choices', 'include_end', 'items'];
const KNOWN: readonly string[] = [...OWN, ...PROMPT_FIELDS, ...IGNORED_FIELDS];
const MOST_CHOICES = 256;
const MOST_ITEMS = 64;
const LONGEST = 4096;

/** @throws ApiError naming all that is wrong */
export function readChooseRequest(
  { body, pictures: parsed }: ParsedBody,
  policy: Policy,
): ChooseRequest {
  const problems = new Problems();
  const fields = new Fields(body, problems);
  const ignored = policy.ignoresUnknown ? fields.others(KNOWN) : [];
  if (!policy.ignoresUnknown) fields.refuseOthers(KNOWN);
  const reader = new PictureReader(parsed, problems);
  const isMany = fields.raw('items') !== undefined;
  const asked = isMany ? readMany(fields, reader) : readOne(fields, reader);
  checkPictureCount(reader.pictures, policy, problems);
  const request: ChooseRequest = {
    ...readPromptFields(fields, policy),
    ...asked,
    pictures: reader.pictures,
    detail: reader.detail(),
    includeEnd: fields.flag('include_end') ?? true,
    ignored,
  };
  problems.throwIfAny();
  return request;
}

type Asked = Pick<ChooseRequest, 'items' | 'system'>;

function readOne(fields: Fields, reader: PictureReader): Asked {
  const { question, system } = readQuestion(fields, reader, true);
  return { system, items: [{ id: undefined, question, choices: readChoices(fields) }] };
}

/** Several questions about the same pictures. */
function readMany(fields: Fields, reader: PictureReader): Asked {
  const { problems } = fields;
  for (const other of ['messages', 'question', 'choices']) {
    if (fields.raw(other) === undefined) continue;
    problems.wrong(other, 'each item to have its own, and nothing beside items');
  }
  readImages(fields, reader);
  const systems = new Set<string | undefined>();
  const items = (fields.list('items', 1, MOST_ITEMS) ?? []).flatMap((item, i) => {
    const param = `items[${i}]`;
    if (!isObject(item)) {
      problems.wrong(param, '{question, choices}');
      return [];
    }
    const inner = new Fields(item, problems, `${param}.`);
    inner.refuseOthers(['question', 'messages', 'choices', 'id']);
    const { question, system } = readItemQuestion(inner, reader);
    systems.add(system);
    return [{ id: inner.text('id', 256, 1), question, choices: readChoices(inner) }];
  });
  const ids = items.map(({ id }, i) => id ?? String(i));
  ids.forEach((id, i) => {
    if (ids.indexOf(id) < i) problems.wrong(`items[${i}].id`, 'an id of its own');
  });
  if (systems.size > 1) problems.wrong('items', 'the same system turn in all of them');
  return { items, system: [...systems][0] };
}

function readChoices(fields: Fields): readonly GivenChoice[] {
  const { problems } = fields;
  const param = (i: number): string => fields.param(`choices[${i}]`);
  const given = fields.list('choices', 2, MOST_CHOICES);
  if (given === undefined && fields.raw('choices') === undefined) {
    problems.wrong(fields.param('choices'), `a list of 2..${MOST_CHOICES}`);
  }
  const choices = (given ?? []).map((choice, i) => readChoice(choice, param(i), problems));
  const texts = choices.map(({ text }) => text.normalize('NFC'));
  choices.forEach((_, i) => {
    if (texts[i] !== '' && texts.indexOf(texts[i] ?? '') < i) {
      problems.wrong(param(i), 'a text that stands in no choice before');
    }
  });
  return choices;
}

function readChoice(choice: unknown, param: string, problems: Problems): GivenChoice {
  if (typeof choice === 'string' && choice.length >= 1 && choice.length <= LONGEST) {
    return { text: choice, label: undefined };
  }
  if (isObject(choice)) {
    const inner = new Fields(choice, problems, `${param}.`);
    inner.refuseOthers(['text', 'label']);
    if (choice['text'] === undefined) problems.wrong(`${param}.text`, 'a text');
    return { text: inner.text('text', LONGEST, 1) ?? '', label: inner.text('label', 256) };
  }
  problems.wrong(param, `a text of 1..${LONGEST} characters, or {text, label}`);
  return { text: '', label: undefined };
}
