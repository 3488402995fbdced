/** A token of an answer and what is told of it. */

/** An id and the natural log of its probability: the model's own, or with `logProbs: 'processed'` that of the draw. */
export interface TokenLogProb {
  readonly id: number;
  readonly logProb: number;
  /** Of a listed id where the answer has a `mask`: whether the mask allowed it. */
  readonly allowed?: boolean;
}

/** A generated token. */
export interface AnswerToken {
  readonly id: number;
  readonly logProb: number;
  /** The most probable ids at its place, most probable first; with `topLogProbs`. */
  readonly top?: readonly TokenLogProb[];
  /** Probability that the model itself gave to all ids that the token's mask allowed; with `mask`. */
  readonly maskMass?: number;
}
