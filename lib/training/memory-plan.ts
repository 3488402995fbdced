/** What a run will take of its device, by the shapes of model and recipe: nothing is loaded. */
import type {
  NativeModelConfig,
  NativeTrainedModule,
  NativeWeightForms,
} from '../binding/native.js';
import { resolveWeights, weightBytes } from '../model/index.js';
import { trainedModules } from './modules.js';
import type { TrainingRecipe } from './recipe.js';

/**
 * Bytes. Weights, what learns and what is kept are there all the time; of the moments (`imageBytes`, `layerBytes`, `lossBytes`,
 * `updateBytes`) one at a time, so that the total has the largest. A GPU's context, half a gigabyte to one, is not counted.
 */
export interface TrainingPlan {
  /** Of the text layers' projections, in the recipe's form of the base. */
  readonly textWeightBytes: number;
  /** Of all else, in the recipe's dtype. */
  readonly otherWeightBytes: number;
  readonly trainedParameters: number;
  /** Of what learns: values that are not the model's own, two moments of Adam. */
  readonly trainedBytes: number;
  /** Of what learns; there from an update's first backward pass to its end. */
  readonly gradientBytes: number;
  /** Kept from the forward pass for the backward one. */
  readonly activationBytes: number;
  /** In which a weight of 8 or 4 bits is put back. */
  readonly scratchBytes: number;
  /** Of new pictures while they are encoded; where the tower learns, of its whole backward pass. */
  readonly imageBytes: number;
  /** Of one text layer in the backward pass, with gradients. */
  readonly layerBytes: number;
  /** Logits of a chunk of supervised tokens, in whose place their gradient is made; of a head that learns, its own. */
  readonly lossBytes: number;
  /** Gradients in fp32 beside those of a smaller dtype. */
  readonly updateBytes: number;
  /** What allocators keep of what a moment gave back: two thirds of the largest, as measured (docs/quantisation.md, "Training"). */
  readonly allocatorBytes: number;
  readonly totalBytes: number;
  /** On top, in the host's memory: Node, libtorch, threads. */
  readonly processBytes: number;
  /** On top, at most, while the image side is frozen: `featureCacheMegabytes`. */
  readonly featureCacheBytes: number;
}

/** Of what is learnt from, in tokens. */
export interface PlannedSample {
  /** Pictures among them. @default that of FaceLLM's recipe: one tile's 258 tokens, system turn, question, answer */
  readonly sampleTokens?: number | undefined;
  /** Of its answer, which alone have logits. */
  readonly answerTokens?: number | undefined;
}

export const SAMPLE_TOKENS = 448;
export const ANSWER_TOKENS = 128;

const PROCESS_BYTES = 200e6;
const ALLOCATOR_SHARE = 2 / 3;
/** native/image/preprocess.h */
const TILES_AT_ONCE = 16;

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

function adapterParameters(
  config: NativeModelConfig,
  recipe: TrainingRecipe,
  modules: readonly NativeTrainedModule[],
): number {
  return modules.reduce((sum, { name, rank }) => {
    const [rows, columns] = shapeOf(name, config);
    return sum + rank * (rows + columns) + (recipe.lora?.usesDora === true ? rows : 0);
  }, 0);
}

/**
 * Numbers of one token that a text layer's backward pass needs: normalised inputs, q, k, v, keys and values of every head, their
 * sum, gates, ups, their product.
 */
function layerNumbers({ text }: NativeModelConfig): number {
  const q = text.numAttentionHeads * text.headDim;
  const kv = text.numKeyValueHeads * text.headDim;
  return 5 * text.hiddenSize + 6 * q + 3 * kv + 3 * text.intermediateSize;
}

/** And what it makes of them at its widest: gradients of gates and ups, of the residual and of a product's input. */
function layerGradients({ text }: NativeModelConfig): number {
  return 2 * text.hiddenSize + 2 * text.intermediateSize;
}

interface Learning {
  readonly tower: boolean;
  readonly projector: boolean;
}

function learningOf(recipe: TrainingRecipe, modules: readonly NativeTrainedModule[]): Learning {
  if (recipe.lora === null) {
    const { parts } = recipe;
    return { tower: parts.includes('vision'), projector: parts.includes('projector') };
  }
  const some = (prefix: string): boolean => modules.some(({ name }) => name.startsWith(prefix));
  return { tower: some('vision_tower.'), projector: some('multi_modal_projector.') };
}

