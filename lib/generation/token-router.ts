/** Brings the tokens of each step of the engine to the requests that they belong to. */
import type {
  NativeGenerateRequest,
  NativeGenerateResult,
  NativeModel,
  NativeRequest,
} from '../binding/native.js';

export type TakeToken = (row: number, id: number, logProb: number) => void;

export class TokenRouter {
  readonly #native: Pick<NativeModel, 'generate'>;
  readonly #takers = new Map<number, TakeToken>();

  constructor(native: Pick<NativeModel, 'generate' | 'onTokens'>) {
    this.#native = native;
    // The callback holds the map alone: a model that is forgotten can be collected.
    const takers = this.#takers;
    native.onTokens(({ requests, rows, ids, logProbs }) => {
      requests.forEach((request, i) =>
        takers.get(request)?.(rows[i] ?? 0, ids[i] ?? 0, logProbs[i] ?? 0),
      );
    });
  }

  /** @param take is called for each token, never before this returns */
  generate(request: NativeGenerateRequest, take: TakeToken): NativeRequest<NativeGenerateResult> {
    const job = this.#native.generate(request);
    const forget = (): boolean => this.#takers.delete(job.id);
    this.#takers.set(job.id, take);
    job.promise.then(forget, forget);
    return job;
  }
}
