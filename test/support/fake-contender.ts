/** A model for the runner's tests: answers follow from the question alone, faults happen on demand. */
import { createHash } from 'node:crypto';

import { createError, type ErrorCode } from '../../lib/errors.js';
import type { Contender, ModelUnderTest, Question } from '../../lib/evaluation/model-under-test.js';

export interface FakeOptions {
  readonly name?: string;
  /** Decides the answers, and is the model's identity. */
  readonly seed?: string;
  /** Error of a question, if it has one. */
  readonly fault?: (question: Question) => ErrorCode | undefined;
  /** Before each question, which are numbered from 0; may abort or throw. */
  readonly onQuestion?: (question: Question, number: number) => void;
}

/** What happened, in order: `open`, `answer`, `choose`, `close`. */
export interface FakeContender extends Contender {
  readonly log: string[];
  readonly asked: string[];
  /** The most questions that were under way at a time. */
  readonly most: () => number;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

export function fakeContender(options: FakeOptions = {}): FakeContender {
  const { name = 'base', seed = 'fake', fault, onQuestion } = options;
  const log: string[] = [];
  const asked: string[] = [];
  let number = 0;
  let now = 0;
  let most = 0;
  /** In another turn of the event loop, as a real one. */
  const work = async (what: string, question: Question, signal: AbortSignal): Promise<void> => {
    most = Math.max(most, ++now);
    await new Promise(setImmediate);
    now--;
    log.push(what);
    if (what === 'answer') onQuestion?.(question, number++);
    signal.throwIfAborted();
    const code = fault?.(question);
    if (code !== undefined) throw createError(code, `no answer to ${question.prompt}`);
  };
  const facts = ({ prompt, images }: Question) => ({
    promptHash: digest(prompt).toString('hex'),
    promptTokens: prompt.length,
    imageTokens: images.length,
  });
  const model: ModelUnderTest = {
    device: 'nowhere',
    dtype: 'fp32',
    isDeterministic: true,
    async answer(question, signal) {
      await work('answer', question, signal);
      asked.push(question.prompt);
      const index = (digest(seed + question.prompt)[0] ?? 0) % question.choices.length;
      return { text: question.choices[index] ?? '', generatedTokens: 2, ...facts(question) };
    },
    async choose(question, signal) {
      await work('choose', question, signal);
      const weights = question.choices.map((_, i) => (digest(seed + question.prompt)[i] ?? 0) + 1);
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      return { probabilities: weights.map((weight) => weight / total), ...facts(question) };
    },
    [Symbol.asyncDispose]() {
      log.push('close');
      return Promise.resolve();
    },
  };
  return {
    name,
    origin: { model: `fake ${seed}` },
    identity: { model: seed, adapters: [] },
    open() {
      log.push('open');
      return Promise.resolve(model);
    },
    log,
    asked,
    most: () => most,
  };
}
