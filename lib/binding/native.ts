/**
 * The one contract between TypeScript and the addon: every name here is exported by
 * native/binding (held equal by test/contract/native.test.ts). TypeScript validates and fills in
 * defaults before a call; the native side has none.
 *
 * Asynchronous methods return a {@link NativeJob}: they never throw for bad data, the promise
 * rejects with an Error that carries `code` (see lib/errors.ts) and `details`.
 */

/** Work under way on the engine thread. `cancel()` is idempotent and stops within one step. */
export interface NativeJob<T> {
  readonly promise: Promise<T>;
  cancel(): void;
}

export interface NativeGpuInfo {
  readonly name: string;
  readonly computeMajor: number;
  readonly computeMinor: number;
  readonly memoryBytes: number;
}

export interface NativeRuntimeInfo {
  readonly version: string;
  readonly libtorch: string;
  readonly isCudaBuild: boolean;
  readonly cudaArchs: readonly string[];
  readonly cpuCapability: string;
  readonly hasAvx512Bf16: boolean;
  readonly hasAmxBf16: boolean;
  readonly threads: number;
  readonly gpus: readonly NativeGpuInfo[];
  readonly gpuProblem: string;
}

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

export interface NativeModelConfig {
  readonly vision: NativeVisionConfig;
  readonly text: NativeTextConfig;
  readonly downsampleRatio: number;
  readonly imageSeqLength: number;
  readonly imageTokenId: number;
  readonly visionFeatureLayer: number;
  readonly keepsClsToken: boolean;
}

export interface NativePreprocessing {
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
  readonly rescaleFactor: number;
}

export interface NativeLoadRequest {
  readonly config: NativeModelConfig;
  readonly preprocessing: NativePreprocessing;
  readonly files: readonly string[];
  /** Tensor name and index into `files`, from the shard index; empty for a single file. */
  readonly weightMap: readonly (readonly [string, number])[];
  readonly device: string;
  readonly dtype: 'fp32' | 'bf16';
  readonly imageCacheBytes: number;
  readonly prefixCacheBytes: number;
}

export interface NativeImageInput {
  readonly key: string;
  /** `[height, width, 3]` uint8; copied by the addon before the call returns. */
  readonly rgb: Uint8Array;
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
  readonly prompts: readonly NativePrompt[];
  /** Ids of adapters that work for all rows, in this order; empty: the base model. */
  readonly adapters: readonly number[];
  readonly sampling: NativeSampling;
  readonly maxNewTokens: number;
  readonly eosIds: readonly number[];
  readonly usesPrefixCache: boolean;
}

/** Tokens of one decode step, parallel arrays. */
export interface NativeTokenBatch {
  readonly rows: Int32Array;
  readonly ids: Int32Array;
  readonly logProbs: Float32Array;
}

export interface NativeTimings {
  readonly preprocess: number;
  readonly vision: number;
  readonly prefill: number;
  readonly decode: number;
}

export interface NativeRowResult {
  /** `cancelled`: stopped by `cancel()` after the first token; what came until then counts. */
  readonly finishReason: 'eos' | 'length' | 'cancelled';
  readonly promptTokens: number;
  readonly imageTokens: number;
  readonly cachedTokens: number;
  readonly generatedTokens: number;
}

export interface NativeGenerateResult {
  readonly rows: readonly NativeRowResult[];
  readonly timings: NativeTimings;
  readonly peakBytes: number;
}

export interface NativeChooseRequest {
  readonly prompt: NativePrompt;
  readonly adapters: readonly number[];
  readonly choices: readonly Int32Array[];
  readonly usesPrefixCache: boolean;
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
  readonly parameterBytes: number;
  readonly loadMs: number;
  readonly peakBytes: number;
}

