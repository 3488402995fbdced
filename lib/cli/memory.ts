/** What a model takes of a device, in words; for `plan` and `doctor`. */
import type { ModelMemory } from '../model/memory-plan.js';
import { formatBytes } from './output.js';

/** One line each: what it takes, and what it has room for. */
export function memoryLines(memory: ModelMemory): readonly string[] {
  const { weightBytes, kvPoolBytes, imageCacheBytes, prefixCacheBytes } = memory;
  const { blocks, blockTokens, maxRows, maxContext, device, dtype, storedWeights } = memory;
  const weights =
    weightBytes === undefined ? 'weights are not there' : `${formatBytes(weightBytes)} of weights`;
  const kept = formatBytes(Math.min(prefixCacheBytes, kvPoolBytes));
  return [
    `${device}, ${dtype}: ${weights}, ${formatBytes(kvPoolBytes)} for keys and values ` +
      `(up to ${kept} of it for prompts kept), up to ${formatBytes(imageCacheBytes)} for vectors of pictures`,
    `${blocks} blocks of ${blockTokens} tokens, up to ${maxRows} answers at a time, ${maxContext} tokens a request`,
    ...(storedWeights === undefined ? [] : [`weights in the files: ${storedWeights}`]),
  ];
}
