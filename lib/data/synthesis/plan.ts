/**
 * What a run will ask: every question of the prompt set about every picture, in one fixed order. A pair
 * is known by its number, so that the state of 90,000 of them is a few arrays.
 */
import { createHash } from 'node:crypto';

import type { LabelledImage, LabelledImages } from '../labels/read-labels.js';
import { promptSetHash } from '../prompts/load-prompt-set.js';
import { teacherPrompt } from '../prompts/person.js';
import type { PromptSet } from '../prompts/prompt-set.js';
import type { TeacherRequest } from '../teachers/exchange.js';

export class Plan {
  readonly images: readonly LabelledImage[];
  readonly prompts: PromptSet;
  readonly promptSha256: string;

  constructor(images: readonly LabelledImage[], prompts: PromptSet) {
    this.images = images;
    this.prompts = prompts;
    this.promptSha256 = promptSetHash(prompts);
  }

  /** Pairs, those that are not asked included. */
  get size(): number {
    return this.images.length * this.prompts.questions.length;
  }

  image(pair: number): LabelledImage {
    const image = this.images[Math.floor(pair / this.prompts.questions.length)];
    if (image === undefined) throw new RangeError(`no pair ${pair}`);
    return image;
  }

  question(pair: number): PromptSet['questions'][number] {
    const question = this.prompts.questions[pair % this.prompts.questions.length];
    if (question === undefined) throw new RangeError(`no pair ${pair}`);
    return question;
  }

  /** Names a pair in files: `val/1.jpg#skin_texture`. */
  id(pair: number): string {
    return `${this.image(pair).file}#${this.question(pair).id}`;
  }

  /** Why the question is not asked of the picture; undefined if it is. */
  obstacle(pair: number): string | undefined {
    const { labels } = this.image(pair);
    const { requires, answers } = this.question(pair);
    const lacking = requires.filter((attribute) => labels[attribute] === undefined);
    if (lacking.length > 0) return `not known: ${lacking.join(', ')}`;
    const [attribute] = requires;
    if (answers === undefined || attribute === undefined) return undefined;
    const label = labels[attribute] ?? '';
    return Object.hasOwn(answers, label) ? undefined : `no answer for ${attribute} ${label}`;
  }

  request(pair: number, attempt: number): TeacherRequest {
    const { path, labels } = this.image(pair);
    const question = this.question(pair);
    return {
      id: this.id(pair),
      image: path,
      labels,
      question,
      system: this.prompts.system,
      prompt: teacherPrompt(this.prompts, question, labels),
      attempt,
    };
  }

  /** sha256 of all pictures' names and labels in order, and of whose they are where that is known. */
  fingerprint(): string {
    const hash = createHash('sha256');
    for (const { file, labels, person } of this.images) {
      hash.update(JSON.stringify([file, labels, ...(person === undefined ? [] : [person])]));
    }
    return hash.digest('hex');
  }
}

/** What a journal belongs to; a run is resumed only if all of it is the same. */
export function runIdentity(
  plan: Plan,
  labelled: Pick<LabelledImages, 'sha256'>,
  teacher: { readonly name: string; readonly identity: Readonly<Record<string, unknown>> },
): Readonly<Record<string, unknown>> {
  const { name, version } = plan.prompts;
  return {
    version: 1,
    teacher: { name: teacher.name, ...teacher.identity },
    promptSet: { name, version, sha256: plan.promptSha256 },
    labelsSha256: labelled.sha256,
    images: plan.images.length,
    imagesSha256: plan.fingerprint(),
  };
}
