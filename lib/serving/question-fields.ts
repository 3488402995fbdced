/** One question about pictures, as routes of ours have it: `images` and `question`, or `messages` that are one question. */
import { MessageReader, type PictureReader, type TakenTurn } from './message-fields.js';
import { type Fields, isObject } from './values.js';

export interface AskedQuestion {
  /** Empty where the request has none. */
  readonly question: string;
  /** Of a system turn. */
  readonly system: string | undefined;
}

const MOST_IMAGES = 64;
const LONGEST = 2 ** 20;

/** Pictures that stand beside the question, each a URL or `{type: 'image_url', image_url}`. */
export function readImages(fields: Fields, reader: PictureReader): void {
  const images = fields.list('images', 0, MOST_IMAGES) ?? [];
  images.forEach((image, i) => {
    const param = fields.param(`images[${i}]`);
    if (isObject(image)) reader.takePart(image, param);
    else reader.take(image, param);
  });
}

/** @param isNeeded whether a request without a question is wrong */
export function readQuestion(
  fields: Fields,
  reader: PictureReader,
  isNeeded: boolean,
): AskedQuestion {
  if (fields.raw('messages') !== undefined) {
    for (const other of ['images', 'question']) {
      if (fields.raw(other) === undefined) continue;
      fields.problems.wrong(fields.param(other), 'either messages or images and question');
    }
    return readTurns(fields, reader);
  }
  readImages(fields, reader);
  return { question: readText(fields, isNeeded), system: undefined };
}

/** Of one of several questions, which share their pictures. */
export function readItemQuestion(fields: Fields, reader: PictureReader): AskedQuestion {
  const { problems } = fields;
  if (fields.raw('messages') === undefined) {
    return { question: readText(fields, true), system: undefined };
  }
  if (fields.raw('question') !== undefined) {
    problems.wrong(fields.param('question'), 'either messages or a question');
  }
  const before = reader.pictures.length;
  const asked = readTurns(fields, reader);
  if (reader.pictures.length > before) {
    problems.wrong(fields.param('messages'), 'no pictures: those of all questions stand in images');
  }
  return asked;
}

function readText(fields: Fields, isNeeded: boolean): string {
  const question = fields.text('question', LONGEST, 1);
  if (isNeeded && question === undefined && fields.raw('question') === undefined) {
    fields.problems.wrong(fields.param('question'), 'a text, or messages in its place');
  }
  return question ?? '';
}

/** A conversation that is one question: what was said before would be part of the prompt. */
function readTurns(fields: Fields, reader: PictureReader): AskedQuestion {
  const { problems } = fields;
  const name = fields.param('messages');
  const turns = new MessageReader(reader, problems).read(fields.raw('messages'), name);
  const asked = turns.filter(({ role }) => role !== 'system');
  if (turns.length > 0 && (asked.length !== 1 || asked[0]?.role !== 'user')) {
    problems.unsupported(name, 'of more than one question are not supported here');
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
