/** What every request to a loaded model is answered with. */
import type { AdapterLease } from './adapter-set.js';
import type { ModelParts } from './load.js';
import type { PromptWriter } from './prompt-writer.js';

export interface ModelCall {
  readonly parts: ModelParts;
  readonly prompts: PromptWriter;
  /** Of the adapters that work in it, held until it ends. */
  readonly lease: AdapterLease;
}

/** The id that closes a turn; undefined where the checkpoint names none. */
export function turnEnd({ tokenizer, config }: ModelParts): number | undefined {
  return tokenizer.controlTokens.get('<|im_end|>') ?? config.generation.eosTokenIds[0];
}
