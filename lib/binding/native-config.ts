/** What the engine is told of a model: its sizes, how its pictures are normalised, in which form weights lie and are kept. */

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
