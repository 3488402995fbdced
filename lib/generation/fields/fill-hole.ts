/** Text of a free place: tokens drawn one by one, each among the ids that may come there. */
import type { NativeGenerateJob, NativeGenerateResult } from '../../binding/native.js';
import { settle } from '../../binding/settle.js';
import type { FreeHole } from '../../structured/index.js';
import { encodeAnswer, type FieldsContext, OutOfTokens } from './engine-context.js';

export interface Filled {
  /** Natural log of the probability under the model, before masks. */
  readonly logProb: number;
  /** The model's own probability of staying within what is allowed, all tokens together. */
  readonly mass: number;
  readonly tokens: number;
}

/**
 * @param written what stands before the hole, in NFC
 * @param seed of this place
 * @throws OutOfTokens with what it has where it does not end within the answer's limit
 */
export async function fillHole(
  context: FieldsContext,
  written: string,
  hole: FreeHole,
  seed: number,
): Promise<Filled> {
  const { prompt, pixels, tokenizer, signal } = context;
  const { ids } = await encodeAnswer(context, written);
  const room = Math.min(
    context.maxNewTokens - ids.length,
    context.maxPositions - prompt.ids.length - ids.length,
  );
  if (room < 1) throw new OutOfTokens();
  signal?.throwIfAborted();
  let [logProb, mass, tokens] = [0, 1, 0];
  let failure: { readonly error: unknown } | undefined;
  const ask = async (): Promise<void> => {
    const place = tokens;
    try {
      const mask = hole.mask();
      job.setMask(0, place, mask instanceof Uint32Array ? mask : await mask);
    } catch (error) {
      failure ??= { error };
      job.cancel();
    }
  };
  const job = pixels.submit<NativeGenerateResult, NativeGenerateJob>(prompt.images, (images) =>
    context.tokens.generate(
      {
        prompt: { ids: Int32Array.from([...prompt.ids, ...ids]), images },
        adapters: context.adapters,
        sampling: { ...context.sampling, seed },
        rows: 1,
        firstRow: 0,
        maxNewTokens: room,
        eosIds: context.eosIds,
        usesPrefixCache: context.usesPrefixCache,
        isMasked: true,
      },
      (_, token, maskMass) => {
        if (hole.isClosed) return;
        tokens++;
        logProb += token.logProb;
        mass *= maskMass;
        hole.take(tokenizer.tokenBytes(token.id) ?? new Uint8Array(), token.id);
        if (hole.isClosed) job.cancel();
        // Not before everybody has the tokens of this step.
        else if (tokens < room) queueMicrotask(() => void ask());
      },
    ),
  );
  void ask();
  const result = await settle(job, signal)
    .catch((error: unknown) => {
      throw failure === undefined ? error : failure.error;
    })
    .finally(() => hole.close?.());
  signal?.throwIfAborted();
  if (failure !== undefined) throw failure.error;
  const [row] = result.rows;
  context.cost.add(result.timings, result.peakBytes);
  context.cost.preemptions += row?.preemptions ?? 0;
  context.cost.cachedTokens ??= Math.min(row?.cachedTokens ?? 0, prompt.ids.length);
  context.cost.imageTokens = row?.imageTokens ?? 0;
  if (row?.error) throw row.error;
  if (!hole.isClosed) throw new OutOfTokens(hole.text);
  return { logProb, mass, tokens };
}