/** A loaded model. Methods after `dispose()` reject with FACELLM_DISPOSED. */
export interface NativeModel {
  info(): NativeModelInfo;
  generate(
    request: NativeGenerateRequest,
    onTokens: (batch: NativeTokenBatch) => void,
  ): NativeJob<NativeGenerateResult>;
  choose(request: NativeChooseRequest): NativeJob<NativeChooseResult>;
  embedImages(
    images: readonly NativeImageInput[],
    adapters: readonly number[],
  ): NativeJob<readonly NativeTensor[]>;
  trace(prompt: NativePrompt, adapters: readonly number[]): NativeJob<readonly NativeTensor[]>;
  /** Beside the base; active only in requests that name it. */
  loadAdapter(source: NativeAdapterSource): NativeJob<NativeAdapterInfo>;
  /** Idempotent. */
  unloadAdapter(id: number): NativeJob<void>;
  clearCaches(): NativeJob<void>;
  /** Cancels this model's work, then frees its weights once that work has stopped. Idempotent. */
  dispose(): NativeJob<void>;
}

export interface NativeTrainedModule {
  /** Released HF name of a linear layer, `language_model.model.layers.0.self_attn.q_proj`. */
  readonly name: string;
  readonly rank: number;
  readonly scaling: number;
}

export type NativeTrainedPart = 'vision' | 'projector' | 'text' | 'head';

export interface NativeTrainerRequest {
  readonly load: NativeLoadRequest;
  /** Weights drawn from `seed`; `load.files` is not looked at. */
  readonly initialisesRandomly: boolean;
  /** LoRA; then `parts` is empty. */
  readonly modules: readonly NativeTrainedModule[];
  /** Full fine-tuning; then `modules` is empty. */
  readonly parts: readonly NativeTrainedPart[];
  readonly usesDora: boolean;
  readonly dropout: number;
  /** An adapter_model.safetensors to start from; '': fresh. */
  readonly adapterFile: string;
  readonly seed: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  readonly decaysVectors: boolean;
  readonly checkpointsActivations: boolean;
  /** 0: all supervised rows at once. */
  readonly lossChunkRows: number;
  /** In a job: weights of the text layers are shared out over the ranks. */
  readonly shardsWeights: boolean;
  readonly featureCacheBytes: number;
}

export interface NativeTrainImage {
  readonly key: string;
  /** uint8 `[tiles, 3, S, S]`. */
  readonly tiles: Uint8Array;
}

/** What is seen of a picture: a window in its pixels, which may reach over the edges, and factors of its colours. */
export interface NativeAugmentation {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly flips: boolean;
  /** 1: unchanged, as the two after it. */
  readonly brightness: number;
  readonly contrast: number;
  readonly saturation: number;
}

export interface NativeTrainSample {
  readonly ids: Int32Array;
  /** -100: not learnt. */
  readonly labels: Int32Array;
  /** Of its losses in the sum, above 0; 1 counts as it is. */
  readonly weight: number;
  readonly images: readonly NativeTrainImage[];
}

export interface NativeMicroBatch {
  /** Of this rank; may be empty in a job. */
  readonly samples: readonly NativeTrainSample[];
  readonly denominator: number;
  readonly draw: number;
  readonly isLast: boolean;
}

export interface NativeMicroResult {
  readonly loss: number;
  readonly labelTokens: number;
  readonly tokens: number;
  readonly imageTokens: number;
  readonly visionMs: number;
  readonly forwardMs: number;
  readonly backwardMs: number;
}

export interface NativeUpdateRequest {
  readonly learningRate: number;
  /** 0: no clipping. */
  readonly maxGradNorm: number;
}

export interface NativeUpdateResult {
  /** Before clipping. */
  readonly gradNorm: number;
  readonly optimizerMs: number;
  readonly peakBytes: number;
}

export interface NativeTrainerInfo {
  readonly model: NativeModelInfo;
  readonly trainableParameters: number;
}

