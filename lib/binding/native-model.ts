/** The engine's contract: a model loaded, what it is asked, and what it answers. */
import type { NativeJob } from './native-job.js';

export interface NativeVisionConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly imageSize: number;
  readonly patchSize: number;
  readonly hasQkvBias: boolean;
  readonly hasQkNorm: boolean;
  readonly isRmsNorm: boolean;
  readonly normEps: number;
  readonly hasFinalNorm: boolean;
}

export interface NativeTextConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  readonly maxPositionEmbeddings: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  /** 0: plain RoPE; above 0: the factor of "dynamic" scaling. */
  readonly ropeDynamicFactor: number;
}

/** In which form files hold the weights of linear layers (native/checkpoint/quantisation.h). */
export interface NativeQuantisation {
  readonly format:
    'pack-quantized' | 'int-quantized' | 'float-quantized' | 'awq' | 'gptq' | 'gptq_v2' | 'nf4';
  /** Of a code. */
  readonly bits: 4 | 8;
  /** Columns that share a scale; 0: a row does. */
  readonly group: number;
  /** Codes around 0, columns in order. */
  readonly isSymmetric: boolean;
}

export interface NativeModelConfig {
  readonly vision: NativeVisionConfig;
  readonly text: NativeTextConfig;
  readonly downsampleRatio: number;
  readonly imageSeqLength: number;
  readonly imageTokenId: number;
  readonly visionFeatureLayer: number;
  readonly keepsClsToken: boolean;
  /** A checkpoint without a head of its own shares the token embedding; else the head is missing. */
  readonly tiesEmbeddings: boolean;
  /** Of a checkpoint that is stored quantised. */
  readonly quantisation?: NativeQuantisation;
}

export interface NativePreprocessing {
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
  readonly rescaleFactor: number;
}

export type NativeWeightForm = 'stored' | 'int8' | 'int4' | 'fp8' | 'nf4' | 'nf4-double';

/** In which form linear layers keep their weights. Of what is trained upon only text layers are not `stored`. */
export interface NativeWeightForms {
  readonly text: NativeWeightForm;
  readonly head: NativeWeightForm;
  readonly vision: NativeWeightForm;
  /** Columns that share a scale of int4: 32, 64 or 128. */
  readonly group: number;
  /** Rows are put back when they are looked up. Absent: as stored. */
  readonly embeddings?: 'int8';
}

export interface NativeLoadRequest {
  readonly config: NativeModelConfig;
  readonly preprocessing: NativePreprocessing;
  readonly files: readonly string[];
  /** Tensor name and index into `files`, from the shard index; empty for a single file. */
  readonly weightMap: readonly (readonly [string, number])[];
  readonly device: string;
  readonly dtype: 'fp32' | 'bf16';
  /** To be trained upon: of the text layers alone. */
  readonly weights: NativeWeightForms;
  /** Weights may lie in the files, mapped, where device and dtype allow it. */
  readonly mmap: boolean;
  readonly imageCacheBytes: number;
  readonly prefixCacheBytes: number;
  /** All keys and values, allocated at once. */
  readonly kvBytes: number;
  /** Answers under way at a time. */
  readonly maxRows: number;
  /** Tokens of prompt and answer together. */
  readonly maxContext: number;
  /** What a request gets follows from itself alone, bit for bit; a CPU's only. */
  readonly deterministic: boolean;
}

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

export interface NativeTrainedModule {
  /** Released HF name of a linear layer, `language_model.model.layers.0.self_attn.q_proj`. */
  readonly name: string;
  readonly rank: number;
  readonly scaling: number;
}

/** Read and resolved by lib/lora. */
export interface NativeAdapterSource {
  /** adapter_model.safetensors. */
  readonly file: string;
  readonly modules: readonly NativeTrainedModule[];
  readonly usesDora: boolean;
}

