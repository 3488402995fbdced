/** What a loaded model may use at once: keys and values, rows, context. */
import type { NativeTextConfig } from '../binding/native.js';
import { InvalidArgumentError } from '../errors.js';

export interface MemoryOptions {
  readonly prefixCacheBytes?: number | undefined;
  readonly kvMemory?: number | undefined;
  readonly maxContext?: number | undefined;
  readonly maxRows?: number | undefined;
}

export interface MemoryPlan {
  readonly kvBytes: number;
  readonly maxRows: number;
  readonly maxContext: number;
}

/** Slots are handed out in blocks of so many (native/generation/step_engine_limits.cpp). */
const BLOCK_TOKENS = 64;
/** Requests of the whole context that there is room for by default; far more of the usual length. */
const WHOLE_REQUESTS = 4;
const MOST_BY_DEFAULT = 2 ** 30;

/** Keys and values of one token, of so many bytes a number. */
export function slotBytes(text: NativeTextConfig, bytes: number): number {
  return 2 * text.numHiddenLayers * text.numKeyValueHeads * text.headDim * bytes;
}

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT where one request of maxContext does not fit */
export function planMemory(
  text: NativeTextConfig,
  dtype: 'fp32' | 'bf16',
  device: string,
  options: MemoryOptions,
): MemoryPlan {
  const limit = text.maxPositionEmbeddings;
  const maxContext = Math.min(options.maxContext ?? limit, limit);
  const maxRows = options.maxRows ?? (device === 'cpu' ? 16 : 256);
  const blockBytes = BLOCK_TOKENS * slotBytes(text, dtype === 'bf16' ? 2 : 4);
  // One slot more than tokens, and whole blocks.
  const one = (Math.floor(maxContext / BLOCK_TOKENS) + 1) * blockBytes;
  const most = MOST_BY_DEFAULT + (options.prefixCacheBytes ?? 0);
  const kvBytes = options.kvMemory ?? Math.max(one, Math.min(WHOLE_REQUESTS * one, most));
  if (kvBytes >= one) return { kvBytes, maxRows, maxContext };
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the options of loading are wrong', {
    details: [
      `kvMemory: ${kvBytes} bytes hold ${Math.floor(kvBytes / blockBytes) * BLOCK_TOKENS} tokens, a request of ` +
        `${maxContext} takes ${one}; give more, or maxContext`,
    ],
  });
}
