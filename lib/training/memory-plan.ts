/** What a run will take of its device, by the shapes of model and recipe: nothing is loaded. */
import type { NativeModelConfig, NativeWeightForms } from '../binding/native.js';
import { resolveWeights, weightBytes } from '../model/index.js';
import { trainedModules } from './modules.js';
import type { TrainingRecipe } from './recipe.js';

/** Bytes. A GPU's context and its allocator's gaps, half a gigabyte to one, are not counted. */
export interface TrainingPlan {
  /** Of the text layers' projections, in the recipe's form of the base. */
  readonly textWeightBytes: number;
  /** Of all else, in the recipe's dtype. */
  readonly otherWeightBytes: number;
  readonly trainedParameters: number;
  /** Of what learns: values that are not the model's own, gradients, two moments. */
  readonly trainedBytes: number;
  /** Kept from the forward pass for the backward one. */
  readonly activationBytes: number;
  /** Of one layer while it is computed. */
  readonly layerBytes: number;
  /** In which a weight of 8 or 4 bits is put back. */
  readonly scratchBytes: number;
  /** Logits of a chunk of supervised tokens, and their gradient. */
  readonly lossBytes: number;
  readonly totalBytes: number;
  /** On top, at most, while the image side is frozen: `featureCacheMegabytes`. */
  readonly featureCacheBytes: number;
}

/** Of FaceLLM's recipe: one tile's 258 tokens, system turn, question, answer. */
export const SAMPLE_TOKENS = 448;

type Shape = readonly [rows: number, columns: number];

function shapeOf(name: string, { text, vision, downsampleRatio }: NativeModelConfig): Shape {
  const { hiddenSize: d, intermediateSize: f, headDim } = text;
  const [q, kv] = [text.numAttentionHeads * headDim, text.numKeyValueHeads * headDim];
  const [c, m] = [vision.hiddenSize, vision.intermediateSize];
  const isText = name.startsWith('language_model.');
  const of: Readonly<Record<string, Shape>> = {
    q_proj: isText ? [q, d] : [c, c],
    k_proj: isText ? [kv, d] : [c, c],
    v_proj: isText ? [kv, d] : [c, c],
    o_proj: [d, q],
    gate_proj: [f, d],
    up_proj: [f, d],
    down_proj: [d, f],
    projection_layer: [c, c],
    fc1: [m, c],
    fc2: [c, m],
    linear_1: [d, c / downsampleRatio ** 2],
    linear_2: [d, d],
  };
  return of[name.slice(name.lastIndexOf('.') + 1)] ?? [0, 0];
}

function adapterParameters(config: NativeModelConfig, recipe: TrainingRecipe): number {
  return trainedModules(config, recipe).reduce((sum, { name, rank }) => {
    const [rows, columns] = shapeOf(name, config);
    return sum + rank * (rows + columns) + (recipe.lora?.usesDora === true ? rows : 0);
  }, 0);
}

/** Numbers of one token that a layer's backward pass needs: normalised inputs, q, k, v, their sum, gates, ups, their product. */
function layerNumbers({ text }: NativeModelConfig): number {
  const q = text.numAttentionHeads * text.headDim;
  const kv = text.numKeyValueHeads * text.headDim;
  return 4 * text.hiddenSize + 2 * q + 2 * kv + 3 * text.intermediateSize;
}

/** @param sampleTokens of one sample, pictures among them */
export function planTraining(
  config: NativeModelConfig,
  recipe: TrainingRecipe,
  sampleTokens: number = SAMPLE_TOKENS,
): TrainingPlan {
  const bytes = recipe.dtype === 'bf16' ? 2 : 4;
  const { text } = config;
  const forms = (form: NativeWeightForms['text']): NativeWeightForms =>
    resolveWeights({ text: form }, text);
  const all = weightBytes(config, bytes, forms('stored'));
  const textOf = (form: NativeWeightForms['text']): number =>
    weightBytes({ ...config, tiesEmbeddings: true, text }, bytes, forms(form)) -
    weightBytes(
      { ...config, tiesEmbeddings: true, text: { ...text, numHiddenLayers: 0 } },
      bytes,
      forms(form),
    );
  const otherWeightBytes = all - textOf('stored');
  const textWeightBytes = textOf(recipe.base);
  const isLora = recipe.lora !== null;
  const trainedParameters = isLora
    ? adapterParameters(config, recipe)
    : partParameters(config, recipe);
  // Adapters: fp32, its gradient, two moments. bf16 weights that learn have a master copy beside them.
  const trainedBytes = trainedParameters * (isLora ? 16 : bytes === 2 ? 2 + 12 : 12);
  const tokens = recipe.packing
    ? recipe.batchSize * recipe.cutoffLength
    : recipe.batchSize * Math.min(sampleTokens, recipe.cutoffLength);
  const layerBytes = tokens * layerNumbers(config) * bytes;
  const kept = recipe.checkpointsActivations ? tokens * text.hiddenSize * bytes : layerBytes;
  const activationBytes = text.numHiddenLayers * kept;
  const widest = 2 * text.intermediateSize * text.hiddenSize;
  const scratchBytes = recipe.base === 'stored' ? 0 : widest * bytes;
  const rows = recipe.lossChunkRows === 0 ? tokens : Math.min(tokens, recipe.lossChunkRows);
  // In fp32 and in the model's dtype.
  const lossBytes = rows * text.vocabSize * (4 + bytes);
  const totalBytes =
    textWeightBytes +
    otherWeightBytes +
    trainedBytes +
    activationBytes +
    layerBytes +
    scratchBytes +
    lossBytes;
  return {
    ...{ textWeightBytes, otherWeightBytes, trainedParameters, trainedBytes, activationBytes },
    ...{ layerBytes, scratchBytes, lossBytes, totalBytes },
    featureCacheBytes: recipe.augmentation === null ? recipe.featureCacheMegabytes * 1e6 : 0,
  };
}

/** Of full fine-tuning. */
function partParameters(config: NativeModelConfig, { parts }: TrainingRecipe): number {
  const stored = resolveWeights('stored', config.text);
  const { text, vision, tiesEmbeddings } = config;
  const without = (change: Partial<NativeModelConfig>): number =>
    weightBytes({ ...config, ...change }, 1, stored);
  const all = without({});
  const head = tiesEmbeddings ? 0 : text.vocabSize * text.hiddenSize;
  const tower = all - without({ vision: { ...vision, numHiddenLayers: 0 } });
  const layers = all - without({ text: { ...text, numHiddenLayers: 0 } });
  const words = text.vocabSize * text.hiddenSize;
  const sizes = {
    vision: tower,
    projector: all - tower - layers - words - head,
    text: layers + words,
    head,
  };
  return parts.reduce((sum, part) => sum + sizes[part], 0);
}
