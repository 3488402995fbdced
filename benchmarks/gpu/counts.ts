/**
 * What each row must do at least: FLOP (two a multiplication and addition) and bytes of weights, keys and values. Q and K are the
 * widths of queries and keys, S a sequence, T tokens.
 */
import type { NativeModelConfig } from '../../lib/binding/native.js';

export interface Work {
  readonly flop: number;
  readonly bytes: number;
}

const BF16 = 2;

/** Parameters of one tower's products, and widths. */
function sizesOf({ vision, text }: NativeModelConfig) {
  const q = text.numAttentionHeads * text.headDim;
  const k = text.numKeyValueHeads * text.headDim;
  const layer = text.hiddenSize * (2 * q + 2 * k) + 3 * text.hiddenSize * text.intermediateSize;
  const d = vision.hiddenSize;
  return {
    q,
    k,
    textLayers: text.numHiddenLayers * layer,
    head: text.vocabSize * text.hiddenSize,
    visionLayers: vision.numHiddenLayers * (4 * d * d + 2 * d * vision.intermediateSize),
    projector: 4 * d * text.hiddenSize + text.hiddenSize ** 2,
  };
}

/** The tower and the projector, once for all tiles. */
export function visionWork(config: NativeModelConfig, tiles: number): Work {
  const { vision, imageSeqLength } = config;
  const { visionLayers, projector } = sizesOf(config);
  const patches = (vision.imageSize / vision.patchSize) ** 2;
  const s = patches + 1;
  const tile =
    2 * visionLayers * s +
    4 * s * s * vision.hiddenSize * vision.numHiddenLayers +
    2 * patches * 3 * vision.patchSize ** 2 * vision.hiddenSize +
    2 * projector * imageSeqLength;
  return { flop: tiles * tile, bytes: BF16 * (visionLayers + projector) };
}

/** Causal, logits of one row. */
export function prefillWork(config: NativeModelConfig, tokens: number): Work {
  const { textLayers, head, q } = sizesOf(config);
  const attention = 2 * tokens * tokens * q * config.text.numHiddenLayers;
  return {
    flop: 2 * textLayers * tokens + attention + 2 * head,
    bytes: BF16 * (textLayers + head),
  };
}

/** One step of so many rows, each behind `context` tokens. */
export function decodeWork(config: NativeModelConfig, rows: number, context: number): Work {
  const { textLayers, head, q, k } = sizesOf(config);
  const layers = config.text.numHiddenLayers;
  return {
    flop: rows * (2 * (textLayers + head) + 4 * context * q * layers),
    bytes: BF16 * (textLayers + head) + rows * context * 2 * k * layers * BF16,
  };
}

export interface LoraStep {
  readonly batch: number;
  readonly tokens: number;
  readonly learnt: number;
  readonly rank: number;
  readonly encodesPictures: boolean;
}

/** Useful work alone: forward, and gradients of inputs; nothing computed twice. The seven projections of every layer. */
export function loraStepWork(config: NativeModelConfig, step: LoraStep): Work {
  const { textLayers, head, q, k } = sizesOf(config);
  const { hiddenSize: d, intermediateSize: f, numHiddenLayers: layers } = config.text;
  // A and B of q, k, v, o, gate, up, down: inputs and outputs added up.
  const lora = layers * step.rank * (2 * (d + q) + 2 * (d + k) + 3 * (d + f));
  const sample =
    4 * textLayers * step.tokens +
    7 * step.tokens ** 2 * q * layers +
    6 * lora * step.tokens +
    4 * head * step.learnt +
    (step.encodesPictures ? visionWork(config, 1).flop : 0);
  return { flop: step.batch * sample, bytes: BF16 * 2 * (textLayers + head) };
}
