/** `POST /v1/extract`: an object of a schema's form about pictures, with the probabilities of its fields. */
import { randomInt, randomUUID } from 'node:crypto';

import { formOf, schemaIdentity } from '../model/index.js';
import { fieldsOf } from './extract-answer.js';
import type { Exchange, Reply } from './exchange.js';
import { facesWritten } from './face-fields.js';
import { readGivenSchema } from './form-fields.js';
import { checkPictureCount, type Detail, PictureReader, promptOf } from './message-fields.js';
import type { Policy } from './options.js';
import type { ParsedBody } from './parse-body.js';
import type { PictureField } from './picture-intake.js';
import {
  IGNORED_FIELDS,
  PROMPT_FIELDS,
  type PromptFields,
  readPromptFields,
} from './prompt-fields.js';
import { type AskedQuestion, readQuestion } from './question-fields.js';
import { usageOf } from './usage.js';
import { type Body, Fields, Problems } from './values.js';
import { grammarClient, makeReady, type Work, withWork } from './work.js';

interface ExtractRequest extends PromptFields, AskedQuestion {
  readonly pictures: readonly PictureField[];
  readonly detail: Detail | undefined;
  readonly schema: Body;
  readonly temperature: number;
  readonly seed: number;
  readonly maxTokens: number;
}

const KNOWN: readonly string[] = [
  ...['messages', 'images', 'question', 'schema', 'temperature', 'seed', 'max_tokens'],
  ...PROMPT_FIELDS,
  ...IGNORED_FIELDS,
];

/** @throws ApiError naming all that is wrong */
function readExtractRequest(
  { body, pictures: parsed }: ParsedBody,
  policy: Policy,
): ExtractRequest {
  const problems = new Problems();
  const fields = new Fields(body, problems);
  if (!policy.ignoresUnknown) fields.refuseOthers(KNOWN);
  const { limits, defaultTemperature } = policy;
  const reader = new PictureReader(parsed, problems);
  const asked = readQuestion(fields, reader, true);
  checkPictureCount(reader.pictures, policy, problems);
  const usual = Math.min(limits.defaultMaxTokens, limits.maxTokens);
  const request: ExtractRequest = {
    ...readPromptFields(fields, policy),
    ...asked,
    pictures: reader.pictures,
    detail: reader.detail(),
    schema: readGivenSchema(fields.raw('schema'), 'schema', fields) ?? {},
    temperature: fields.number('temperature', 0, 2) ?? defaultTemperature,
    seed: fields.whole('seed', 0, 2 ** 53 - 1) ?? randomInt(2 ** 48 - 1),
    maxTokens: fields.whole('max_tokens', 1, limits.maxTokens) ?? usual,
  };
  problems.throwIfAny();
  return request;
}

export function extractRoute(exchange: Exchange): Promise<Reply> {
  return withWork(exchange, answerExtract);
}

export async function answerExtract(work: Work): Promise<Reply> {
  const { state, facts } = work.exchange;
  const request = readExtractRequest(work.parsed, state.policy);
  const { schema, temperature, seed, maxTokens } = request;
  const ready = await makeReady(work, {
    ...{ fields: request, pictures: request.pictures },
    ...{ answers: 1, maxTokens },
    timeoutMs: state.policy.limits.answerTimeout,
  });
  try {
    const prompt = { ...promptOf(request, state.model.config), adapters: ready.adapters };
    const result = await state.model.extract({
      ...prompt,
      calibration: state.calibrations.ofSchema(
        () => state.model.askedHow(prompt),
        request.question,
        () => schemaIdentity(formOf({ schema })),
      ),
      image: ready.images,
      question: request.question,
      ...{ schema, temperature, seed, maxNewTokens: maxTokens },
      client: grammarClient(work),
      reusePrefix: request.reusePrefix,
      whenPrepared: ready.whenPrepared,
      signal: work.signal,
    });
    const { timings, tokenIds, isComplete } = result;
    facts.cachedTokens = result.cachedTokens;
    facts.generatedTokens = tokenIds.length;
    facts.encodeMs = timings.vision;
    facts.prefillMs = timings.prefill;
    facts.decodeMs = timings.decode;
    facts.preprocessMs = timings.preprocess;
    facts.finishReason = isComplete ? 'stop' : 'length';
    return {
      id: `extract-${randomUUID()}`,
      object: 'facellm.extraction',
      created: Math.floor(Date.now() / 1000),
      model: request.model ?? facts.model,
      value: result.value ?? null,
      text: result.text,
      complete: isComplete,
      fields: fieldsOf(result),
      usage: usageOf(facts, result.imageTokens, tokenIds.length),
      facellm: {
        structured: result.engine,
        prompt_hash: result.promptHash,
        seed,
        adapters: facts.adapters,
        tiles: facts.tiles,
        ...facesWritten(result.faces),
        forced_tokens: result.forcedTokens,
        timings_ms: facts.timings(),
      },
    };
  } finally {
    ready.done();
  }
}
