/** Brings the tokens of each step of the engine to the requests that they belong to. */
import type {
  NativeGenerateJob,
  NativeGenerateRequest,
  NativeModel,
  NativeTokenBatch,
} from '../binding/native.js';
import type { AnswerToken } from './answer-token.js';

export type TakeToken = (row: number, token: AnswerToken, maskMass: number) => void;

export class TokenRouter {
  readonly #native: Pick<NativeModel, 'generate'>;
  readonly #takers = new Map<number, TakeToken>();

  constructor(native: Pick<NativeModel, 'generate' | 'onTokens'>) {
    this.#native = native;
    // The callback holds the map alone: a model that is forgotten can be collected.
    const takers = this.#takers;
    native.onTokens((batch) => {
      let top = 0;
      batch.requests.forEach((request, i) => {
        const end = top + (batch.topCounts[i] ?? 0);
        takers.get(request)?.(
          batch.rows[i] ?? 0,
          tokenOf(batch, i, top, end),
          batch.maskMasses[i] ?? 1,
        );
        top = end;
      });
    });
  }

  /** @param take is called for each token, never before this returns */
  generate(request: NativeGenerateRequest, take: TakeToken): NativeGenerateJob {
    const job = this.#native.generate(request);
    const forget = (): boolean => this.#takers.delete(job.id);
    this.#takers.set(job.id, take);
    job.promise.then(forget, forget);
    return job;
  }
}

/** @param begin and `end`: of its most probable ids among those of the batch */
function tokenOf(batch: NativeTokenBatch, i: number, begin: number, end: number): AnswerToken {
  const token = { id: batch.ids[i] ?? 0, logProb: batch.logProbs[i] ?? 0 };
  if (begin === end) return token;
  const logProbs = batch.topLogProbs.subarray(begin, end);
  const top = Array.from(batch.topIds.subarray(begin, end), (id, k) => ({
    id,
    logProb: logProbs[k] ?? 0,
  }));
  return { ...token, top };
}
