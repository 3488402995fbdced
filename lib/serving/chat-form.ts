/** Answers of a chat completion that a schema holds to, as a stream like others. */
import { createHash } from 'node:crypto';

import type { AskedHow, Calibration } from '../calibration/index.js';
import type { ChatMessage } from '../chat/index.js';
import {
  type AnswerResult,
  AnswerStream,
  facesOf,
  resolveGeneration,
  samplingOf,
} from '../generation/index.js';
import {
  askedBy,
  type ExtractResult,
  type ExtractSchema,
  formOf,
  schemaIdentity,
} from '../model/index.js';
import type { ChatRequest } from './chat-request.js';
import { fieldsOf } from './extract-answer.js';
import type { AskedForm } from './form-fields.js';
import { promptOf, toMessages } from './message-fields.js';
import { grammarClient, type Ready, type Work } from './work.js';

type Extraction = ExtractResult<unknown>;

/** Answers beside the first draw from streams of their own. */
function seedOf(seed: number, index: number): number {
  if (index === 0) return seed;
  return createHash('sha256').update(`${seed}#${index}`).digest().readUIntBE(0, 6);
}

export function askForm(
  work: Work,
  request: ChatRequest,
  { schema, isPlain, tellsFields }: AskedForm,
  ready: Ready,
): { readonly stream: AnswerStream; readonly account: () => Readonly<Record<string, unknown>> } {
  const { model } = work.exchange.state;
  const { answers, generation } = request;
  const given = promptOf(request, model.config);
  let found: readonly Extraction[] = [];
  let admitted: Promise<void> | undefined;
  const stream = new AnswerStream(
    async (push, own) => {
      const signal = AbortSignal.any([work.signal, own]);
      const turns = toMessages(request.turns, ready.images);
      const calibration = calibrationOf(work, turns, given, schema, ready);
      const all = Array.from({ length: answers }, (_, index) =>
        model.extract({
          ...given,
          ...{ messages: turns, schema, plain: isPlain, signal },
          client: grammarClient(work),
          ...(isPlain ? {} : { calibration }),
          temperature: generation.doSample === true ? generation.temperature : 0,
          seed: seedOf(generation.seed ?? 0, index),
          maxNewTokens: request.maxTokens,
          adapters: ready.adapters,
          reusePrefix: request.reusePrefix,
          // One place in the queue for all of them.
          whenPrepared: (prompts) => (admitted ??= ready.whenPrepared(prompts)),
          onText: (text) => push({ index, text, tokens: [] }),
        }),
      );
      try {
        found = await Promise.all(all);
      } finally {
        await Promise.allSettled(all);
      }
      return answerOf(found, request);
    },
    () => answers,
  );
  return { stream, account: () => accountOf(found, tellsFields) };
}

/** Of fields that a server's file knows. */
function calibrationOf(
  { exchange: { state } }: Work,
  turns: readonly ChatMessage[],
  prompt: ChatRequest['prompt'],
  schema: ExtractSchema,
  { adapters }: Ready,
): Calibration | undefined {
  const { question, system } = askedBy(turns);
  if (question === undefined) return undefined;
  const how = (): AskedHow => state.model.askedHow({ ...prompt, system, adapters });
  return state.calibrations.ofSchema(how, question, () => schemaIdentity(formOf({ schema })));
}

function answerOf(found: readonly Extraction[], { generation }: ChatRequest): AnswerResult {
  const answers = found.map(({ text, tokenIds, isComplete }) => ({
    ...{ text, tokenIds, logProbs: [] },
    finishReason: isComplete ? ('stop' as const) : ('length' as const),
  }));
  const [first] = found;
  const [answer] = answers;
  if (first === undefined || answer === undefined) throw new RangeError('there is no answer');
  const { promptHash, promptTokens, imageTokens, cachedTokens, peakBytes } = first;
  return {
    ...answer,
    ...{ answers, promptHash, promptTokens, imageTokens, cachedTokens, peakBytes },
    ...facesOf(first),
    preemptions: found.reduce((sum, { preemptions }) => sum + preemptions, 0),
    timings: { ...first.timings, firstToken: 0 },
    sampling: samplingOf(resolveGeneration(generation)),
  };
}

/** Of one answer its own, of several a list. */
function accountOf(
  found: readonly Extraction[],
  tellsFields: boolean,
): Readonly<Record<string, unknown>> {
  const [first] = found;
  if (first === undefined) return {};
  return {
    structured: first.engine,
    complete: found.every(({ isComplete }) => isComplete),
    forced_tokens: found.reduce((sum, { forcedTokens }) => sum + forcedTokens, 0),
    ...(tellsFields &&
      (found.length === 1
        ? { fields: fieldsOf(first) }
        : { fields_of_choices: found.map(fieldsOf) })),
  };
}