/** One tile a sample. Of a tower that does not learn a layer's widest moment alone, whatever the projector does. */
function imageBytes(
  { vision, text, downsampleRatio, imageSeqLength }: NativeModelConfig,
  { batchSize, checkpointsActivations }: TrainingRecipe,
  learning: Learning,
  bytes: number,
): { readonly kept: number; readonly moment: number } {
  const positions = (vision.imageSize / vision.patchSize) ** 2 + 1;
  const [c, m] = [vision.hiddenSize, vision.intermediateSize];
  const now = Math.min(batchSize, TILES_AT_ONCE) * positions * bytes;
  // The projector's inputs as they come and normalised, its hidden numbers before and behind the gate, and what it gives.
  const projected = 2 * (c / downsampleRatio ** 2) + 3 * text.hiddenSize;
  const ofProjector =
    learning.tower || learning.projector ? batchSize * imageSeqLength * bytes * projected : 0;
  const widest = now * (2 * c + 2 * m);
  if (!learning.tower) return { kept: ofProjector, moment: widest };
  // Recomputed as one piece of up to 16 tiles.
  const layers = vision.numHiddenLayers * (9 * c + 2 * m);
  const kept = checkpointsActivations ? 0 : batchSize * positions * bytes * layers;
  return {
    kept: ofProjector + kept,
    moment: widest + (checkpointsActivations ? now * layers : 0),
  };
}

export function planTraining(
  config: NativeModelConfig,
  recipe: TrainingRecipe,
  { sampleTokens = SAMPLE_TOKENS, answerTokens = ANSWER_TOKENS }: PlannedSample = {},
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
  const modules = isLora ? trainedModules(config, recipe) : [];
  const trainedParameters = isLora
    ? adapterParameters(config, recipe, modules)
    : partParameters(config, recipe);
  const isNarrow = !isLora && bytes === 2;
  // Adapters are values of their own, in fp32; bf16 weights that learn have a master copy beside them.
  const trainedBytes = trainedParameters * (isLora || isNarrow ? 12 : 8);
  const gradientBytes = trainedParameters * (isNarrow ? 2 : 4);
  const share = Math.min(answerTokens / sampleTokens, 1);
  const tokens = recipe.packing
    ? recipe.batchSize * recipe.cutoffLength
    : recipe.batchSize * Math.min(sampleTokens, recipe.cutoffLength);
  const ofLayer = tokens * layerNumbers(config) * bytes;
  const kept = recipe.checkpointsActivations ? tokens * text.hiddenSize * bytes : ofLayer;
  const learning = learningOf(recipe, modules);
  const trainsImages = learning.tower || learning.projector;
  const image = imageBytes(config, recipe, learning, bytes);
  const activationBytes = text.numHiddenLayers * kept + image.kept;
  const layerBytes =
    (recipe.checkpointsActivations ? ofLayer : 0) + tokens * layerGradients(config) * bytes;
  const widest = 2 * text.intermediateSize * text.hiddenSize;
  const scratchBytes = recipe.base === 'stored' ? 0 : widest * bytes;
  const learnt = Math.ceil(tokens * share);
  const rows = recipe.lossChunkRows === 0 ? learnt : Math.min(learnt, recipe.lossChunkRows);
  // Its gradient in fp32, from the loss to the backward pass, and the product that is added to it.
  const head = trainsHead(config, recipe) ? text.vocabSize * text.hiddenSize * (4 + bytes) : 0;
  const lossBytes = rows * text.vocabSize * bytes + head;
  const updateBytes = isNarrow ? 4 * trainedParameters : 0;
  // Of an update's first micro-batch there are no gradients yet.
  const before = recipe.accumulation > 1 ? gradientBytes : 0;
  const moment = Math.max(
    ...[(trainsImages ? gradientBytes : before) + image.moment, before + lossBytes],
    ...[gradientBytes + layerBytes, gradientBytes + updateBytes],
  );
  const allocatorBytes = Math.round(ALLOCATOR_SHARE * moment);
  const always = textWeightBytes + otherWeightBytes + trainedBytes + activationBytes + scratchBytes;
  return {
    ...{ textWeightBytes, otherWeightBytes, trainedParameters, trainedBytes, gradientBytes },
    ...{ activationBytes, scratchBytes, imageBytes: image.moment, layerBytes, lossBytes },
    ...{ updateBytes, allocatorBytes, totalBytes: always + moment + allocatorBytes },
    processBytes: PROCESS_BYTES,
    featureCacheBytes:
      recipe.augmentation === null && !trainsImages ? recipe.featureCacheMegabytes * 1e6 : 0,
  };
}

/** The head of a model that has none of its own is its embedding. */
function trainsHead(
  { tiesEmbeddings }: NativeModelConfig,
  { lora, parts }: TrainingRecipe,
): boolean {
  return lora === null && parts.includes(tiesEmbeddings ? 'text' : 'head');
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
