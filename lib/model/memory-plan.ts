/** What a loaded model may use at once: keys and values, rows, context. */
import type { NativeTextConfig } from '../binding/native.js';
import { InvalidArgumentError } from '../errors.js';

export interface MemoryOptions {
  readonly imageCacheBytes?: number | undefined;
  readonly prefixCacheBytes?: number | undefined;
  readonly kvMemory?: number | undefined;
  readonly maxContext?: number | undefined;
  readonly maxRows?: number | undefined;
}

export interface MemoryPlan {
  readonly kvBytes: number;
  readonly maxRows: number;
  readonly maxContext: number;
  readonly imageCacheBytes: number;
  readonly prefixCacheBytes: number;
}

/** What a model takes of its device and how much may be under way in it at once; workspace of a step not counted. */
export interface ModelMemory {
  readonly device: string;
  readonly dtype: 'fp32' | 'bf16';
  /** Undefined where they were planned without and are not there. */
  readonly weightBytes: number | undefined;
  /** Of files that hold quantised weights: in which form, and what becomes of them. */
  readonly storedWeights?: string;
  /** Of all keys and values: of requests under way, and of prompts kept. In whole blocks. */
  readonly kvPoolBytes: number;
  readonly blocks: number;
  readonly blockTokens: number;
  /** Of the pool, so much at most for prompts that no request reads. */
  readonly prefixCacheBytes: number;
  /** For vectors of pictures seen. */
  readonly imageCacheBytes: number;
  /** Answers computed at a time. */
  readonly maxRows: number;
  /** Tokens of prompt and answer together. */
  readonly maxContext: number;
}

const DEFAULT_IMAGE_CACHE = 256 * 2 ** 20;
const DEFAULT_PREFIX_CACHE = 512 * 2 ** 20;

/** Slots are handed out in blocks of so many (native/generation/step_engine_limits.cpp). */
const BLOCK_TOKENS = 64;
/** Requests of the whole context that there is room for by default; far more of the usual length. */
const WHOLE_REQUESTS = 4;
const MOST_BY_DEFAULT = 2 ** 30;

/** Keys and values of one token, of so many bytes a number. */
export function slotBytes(text: NativeTextConfig, bytes: number): number {
  return 2 * text.numHiddenLayers * text.numKeyValueHeads * text.headDim * bytes;
}

/** That a request of so many tokens holds at its end: one slot more than tokens, and whole blocks. */
export function blocksOf(tokens: number): number {
  return Math.floor(tokens / BLOCK_TOKENS) + 1;
}

/**
 * @param deviceBytes all that the device has; undefined: not known
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT where one request of maxContext does not fit, or kvMemory is more
 *   than the device has
 */
export function planMemory(
  text: NativeTextConfig,
  dtype: 'fp32' | 'bf16',
  device: string,
  options: MemoryOptions,
  deviceBytes: number = Infinity,
): MemoryPlan {
  const limit = text.maxPositionEmbeddings;
  const maxContext = Math.min(options.maxContext ?? limit, limit);
  const maxRows = options.maxRows ?? (device === 'cpu' ? 16 : 256);
  const blockBytes = BLOCK_TOKENS * slotBytes(text, dtype === 'bf16' ? 2 : 4);
  const { imageCacheBytes = DEFAULT_IMAGE_CACHE, prefixCacheBytes = DEFAULT_PREFIX_CACHE } =
    options;
  const one = blocksOf(maxContext) * blockBytes;
  const most = MOST_BY_DEFAULT + prefixCacheBytes;
  const kvBytes = options.kvMemory ?? Math.max(one, Math.min(WHOLE_REQUESTS * one, most));
  const fits = options.kvMemory === undefined || kvBytes <= deviceBytes;
  if (kvBytes >= one && fits)
    return { kvBytes, maxRows, maxContext, imageCacheBytes, prefixCacheBytes };
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the options of loading are wrong', {
    details: [
      fits
        ? `kvMemory: ${kvBytes} bytes hold ${Math.floor(kvBytes / blockBytes) * BLOCK_TOKENS} tokens, a request of ` +
          `${maxContext} takes ${one}; give more, or maxContext`
        : `kvMemory: ${kvBytes} bytes are more than ${device} has, ${deviceBytes}; give less, or leave it out`,
    ],
  });
}

/** A plan as it is told. @param weightBytes undefined: not known */
export function describeMemory(
  text: NativeTextConfig,
  { dtype, device }: { readonly dtype: 'fp32' | 'bf16'; readonly device: string },
  plan: MemoryPlan,
  weightBytes: number | undefined,
): ModelMemory {
  const { kvBytes, maxRows, maxContext, imageCacheBytes, prefixCacheBytes } = plan;
  const blockBytes = BLOCK_TOKENS * slotBytes(text, dtype === 'bf16' ? 2 : 4);
  const blocks = Math.floor(kvBytes / blockBytes);
  return {
    ...{ device, dtype, weightBytes, kvPoolBytes: blocks * blockBytes, blocks },
    ...{ blockTokens: BLOCK_TOKENS, prefixCacheBytes, imageCacheBytes, maxRows, maxContext },
  };
}
