/** A model that answers by the picture's bytes. */
import { sha256 } from '../../lib/files/index.js';
import type { AnnotatingModel } from '../../lib/index.js';

/** Shares that follow from picture and question. */
export function annotatingStub(change: (calls: number) => void = () => undefined): AnnotatingModel {
  let calls = 0;
  return {
    fingerprint: 'stub',
    choose: async ({ image, items }) => {
      change(++calls);
      await new Promise((resolve) => setTimeout(resolve, calls % 3));
      const bytes = image instanceof Uint8Array ? image : (image as { data: Uint8Array }).data;
      const seed = parseInt(sha256(bytes).slice(0, 8), 16);
      return items.map(({ id = '', question, choices }, k) => {
        const weights = choices.map((_, i) => 1 + ((seed >> (3 * i + k)) & 7));
        const total = weights.reduce((a, b) => a + b, 0);
        const texts = choices.map((one) => (typeof one === 'string' ? one : one.text));
        const listed = texts.map((text, i) => ({
          ...{ text, label: text, tokenIds: [], tokenLogProbs: [] },
          ...{
            probability: (weights[i] ?? 0) / total,
            logProb: Math.log((weights[i] ?? 0) / total),
          },
        }));
        const best = listed.reduce((a, b) => (b.probability > a.probability ? b : a));
        const numbers = {
          mass: 1,
          entropy: 0,
          promptTokens: 1,
          imageTokens: 1,
          cachedTokens: 0,
          peakBytes: 0,
        };
        const timings = { preprocess: 0, vision: 0, prefill: 0, decode: 0, total: 0 } as never;
        return { id, choices: listed, best, ...numbers, promptHash: question, timings };
      });
    },
  };
}
