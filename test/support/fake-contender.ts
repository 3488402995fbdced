/** A model for the runner's tests: answers follow from the question alone, faults happen on demand. */
import { createHash } from 'node:crypto';

import { createError, type ErrorCode } from '../../lib/errors.js';
import type { Contender, ModelUnderTest, Question } from '../../lib/evaluation/model-under-test.js';

export interface FakeOptions {
  readonly name?: string;
  /** Decides the answers, and is the model's identity. */
  readonly seed?: string;
  /** Error of a question, if it has one; `size` is that of the batch it is asked in. */
  readonly fault?: (question: Question, size: number) => ErrorCode | undefined;
  /** Before each batch; may abort or throw. */
  readonly onBatch?: (questions: readonly Question[], number: number) => void;
}

/** What happened, in order: `open`, `clear`, `answer 3`, `choose`, `close`. */
export interface FakeContender extends Contender {
  readonly log: string[];
  readonly asked: string[];
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

export function fakeContender(options: FakeOptions = {}): FakeContender {
  const { name = 'base', seed = 'fake', fault, onBatch } = options;
  const log: string[] = [];
  const asked: string[] = [];
  let batches = 0;
  const check = (questions: readonly Question[]): void => {
    for (const question of questions) {
      const code = fault?.(question, questions.length);
      if (code !== undefined) throw createError(code, `no answer to ${question.prompt}`);
    }
  };
  const facts = ({ prompt, images }: Question) => ({
    promptHash: digest(prompt).toString('hex'),
    promptTokens: prompt.length,
    imageTokens: images.length,
  });
  const model: ModelUnderTest = {
    device: 'nowhere',
    dtype: 'fp32',
    // In another turn of the event loop, as a real one.
    async answer(questions, signal) {
      await new Promise(setImmediate);
      log.push(`answer ${questions.length}`);
      onBatch?.(questions, batches++);
      signal.throwIfAborted();
      check(questions);
      asked.push(...questions.map(({ prompt }) => prompt));
      return questions.map((question) => {
        const index = (digest(seed + question.prompt)[0] ?? 0) % question.choices.length;
        return { text: question.choices[index] ?? '', generatedTokens: 2, ...facts(question) };
      });
    },
    async choose(question, signal) {
      await new Promise(setImmediate);
      log.push('choose');
      signal.throwIfAborted();
      check([question]);
      const weights = question.choices.map((_, i) => (digest(seed + question.prompt)[i] ?? 0) + 1);
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      return { probabilities: weights.map((weight) => weight / total), ...facts(question) };
    },
    clearCaches() {
      log.push('clear');
      return Promise.resolve();
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
  };
}
