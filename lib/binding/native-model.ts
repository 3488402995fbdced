/** A loaded model: what it is loaded with, what it is and holds, its adapters, what can be called. */
import type { NativeModelConfig, NativePreprocessing, NativeWeightForms } from './native-config.js';
import type { NativeJob } from './native-job.js';
import type {
  NativeChooseRequest,
  NativeChooseResult,
  NativeGenerateJob,
  NativeGenerateRequest,
  NativeImageInput,
  NativePrompt,
  NativeRequest,
  NativeTensor,
  NativeTokenBatch,
} from './native-requests.js';

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
