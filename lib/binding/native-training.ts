/** The trainer's contract: a model in training, alone or in a job of several processes. */
import type { NativeJob } from './native-job.js';
import type { NativeLoadRequest, NativeModelInfo, NativeTrainedModule } from './native-model.js';

export type NativeTrainedPart = 'vision' | 'projector' | 'text' | 'head';

export interface NativeTrainerRequest {
  readonly load: NativeLoadRequest;
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
  /** What multiplies the learning rate of each part; `layerDecay`: of a layer against the one above it. */
  readonly rates: Readonly<Record<NativeTrainedPart | 'layerDecay', number>>;
  readonly checkpointsActivations: boolean;
  /** 0: all supervised rows at once. */
  readonly lossChunkRows: number;
  /** What samples of a micro-batch begin with alike, pictures included, is computed once. */
  readonly sharesPrefix: boolean;
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
  /** Of its losses in the sum, above 0, in an answer set perhaps 0; 1 counts as it is. */
  readonly weight: number;
  readonly images: readonly NativeTrainImage[];
}

/** Answers to one question, neighbours among a micro-batch's samples, and what is learnt from their probabilities. */
export interface NativeAnswerSet {
  readonly first: number;
  readonly count: number;
  /** `preference` (DPO): two answers, the first preferred. */
  readonly objective: 'expected-reward' | 'preference';
  /** Of its loss in the sum. */
  readonly weight: number;
  /** Of KL against the start model; beta of a preference. */
  readonly strength: number;
  /** Of each answer; empty for a preference. */
  readonly rewards: Float64Array;
  /** Of each answer under the model that training started from; may be empty where `strength` is 0. */
  readonly startLogProbs: Float64Array;
}

export interface NativeMicroBatch {
  /** Of this rank; may be empty in a job. */
  readonly samples: readonly NativeTrainSample[];
  readonly denominator: number;
  readonly answerSets: readonly NativeAnswerSet[];
  /** Of the answer sets' losses, which are added. */
  readonly answersDenominator: number;
  readonly draw: number;
  readonly isLast: boolean;
}

export interface NativeMicroResult {
  readonly loss: number;
  readonly labelTokens: number;
  /** Of all samples. */
  readonly tokens: number;
  /** Fewer than `tokens` where samples share what they begin with. */
  readonly computedTokens: number;
  /** Computed. */
  readonly imageTokens: number;
  readonly visionMs: number;
  readonly forwardMs: number;
  readonly backwardMs: number;
}

/** What a micro-batch gives, and the losses of its samples. */
export interface NativeEvaluateResult {
  readonly loss: number;
  readonly labelTokens: number;
  /** Of all samples. */
  readonly tokens: number;
  /** Fewer than `tokens` where samples share what they begin with. */
  readonly computedTokens: number;
  /** Computed. */
  readonly imageTokens: number;
  readonly visionMs: number;
  readonly forwardMs: number;
  readonly backwardMs: number;
  /** Of each sample the sum of its learnt tokens' losses, nats, not weighted. */
  readonly sampleLosses: readonly number[];
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
  evaluate(batch: NativeMicroBatch): NativeJob<NativeEvaluateResult>;
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