export interface NativeAdapterInfo {
  /** Names the adapter in requests; never used twice by a model. */
  readonly id: number;
  readonly parameterCount: number;
  readonly bytes: number;
  /** Vision tower or projector: image vectors differ under it. */
  readonly touchesVision: boolean;
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

/** As of the last step. */
export interface NativeStats {
  readonly waitingRequests: number;
  readonly runningRows: number;
  readonly totalBlocks: number;
  /** That rows read. */
  readonly usedBlocks: number;
  /** That no row reads, kept for prefixes. */
  readonly cachedBlocks: number;
  readonly blockTokens: number;
  readonly blockBytes: number;
  /** Whose vectors requests hold. */
  readonly pinnedImages: number;
  readonly cachedImages: number;
  /** Pixels that came, with a request or when they were wanted. */
  readonly receivedImages: number;
  readonly steps: number;
  readonly tokensComputed: number;
  readonly tokensCached: number;
  readonly tokensGenerated: number;
  readonly tilesEncoded: number;
  readonly preemptions: number;
}

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

export interface NativeModelInfo {
  readonly device: string;
  readonly dtype: 'fp32' | 'bf16';
  readonly parameterCount: number;
  /** Weights in memory, mapped files among it. */
  readonly parameterBytes: number;
  /** Of these, in the order of the processor's own kernels; with their originals beside them where both are used. */
  readonly packedBytes: number;
  readonly weights: NativeWeightForms;
  readonly loadMs: number;
  readonly peakBytes: number;
}

/** A loaded model. Methods after `dispose()` reject with FACELLM_DISPOSED. */
export interface NativeModel {
  info(): NativeModelInfo;
  /** Takes the tokens of all requests, one call a step. Before the first `generate`. */
  onTokens(callback: (batch: NativeTokenBatch) => void): void;
  /**
   * Told the number of a request and the place of its image that waits for pixels; of requests about one picture one at
   * a time. Before the first request without pixels.
   */
  onPixelsWanted(callback: (request: number, image: number) => void): void;
  /** What nobody waits for any more is dropped. Copied before the call returns. */
  givePixels(request: number, image: number, rgb: Uint8Array): NativeJob<void>;
  generate(request: NativeGenerateRequest): NativeGenerateJob;
  choose(request: NativeChooseRequest): NativeRequest<NativeChooseResult>;
  embedImages(
    images: readonly NativeImageInput[],
    adapters: readonly number[],
  ): NativeRequest<readonly NativeTensor[]>;
  stats(): NativeJob<NativeStats>;
  trace(prompt: NativePrompt, adapters: readonly number[]): NativeJob<readonly NativeTensor[]>;
  /** Of the last `count` positions of the prompt, `[count, vocabulary]`. Takes no picture without pixels. */
  lastLogits(
    prompt: NativePrompt,
    adapters: readonly number[],
    count: number,
  ): NativeJob<NativeTensor>;
  /** Beside the base; active only in requests that name it. */
  loadAdapter(source: NativeAdapterSource): NativeJob<NativeAdapterInfo>;
  /** Idempotent. */
  unloadAdapter(id: number): NativeJob<void>;
  clearCaches(): NativeJob<void>;
  /** Cancels this model's work, then frees its weights once that work has stopped. Idempotent. */
  dispose(): NativeJob<void>;
}

export interface NativeRandomCheckpoint {
  readonly config: NativeModelConfig;
  /** False: the head is the token embedding. */
  readonly hasHead: boolean;
  readonly seed: number;
  readonly file: string;
}

export interface NativeExportRequest {
  readonly config: NativeModelConfig;
  /** As in {@link NativeLoadRequest}. */
  readonly files: readonly string[];
  readonly weightMap: readonly (readonly [string, number])[];
  /** Folded in, in this order. */
  readonly adapters: readonly NativeAdapterSource[];
  readonly layout: 'hf' | 'original';
  /** '': every tensor as it is stored, quantised ones in bf16. */
  readonly dtype: 'fp32' | 'bf16' | '';
  /** In which the text layers' projections are written; absent: as other tensors. */
  readonly quantisation?: NativeQuantisation;
  /** Exists. */
  readonly directory: string;
  readonly maxShardBytes: number;
  /** On that disk. */
  readonly availableBytes: number;
}

export interface NativeExportResult {
  readonly files: readonly { readonly name: string; readonly tensors: readonly string[] }[];
  readonly tensorBytes: number;
}
