/** An answer that a schema holds to, with the probabilities of its fields. */
import { grammarsIn, type Json, type SchemaNode } from '../../structured/index.js';
import type { AnswerTimings } from '../answer.js';
import { type FacesSeen, facesOf } from '../pixel-desk.js';
import { promptHash } from '../prompt-hash.js';
import type { Drawing } from './draw.js';
import { encodeAnswer, type FieldsContext, OutOfTokens } from './engine-context.js';
import type { ExtractedField } from './extracted-field.js';
import { FieldWriter } from './field-writer.js';

export interface FieldsResult extends FacesSeen {
  /** Undefined where the answer is not whole. */
  readonly json: Json | undefined;
  /** Compact JSON, keys in the schema's order; a beginning of it where the answer is not whole. */
  readonly text: string;
  /** Whether it was whole within the limit of tokens. */
  readonly isComplete: boolean;
  /** Whether a part of it was written under a grammar; else all of it by fields. */
  readonly engine: 'fields' | 'grammar';
  /** In the order in which they were written; each given those before it. */
  readonly fields: readonly ExtractedField[];
  readonly seed: number;
  /** sha256 of the prompt's token ids, each as a 32-bit little-endian number. */
  readonly promptHash: string;
  readonly promptTokens: number;
  readonly imageTokens: number;
  readonly cachedTokens: number;
  /** Of the answer's text, as the model's own tokenizer writes it. */
  readonly tokenIds: readonly number[];
  /** How many of them no choice or draw was about. */
  readonly forcedTokens: number;
  readonly preemptions: number;
  readonly timings: Omit<AnswerTimings, 'firstToken'>;
  readonly peakBytes: number;
}

/** A schema, or texts one of which is the whole answer. */
export type Form = { readonly node: SchemaNode } | { readonly choices: readonly string[] };

/**
 * @param push receives the text as it is settled
 * @param startedAt of the call; `preparedMs` went by before the engine was asked
 * @throws the signal's reason when aborted, else FaceLlmError
 */
export async function writeFields(
  context: FieldsContext,
  form: Form,
  drawing: Drawing,
  push: (text: string) => void,
  startedAt: number,
  preparedMs: number,
): Promise<FieldsResult> {
  const writer = new FieldWriter(context, drawing, push);
  let json: Json | undefined;
  let rest = '';
  try {
    json = 'node' in form ? await writer.write(form.node) : await writer.choose(form.choices);
  } catch (error) {
    if (!(error instanceof OutOfTokens)) throw error;
    rest = error.rest;
    if (rest !== '') push(rest);
  }
  const { cost, prompt } = context;
  const text = writer.text + rest;
  const { ids } = await encodeAnswer(context, text);
  const { queue, preprocess, vision, prefill, decode } = cost;
  return {
    json,
    text,
    isComplete: json !== undefined,
    engine: 'node' in form && grammarsIn(form.node).length > 0 ? 'grammar' : 'fields',
    fields: writer.fields,
    ...facesOf(prompt),
    seed: drawing.seed,
    promptHash: promptHash(prompt.ids),
    promptTokens: prompt.ids.length,
    imageTokens: cost.imageTokens,
    cachedTokens: cost.cachedTokens ?? 0,
    tokenIds: ids,
    forcedTokens: Math.max(0, ids.length - writer.chosenTokens),
    preemptions: cost.preemptions,
    timings: {
      ...{ queue, vision, prefill, decode },
      preprocess: preparedMs + preprocess,
      total: performance.now() - startedAt,
    },
    peakBytes: cost.peakBytes,
  };
}
