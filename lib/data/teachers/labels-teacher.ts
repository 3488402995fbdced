/**
 * A teacher without a network: it writes answers from the labels alone, looks at no picture and
 * invents nothing. It makes the whole loop runnable anywhere and teaches a small model the labelled
 * attributes; it is no substitute for a teacher that sees.
 */
import { createHash } from 'node:crypto';

import { checkFields, fields, whole } from '../../options/index.js';
import {
  closings,
  LONG,
  openings,
  PLAIN_OPENINGS,
  SHORT,
  type Subject,
  subjectOf,
} from './label-sentences.js';
import type { TeacherAnswer, TeacherRequest } from './exchange.js';
import type { Teacher } from './teacher.js';

export interface LabelsTeacherOptions {
  /** Other seeds choose other wordings. @default 0 */
  readonly seed?: number | undefined;
}

const teacherOptions = fields<LabelsTeacherOptions>({ seed: whole(0).optional() });

/** A generator of whole numbers below a bound, seeded by a text (mulberry32). */
function draws(seed: string): (bound: number) => number {
  let state = createHash('sha256').update(seed).digest().readUInt32LE(0);
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
  };
}

function write({ question, labels }: TeacherRequest, draw: (bound: number) => number): string {
  const pick = (bank: readonly string[]): string => bank[draw(bank.length)] ?? '';
  const subject: Subject = subjectOf(labels);
  const told = question.about.filter((attribute) => labels[attribute] !== undefined);
  const [closed] = question.requires;
  if (question.answers !== undefined && closed !== undefined) {
    return question.answers[labels[closed] ?? ''] ?? '';
  }
  // A question that requires a label is a short one: it wants that label and nothing else.
  if (question.requires.length > 0) {
    return question.requires
      .map((attribute) => pick(SHORT[attribute](labels[attribute] ?? '', subject)))
      .join(' ');
  }
  const mayNamePerson = question.about.includes('gender');
  const opening = pick(mayNamePerson ? openings(subject) : PLAIN_OPENINGS);
  const rest = told.filter((attribute) => attribute !== 'gender' || question.about.length <= 3);
  // A sentence on a trait says "the person" where the question is not about gender.
  const named = mayNamePerson ? subject : subjectOf({});
  const sentences = rest.map((attribute) => pick(LONG[attribute](labels[attribute] ?? '', named)));
  const isSilent = sentences.length === 0 || draw(4) === 0;
  return [opening, ...sentences, ...(isSilent ? [pick(closings(question.topic))] : [])].join(' ');
}

export class LabelsTeacher implements Teacher {
  readonly name = 'labels';
  readonly identity: Readonly<Record<string, unknown>>;
  // Answers cost nothing; the number is how many share one sync of the disk.
  readonly defaultConcurrency = 1024;
  readonly prices = undefined;
  readonly #seed: number;

  /** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT */
  constructor(options: LabelsTeacherOptions = {}) {
    const { seed = 0 } = checkFields(teacherOptions, options, 'the labels teacher cannot be used');
    this.#seed = seed;
    this.identity = { seed };
  }

  answer(request: TeacherRequest): Promise<TeacherAnswer> {
    const draw = draws(`${this.#seed}\n${request.id}\n${request.attempt}`);
    return Promise.resolve({ text: write(request, draw), finish: 'stop' });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
