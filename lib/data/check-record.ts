/**
 * One record of a data file to turns and picture names, with everything that is wrong with it. The
 * rules are those of LLaMA-Factory's ShareGPT converter and its multimodal plugin (v0.9.3,
 * data/converter.py and data/mm_plugin.py), but nothing is dropped, cut or read half.
 */
import { received } from '../options/describe.js';
import { isJsonObject, type JsonObject } from '../files/index.js';
import {
  filledPictureKeys,
  type RecordLayout,
  type TurnRole,
  unreadPictureKeys,
} from './layout.js';
import { FACTS, type TrainingRecord, type TrainingTurn } from './types.js';

const PLACEHOLDER = '<image>';

export interface CheckedRecord {
  /** As written in the file. */
  readonly images: readonly string[];
  readonly system: string | undefined;
  /** Sound only if there are no problems. */
  readonly turns: readonly TrainingTurn[];
  readonly rejected?: string;
  readonly facts: TrainingRecord['facts'];
  readonly problems: readonly string[];
}

/** A turn as far as it could be read. */
interface Turn {
  readonly place: string;
  readonly role: TurnRole | undefined;
  readonly written: unknown;
  readonly text: string;
}

function countPlaceholders(text: string): number {
  return text.split(PLACEHOLDER).length - 1;
}

/** The words of the file for `role`, such as "human". */
function wordsFor(layout: RecordLayout, role?: TurnRole): string {
  const words = [...layout.roles].filter(([, known]) => role === undefined || known === role);
  return words.map(([word]) => word).join(' or ');
}

function readTurn(raw: unknown, place: string, layout: RecordLayout, problems: string[]): Turn {
  if (!isJsonObject(raw)) {
    problems.push(`${place}: expected an object, ${received(raw)}`);
    return { place, role: undefined, written: undefined, text: '' };
  }
  const written = raw[layout.role];
  const role = typeof written === 'string' ? layout.roles.get(written) : undefined;
  if (role === undefined) {
    problems.push(`${place}.${layout.role}: expected ${wordsFor(layout)}, ${received(written)}`);
  }
  const content = raw[layout.content];
  if (typeof content !== 'string' || content.trim() === '') {
    const name = role === 'assistant' ? 'an answer' : 'text';
    problems.push(
      `${place}.${layout.content}: expected ${name} that is not blank, ${received(content)}`,
    );
  } else if (role !== undefined && role !== 'user' && content.includes(PLACEHOLDER)) {
    problems.push(
      `${place}.${layout.content}: ${PLACEHOLDER} may stand only in a turn of ${wordsFor(layout, 'user')}, not of ${String(written)}`,
    );
  }
  return { place, role, written, text: typeof content === 'string' ? content : '' };
}

/** After an optional system turn, users and assistants in turns; the last turn is an answer. */
function checkOrder(turns: readonly Turn[], layout: RecordLayout, problems: string[]): void {
  const dialogue = turns[0]?.role === 'system' ? turns.slice(1) : turns;
  for (const [i, { place, role, written }] of dialogue.entries()) {
    const wanted = i % 2 === 0 ? 'user' : 'assistant';
    if (role === undefined || role === wanted) continue;
    problems.push(
      `${place}.${layout.role}: expected ${wordsFor(layout, wanted)} here, ${received(written)}; after an optional system turn, questions and answers alternate`,
    );
    // One turn too many or too few puts all that follow out of order: the first says it.
    return;
  }
  if (dialogue.length === 0) {
    problems.push(`${layout.messages}: expected a question and an answer, only a system turn came`);
  } else if (dialogue.length % 2 !== 0) {
    const count = dialogue.length;
    problems.push(
      `${layout.messages}: expected the last turn to be an answer, but there are ${count} turn(s) without the system turn`,
    );
  }
}

function readImages(record: JsonObject, layout: RecordLayout, problems: string[]): unknown[] {
  for (const key of unreadPictureKeys(record, layout)) {
    const columns = layout.images.length === 0 ? 'no column' : layout.images.join(' or ');
    problems.push(
      `${key} holds pictures that would be lost: ${columns} is read for images; name ${key} as columns.images of a dataset_info.json`,
    );
  }
  const keys = filledPictureKeys(record, layout);
  if (keys.length > 1) problems.push(`pictures stand in ${keys.join(' and ')}; use one of them`);
  const [key = ''] = keys;
  const written = record[key];
  const list: unknown[] = keys.length === 0 ? [] : Array.isArray(written) ? written : [written];
  for (const [i, item] of list.entries()) {
    if (typeof item === 'string' && item !== '') continue;
    const place = Array.isArray(written) ? `${key}[${i}]` : key;
    problems.push(`${place}: expected the path of an image, ${received(item)}`);
  }
  return list;
}

