/**
 * Two models' scores at the same places, held against each other over the whole vocabulary. Sums are in double precision, and
 * each model's scores are brought below their largest first, so that nothing overflows.
 */

/** Of a model's scores at one place. */
interface Normaliser {
  readonly best: number;
  /** ln of the sum of exp(score). */
  readonly logSum: number;
}

function normaliser(scores: Float32Array): Normaliser {
  let best = 0;
  for (let i = 1; i < scores.length; i++) {
    if ((scores[i] ?? NaN) > (scores[best] ?? NaN)) best = i;
  }
  const top = scores[best] ?? NaN;
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - top);
  return { best, logSum: top + Math.log(sum) };
}

export interface TokenDivergences {
  /** KL(reference || model) in nats, of each token. */
  readonly kl: readonly number[];
  readonly agreeing: number;
  /** ln p(reference) - ln p(model) of the tokens, added up. */
  readonly logProbLoss: number;
}

/**
 * @param reference `[tokens, vocabulary]`, as `model`
 * @param ids of the tokens, one a row
 */
export function divergences(
  reference: Float32Array,
  model: Float32Array,
  ids: readonly number[],
): TokenDivergences {
  const vocabulary = reference.length / ids.length;
  const kl: number[] = [];
  let [agreeing, logProbLoss] = [0, 0];
  for (const [row, id] of ids.entries()) {
    const [p, q] = [reference, model].map((all) =>
      all.subarray(row * vocabulary, (row + 1) * vocabulary),
    ) as [Float32Array, Float32Array];
    const [ofP, ofQ] = [normaliser(p), normaliser(q)];
    let sum = 0;
    for (let i = 0; i < vocabulary; i++) {
      const logP = (p[i] ?? NaN) - ofP.logSum;
      const share = Math.exp(logP);
      // A share of 0 adds nothing, whatever the other model says.
      if (share > 0) sum += share * (logP - ((q[i] ?? NaN) - ofQ.logSum));
    }
    // Rounding may bring it below 0 by some 1e-16.
    kl.push(Math.max(0, sum));
    if (ofP.best === ofQ.best) agreeing++;
    logProbLoss += (p[id] ?? NaN) - ofP.logSum - ((q[id] ?? NaN) - ofQ.logSum);
  }
  return { kl, agreeing, logProbLoss };
}

/** Ids that two answers begin with alike; null where they are the same whole. */
export function sharedTokens(first: readonly number[], second: readonly number[]): number | null {
  const at = first.findIndex((id, i) => id !== second[i]);
  if (at !== -1) return at;
  return first.length === second.length ? null : first.length;
}
