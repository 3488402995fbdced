/** `POST /v1/choose`: the body to what the library is asked. */
import {
  checkPictureCount,
  type Detail,
  MessageReader,
  PictureReader,
  type TakenTurn,
} from './message-fields.js';
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
  const asked =
    fields.raw('messages') === undefined ? readQuestion(fields, reader) : readTurns(fields, reader);
  if (fields.raw('items') !== undefined) problems.unsupported('items');
  const choices = readChoices(fields);
  checkPictureCount(reader.pictures, policy, problems);
  const request: ChooseRequest = {
    ...readPromptFields(fields, policy),
    system: asked.system,
    items: [{ id: undefined, question: asked.question, choices }],
    pictures: reader.pictures,
    detail: reader.detail(),
    includeEnd: fields.flag('include_end') ?? true,
    ignored,
  };
  problems.throwIfAny();
  return request;
}

interface Asked {
  readonly question: string;
  readonly system: string | undefined;
}

function readQuestion(fields: Fields, reader: PictureReader): Asked {
  const images = fields.list('images', 0, 64) ?? [];
  images.forEach((image, i) => {
    const param = `images[${i}]`;
    if (isObject(image)) reader.takePart(image, param);
    else reader.take(image, param);
  });
  const question = fields.text('question', 2 ** 20, 1);
  if (question === undefined && fields.raw('question') === undefined) {
    fields.problems.wrong('question', 'a text, or messages in its place');
  }
  return { question: question ?? '', system: undefined };
}

/** A conversation that is one question: what was said before would have to be scored, too. */
function readTurns(fields: Fields, reader: PictureReader): Asked {
  const { problems } = fields;
  for (const other of ['images', 'question']) {
    if (fields.raw(other) !== undefined)
      problems.wrong(other, 'either messages or images and question');
  }
  const turns = new MessageReader(reader, problems).read(fields.raw('messages'), 'messages');
  const asked = turns.filter(({ role }) => role !== 'system');
  if (asked.length !== 1 || asked[0]?.role !== 'user') {
    problems.unsupported('messages', 'of more than one question are not supported here');
  }
  return {
    question: textsOf(asked[0]) ?? '',
    system: textsOf(turns.find(({ role }) => role === 'system')),
  };
}

/** Pictures come first, as where they are given apart. */
function textsOf(turn: TakenTurn | undefined): string | undefined {
  if (turn === undefined) return undefined;
  if (typeof turn.content === 'string') return turn.content;
  return turn.content.map((part) => (part.type === 'text' ? part.text : '')).join('');
}

function readChoices(fields: Fields): readonly GivenChoice[] {
  const { problems } = fields;
  const given = fields.list('choices', 2, MOST_CHOICES);
  if (given === undefined && fields.raw('choices') === undefined) {
    problems.wrong('choices', `a list of 2..${MOST_CHOICES}`);
  }
  const choices = (given ?? []).map((choice, i) => readChoice(choice, `choices[${i}]`, problems));
  const texts = choices.map(({ text }) => text.normalize('NFC'));
  choices.forEach((_, i) => {
    if (texts[i] !== '' && texts.indexOf(texts[i] ?? '') < i) {
      problems.wrong(`choices[${i}]`, 'a text that stands in no choice before');
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