function readSystemColumn(record: JsonObject, layout: RecordLayout, problems: string[]): string {
  const written = layout.system === undefined ? '' : (record[layout.system] ?? '');
  if (typeof written !== 'string') {
    problems.push(`${layout.system ?? ''}: expected text, ${received(written)}`);
    return '';
  }
  if (written.includes(PLACEHOLDER)) {
    problems.push(`${layout.system ?? ''}: ${PLACEHOLDER} may not stand in the system text`);
  }
  return written;
}

/** A better answer, which is the conversation's last turn, and a worse one: texts, or turns of their own. */
function readAnswers(
  record: JsonObject,
  layout: RecordLayout,
  problems: string[],
): { readonly chosen: Turn | undefined; readonly rejected: string | undefined } {
  const read = (key: string | undefined): Turn | undefined => {
    const written = key === undefined ? undefined : record[key];
    if (key === undefined || written === undefined || written === null) return undefined;
    const word = [...layout.roles].find(([, role]) => role === 'assistant')?.[0];
    const turn =
      typeof written === 'string' ? { [layout.role]: word, [layout.content]: written } : written;
    const own = readTurn(turn, key, layout, problems);
    if (own.role !== undefined && own.role !== 'assistant') {
      problems.push(`${key}.${layout.role}: expected ${wordsFor(layout, 'assistant')} here`);
    }
    return own;
  };
  const [chosen, rejected] = [read(layout.chosen), read(layout.rejected)];
  if (chosen !== undefined && rejected === undefined) {
    problems.push(`${layout.chosen ?? ''}: expected ${layout.rejected ?? ''} beside it`);
  }
  return { chosen, rejected: rejected?.text };
}

/** A number is an age, or a person's number in a list; other kinds of values are no facts of ours. */
function readFacts(record: JsonObject): TrainingRecord['facts'] {
  const known = FACTS.flatMap((fact) => {
    const written = record[fact];
    if (typeof written !== 'string' && typeof written !== 'number') return [];
    return written === '' ? [] : [[fact, String(written)] as const];
  });
  return Object.fromEntries(known);
}

/** Reads one record; whether its pictures exist is not looked at. Never throws. */
export function checkRecord(raw: unknown, layout: RecordLayout): CheckedRecord {
  if (!isJsonObject(raw)) {
    const problem = `expected an object with ${layout.messages}, ${received(raw)}`;
    return { images: [], system: undefined, turns: [], facts: {}, problems: [problem] };
  }
  const problems: string[] = [];
  const written = raw[layout.messages];
  const isConversation = Array.isArray(written) && written.length > 0;
  if (!isConversation) {
    const keys = Object.keys(raw).slice(0, 20).join(', ') || 'none';
    const came = written === undefined ? `${received(written)}; keys: ${keys}` : received(written);
    problems.push(`${layout.messages}: expected an array of turns, ${came}`);
  }
  const conversation: readonly unknown[] = isConversation ? written : [];
  const turns = conversation.map((turn, i) =>
    readTurn(turn, `${layout.messages}[${i}]`, layout, problems),
  );
  const { chosen, rejected } = readAnswers(raw, layout, problems);
  if (chosen !== undefined) turns.push(chosen);
  if (isConversation) checkOrder(turns, layout, problems);
  if (rejected !== undefined && rejected === turns.at(-1)?.text) {
    problems.push(
      `${layout.rejected ?? ''}: expected another text than the answer, which it equals`,
    );
  }
  const images = readImages(raw, layout, problems);
  const column = readSystemColumn(raw, layout, problems);
  if (isConversation) {
    const count = turns.reduce((sum, { text }) => sum + countPlaceholders(text), 0);
    if (count !== images.length) {
      problems.push(`${count} ${PLACEHOLDER} placeholder(s) but ${images.length} image(s)`);
    }
  }
  const first = turns[0];
  const hasSystemTurn = first?.role === 'system';
  const system = hasSystemTurn ? first.text : column;
  const dialogue = hasSystemTurn ? turns.slice(1) : turns;
  return {
    images: images.filter((image) => typeof image === 'string' && image !== '') as string[],
    system: system === '' ? undefined : system,
    turns: dialogue.flatMap((turn, i) => {
      const answer = dialogue[i + 1];
      return i % 2 === 0 && answer ? [{ user: turn.text, assistant: answer.text }] : [];
    }),
    ...(rejected === undefined ? {} : { rejected }),
    facts: readFacts(raw),
    problems,
  };
}
