/** What a loaded model is asked, what comes of it while it is under way, and what it answers. */
import type { NativeJob } from './native-job.js';

export interface NativeImageInput {
  readonly key: string;
  /**
   * `[height, width, 3]` uint8; copied by the addon before the call returns. Absent: the request waits until they are
   * given, where nothing that the engine has covers them. `trace` and `lastLogits` take no picture without.
   */
  readonly rgb?: Uint8Array | undefined;
  readonly width: number;
  readonly height: number;
  readonly columns: number;
  readonly rows: number;
  readonly hasThumbnail: boolean;
}

export interface NativePrompt {
  readonly ids: Int32Array;
  readonly images: readonly NativeImageInput[];
}

export interface NativeSampling {
  readonly isGreedy: boolean;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  /** Non-negative safe integer. */
  readonly seed: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  /** Added to the scores of these ids; parallel. */
  readonly biasIds: Int32Array;
  readonly biases: Float32Array;
  /** Ids that end an answer are forbidden before so many were generated. */
  readonly minTokens: number;
  readonly topLogProbs: number;
  readonly logProbs: 'raw' | 'processed';
}

export interface NativeGenerateRequest {
  readonly prompt: NativePrompt;
  /** Ids of the adapters that work, in this order; empty: the base model. */
  readonly adapters: readonly number[];
  readonly sampling: NativeSampling;
  /** Answers to the one prompt, each drawn from a stream of its own. */
  readonly rows: number;
  /** Of the stream that the first answer draws from. */
  readonly firstRow: number;
  readonly maxNewTokens: number;
  readonly eosIds: readonly number[];
  readonly usesPrefixCache: boolean;
  /** Each token waits for {@link NativeGenerateJob}'s setMask. */
  readonly isMasked: boolean;
}

/** Tokens of one step, of all requests of a model, parallel arrays. */
export interface NativeTokenBatch {
  /** {@link NativeRequest.id}. */
  readonly requests: Float64Array;
  readonly rows: Int32Array;
  readonly ids: Int32Array;
  readonly logProbs: Float32Array;
  /** The model's own probability of all ids that the token's mask allowed; 1 without a mask. */
  readonly maskMasses: Float32Array;
  /** How many of the next two arrays are each token's. */
  readonly topCounts: Int32Array;
  readonly topIds: Int32Array;
  readonly topLogProbs: Float32Array;
}

/** A job of the engine's loop. */
export type NativeRequest<T> = NativeJob<T> & {
  /** Among all of the process; 0 for one that failed at once. */
  readonly id: number;
};

export interface NativeTimings {
  /** Before the first step that worked for the request. */
  readonly queue: number;
  readonly preprocess: number;
  readonly vision: number;
  readonly prefill: number;
  readonly decode: number;
}

export interface NativeRowResult {
  /** `cancelled`: stopped by `cancel()` after the first token; what came until then counts. `failed`: others went on. */
  readonly finishReason: 'eos' | 'length' | 'cancelled' | 'failed';
  readonly promptTokens: number;
  readonly imageTokens: number;
  readonly cachedTokens: number;
  readonly generatedTokens: number;
  /** How often its blocks were taken, and computed again. */
  readonly preemptions: number;
  /** Of a failed one. */
  readonly error: Error | null;
}

export interface NativeGenerateResult {
  readonly rows: readonly NativeRowResult[];
  readonly timings: NativeTimings;
  readonly peakBytes: number;
}

/** What is said of its rows while they are under way has no effect once they have ended. */
export type NativeGenerateJob = NativeRequest<NativeGenerateResult> & {
  /**
   * What the row's token of number `step` may be: a bit an id, lowest first, for the whole vocabulary; null: anything.
   * The row is computed meanwhile, and waits with its choice.
   */
  setMask(row: number, step: number, words: Uint32Array | null): void;
  /** The row is wanted no longer; what it has counts. */
  endRow(row: number): void;
};

export interface NativeChooseRequest {
  readonly prompt: NativePrompt;
  readonly adapters: readonly number[];
  readonly choices: readonly Int32Array[];
  readonly usesPrefixCache: boolean;
  /** Requests of one number share prefixes while they are under way, whatever the cache; 0: none. */
  readonly prefixGroup: number;
}

export interface NativeChooseResult {
  readonly logProbs: Float64Array;
  readonly tokenLogProbs: readonly Float32Array[];
  readonly promptTokens: number;
  readonly imageTokens: number;
  readonly cachedTokens: number;
  readonly timings: NativeTimings;
  readonly peakBytes: number;
}

export interface NativeTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}