/** A model in training. Methods after `dispose()` reject with FACELLM_DISPOSED. */
export interface NativeTrainer {
  info(): NativeTrainerInfo;
  accumulate(batch: NativeMicroBatch): NativeJob<NativeMicroResult>;
  evaluate(batch: NativeMicroBatch): NativeJob<NativeMicroResult>;
  update(request: NativeUpdateRequest): NativeJob<NativeUpdateResult>;
  gradientNorms(): NativeJob<readonly (readonly [string, number])[]>;
  /** Rank 0's trainable tensors and optimizer state to all ranks. */
  synchronise(updates: number): NativeJob<void>;
  saveAdapter(file: string): NativeJob<void>;
  saveWeights(file: string): NativeJob<void>;
  saveState(file: string): NativeJob<void>;
  restoreState(file: string, updates: number): NativeJob<void>;
  dispose(): NativeJob<void>;
}

export interface NativeExportRequest {
  readonly config: NativeModelConfig;
  /** As in {@link NativeLoadRequest}. */
  readonly files: readonly string[];
  readonly weightMap: readonly (readonly [string, number])[];
  /** Folded in, in this order. */
  readonly adapters: readonly NativeAdapterSource[];
  readonly layout: 'hf' | 'original';
  /** '': every tensor as it is stored. */
  readonly dtype: 'fp32' | 'bf16' | '';
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

export interface NativeGroupRequest {
  readonly rank: number;
  readonly size: number;
  /** Where the job's store is. */
  readonly address: string;
  readonly port: number;
  /** This process opens the store; false: another rank or the launcher does. */
  readonly hostsStore: boolean;
  /** Of this attempt's keys in the store. */
  readonly prefix: string;
  /** `cpu` (Gloo) or `cuda:N` (NCCL). */
  readonly device: string;
  readonly joinTimeoutSeconds: number;
}

export interface NativeGroupInfo {
  readonly rank: number;
  readonly size: number;
  readonly backend: 'gloo' | 'nccl';
}

/** This process's place in a job. All ranks make the same calls in the same order. */
export interface NativeProcessGroup {
  info(): NativeGroupInfo;
  /** Element by element over all ranks. */
  sum(values: readonly number[]): NativeJob<readonly number[]>;
  /** Ends the job on every rank with this error; returns at once. */
  fail(code: string, message: string): void;
  leave(): NativeJob<void>;
}

export interface NativeAddon {
  exportCheckpoint(
    request: NativeExportRequest,
    onProgress: (bytesDone: number, bytesTotal: number) => void,
  ): NativeJob<NativeExportResult>;
  createTrainer(
    request: NativeTrainerRequest,
    onProgress: (bytesDone: number, bytesTotal: number) => void,
    group?: NativeProcessGroup,
  ): NativeJob<NativeTrainer>;
  /** Resolves when every rank has come. */
  joinGroup(request: NativeGroupRequest): NativeJob<NativeProcessGroup>;
  /** Transports between processes that this build holds. */
  distributedBackends(): readonly string[];
  runtimeInfo(): NativeJob<NativeRuntimeInfo>;
  /** The native code table, for the contract test. */
  errorCodes(): readonly string[];
  setThreads(threads: number): NativeJob<void>;
  loadModel(
    request: NativeLoadRequest,
    onProgress: (bytesDone: number, bytesTotal: number) => void,
  ): NativeJob<NativeModel>;
  chooseTileGrid(
    width: number,
    height: number,
    tileSize: number,
    minTiles: number,
    maxTiles: number,
  ): { readonly columns: number; readonly rows: number };
  /** uint8 `[N, 3, tileSize, tileSize]`, thumbnail last; of the picture changed first, where asked. */
  tilePixels(
    image: NativeImageInput,
    tileSize: number,
    augmentation?: NativeAugmentation,
  ): NativeJob<Uint8Array>;
  /** Pillow's bicubic, bit-exact; uint8 `[outHeight, outWidth, 3]`. */
  resizePillow(
    rgb: Uint8Array,
    width: number,
    height: number,
    outWidth: number,
    outHeight: number,
  ): NativeJob<Uint8Array>;
}
