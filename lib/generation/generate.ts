/** Runs prompts on the engine: a request each, all answers to it in one. */
import type { NativeGenerateJob, NativeGenerateResult } from '../binding/native.js';
import { settle } from '../binding/settle.js';
import type { AnswerPiece, AnswerResult } from './answer.js';
import { type AnswerContext, AnswerRows } from './answer-rows.js';
import { type ResolvedGeneration, samplingOf } from './options.js';
import { facesOf, type PicturedPrompt, type PixelDesk } from './pixel-desk.js';
import { promptHash } from './prompt-hash.js';
import { together } from './together.js';
import type { TokenRouter } from './token-router.js';

export interface GenerateContext extends AnswerContext {
  readonly tokens: TokenRouter;
  readonly pixels: PixelDesk;
  /** Ids of the adapters that work. */
  readonly adapters: readonly number[];
  readonly usesPrefixCache: boolean;
  readonly signal: AbortSignal | undefined;
  /** When the call began and how long Node's own preparation took, milliseconds. */
  readonly startedAt: number;
  readonly preparedMs: number;
}

/**
 * Answers each prompt by a request of its own; the engine computes them together.
 *
 * @param push receives each piece with its prompt's place
 * @throws the signal's reason when aborted, else FaceLlmError; of several the first, and the others are stopped
 */
export async function generate(
  context: GenerateContext,
  prompts: readonly PicturedPrompt[],
  options: ResolvedGeneration,
  push: (place: number, piece: AnswerPiece) => void,
): Promise<readonly AnswerResult[]> {
  return together(context.signal, prompts, (prompt, place, signal) =>
    answer({ ...context, signal }, prompt, options, place, (piece) => push(place, piece)),
  );
}

async function answer(
  context: GenerateContext,
  prompt: PicturedPrompt,
  options: ResolvedGeneration,
  place: number,
  push: (piece: AnswerPiece) => void,
): Promise<AnswerResult> {
  const { signal } = context;
  const rows = new AnswerRows(context, prompt, options, push);
  const job = context.pixels.submit<NativeGenerateResult, NativeGenerateJob>(
    prompt.images,
    (images) =>
      context.tokens.generate(
        {
          prompt: { ids: prompt.ids, images },
          adapters: context.adapters,
          sampling: options.sampling,
          rows: options.n,
          firstRow: place * options.n,
          maxNewTokens: options.maxNewTokens,
          eosIds: context.eosIds,
          usesPrefixCache: context.usesPrefixCache,
          isMasked: options.mask !== undefined,
        },
        (row, token, maskMass) => rows.take(row, token, maskMass),
      ),
  );
  rows.start(job);
  const result = await settle(job, signal).catch((error: unknown) => {
    // Cancelled before it began, since its masks are wrong.
    rows.throwIfFailed();
    throw error;
  });
  // Cut short is no failure to the engine: what it has by then counts, as for a stop string.
  signal?.throwIfAborted();
  const now = performance.now();
  const answers = rows.finish(result.rows);
  const [native] = result.rows;
  const { firstTokenAt } = rows;
  return {
    ...answers[0],
    answers,
    ...facesOf(prompt),
    promptHash: promptHash(prompt.ids),
    promptTokens: native?.promptTokens ?? 0,
    imageTokens: native?.imageTokens ?? 0,
    cachedTokens: native?.cachedTokens ?? 0,
    preemptions: result.rows.reduce((sum, { preemptions }) => sum + preemptions, 0),
    sampling: samplingOf(options),
    timings: {
      ...result.timings,
      preprocess: context.preparedMs + result.timings.preprocess,
      firstToken: firstTokenAt === 0 ? 0 : firstTokenAt - context.startedAt,
      total: now - context.startedAt,
    },
    peakBytes: result.peakBytes,
  };
}
