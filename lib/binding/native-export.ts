/** Checkpoints that the engine writes: with random weights, or with those of another, merged and converted. */
import type { NativeModelConfig, NativeQuantisation } from './native-config.js';
import type { NativeAdapterSource } from './native-model.js';

export interface NativeRandomCheckpoint {
  readonly config: NativeModelConfig;
  /** False: the head is the token embedding. */
  readonly hasHead: boolean;
  readonly seed: number;
  readonly file: string;
}

export interface NativeExportRequest {
  readonly config: NativeModelConfig;
  /** As in `NativeLoadRequest`. */
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
