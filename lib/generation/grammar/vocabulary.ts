/** A model's vocabulary as grammars take it. */
import { type TokenBytes, textTokens } from '../../structured/index.js';
import { GrammarThread } from './grammar-thread.js';

/**
 * The thread of a model's grammars, which starts when it is asked first.
 *
 * @param vocabSize of the model: ids that a mask covers
 * @param eosIds any of which ends an answer
 */
export function grammarThread(
  tokenizer: TokenBytes,
  vocabSize: number,
  eosIds: readonly number[],
): GrammarThread {
  return new GrammarThread(() => {
    const { ids, bytes: texts } = textTokens(tokenizer);
    const offsets = new Uint32Array(vocabSize + 1);
    ids.forEach((id, place) => (offsets[id + 1] = texts[place]?.length ?? 0));
    for (let id = 0; id < vocabSize; id++) {
      offsets[id + 1] = (offsets[id + 1] ?? 0) + (offsets[id] ?? 0);
    }
    const bytes = new Uint8Array(offsets[vocabSize] ?? 0);
    ids.forEach((id, place) => bytes.set(texts[place] ?? [], offsets[id]));
    return { bytes, offsets, eosIds };
  });
}
