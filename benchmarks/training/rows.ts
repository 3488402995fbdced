/** One LoRA step of FaceLLM's recipe in the shapes of FairFaceGPT, each way of spending memory a row. */
import { readFileSync, writeFileSync } from 'node:fs';

import { loadAddon } from '../../lib/binding/load.js';
import type { NativeTrainer, NativeTrainSample } from '../../lib/binding/native.js';
import { readCheckpointConfig, readCheckpointFiles } from '../../lib/checkpoint/index.js';
import { facellm1b } from '../../lib/index.js';
import { resolveTargets } from '../../lib/lora/index.js';
import { resolveWeights } from '../../lib/model/index.js';

/** What both sides compute: micro-batches of `batch` samples with one picture each, and one update. */
export interface StepRequest {
  readonly microBatches: number;
  readonly batch: number;
  /** Samples of a micro-batch that ask about the same picture after the same system turn. */
  readonly questions: number;
  readonly tokens: number;
  readonly learnt: number;
  readonly imageTokens: number;
  readonly checkpointing: boolean;
}

export interface StepResult {
  readonly ms: number;
  /** Highest memory during the step, the model included: resident, or of the GPU's allocator. */
  readonly peakBytes: number;
  /** Ours: of the samples, and those that were computed. */
  readonly tokens?: number;
  readonly computedTokens?: number;
}

export interface TrainingRow {
  readonly name: string;
  readonly request: StepRequest;
  /** The same samples as the baseline takes them; all of a picture's at once do not fit its memory. @default request */
  readonly baselineRequest?: StepRequest;
  readonly lossChunkRows: number;
  /** Vectors of the pictures are at hand from an earlier question about them. */
  readonly cachesPictures: boolean;
  readonly sharesPrefix: boolean;
}

/** FairFaceGPT: 256 image tokens, a template of some 60, an answer of some 130 (performance estimates). */
const SAMPLE = { tokens: 448, learnt: 128, imageTokens: 256 };
/** Of the template what stands behind the picture: a question, and the assistant's head. */
const QUESTION_TOKENS = 24;
const QUESTIONS = 8;

/** `pictures` x 8 questions, a picture a micro-batch: FairFaceGPT's own shape. */
export function pictureRows(pictures: number): readonly TrainingRow[] {
  const request = {
    ...{ ...SAMPLE, checkpointing: false },
    ...{ microBatches: pictures, batch: QUESTIONS, questions: QUESTIONS },
  };
  const baselineRequest = { ...request, microBatches: (pictures * QUESTIONS) / 2, batch: 2 };
  const row = (name: string, sharesPrefix: boolean, cachesPictures: boolean): TrainingRow => ({
    name: `LoRA step, ${pictures} pictures x ${QUESTIONS} questions, ${name}`,
    ...{ request, baselineRequest, lossChunkRows: 512, cachesPictures, sharesPrefix },
  });
  return [
    row('unshared', false, false),
    row('unshared, pictures cached', false, true),
    row('shared prefixes', true, false),
    row('shared prefixes, pictures cached', true, true),
  ];
}

export function trainingRows(batch: number): readonly TrainingRow[] {
  const row = (
    name: string,
    checkpointing: boolean,
    lossChunkRows: number,
    cachesPictures: boolean,
  ): TrainingRow => ({
    name: `LoRA step, ${batch} x ${SAMPLE.tokens}, ${name}`,
    request: { ...SAMPLE, batch, checkpointing, microBatches: 1, questions: 1 },
    ...{ lossChunkRows, cachesPictures, sharesPrefix: false },
  });
  return [
    row('activations recomputed', true, 512, false),
    row('activations kept', false, 512, false),
    row('activations kept, pictures cached', false, 512, true),
    row('activations recomputed, loss of all rows at once', true, 0, false),
    row('activations recomputed, loss in 64 rows', true, 64, false),
  ];
}

/** Linux forgets the highest resident size when 5 is written there. */
export function resetPeak(): void {
  writeFileSync('/proc/self/clear_refs', '5');
}

export function readPeak(): number {
  const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

export class OwnTrainer {
  readonly #native: NativeTrainer;
  readonly #imageToken: number;
  readonly #tileSize: number;
  readonly #isOnGpu: boolean;

  private constructor(
    native: NativeTrainer,
    imageToken: number,
    tileSize: number,
    isOnGpu: boolean,
  ) {
    this.#native = native;
    this.#isOnGpu = isOnGpu;
    this.#imageToken = imageToken;
    this.#tileSize = tileSize;
  }

  static async create(directory: string, row: TrainingRow, device: string): Promise<OwnTrainer> {
    const [files, config] = await Promise.all([
      readCheckpointFiles(directory),
      readCheckpointConfig(directory),
    ]);
    const recipe = facellm1b();
    const native = await loadAddon().createTrainer(
      {
        load: {
          config: config.model,
          preprocessing: config.preprocessing,
          files: files.dataFiles,
          weightMap: files.weightMap,
          device,
          dtype: 'bf16',
          weights: resolveWeights('stored', config.model.text),
          mmap: false,
          imageCacheBytes: 0,
          prefixCacheBytes: 0,
          ...{ kvBytes: 0, maxRows: 1, maxContext: 1, deterministic: false },
        },
        modules: recipe.lora === null ? [] : resolveTargets(config.model, recipe.lora),
        parts: [],
        usesDora: false,
        dropout: 0,
        adapterFile: '',
        seed: 1,
        beta1: recipe.beta1,
        beta2: recipe.beta2,
        eps: recipe.epsilon,
        weightDecay: recipe.weightDecay,
        decaysVectors: recipe.decaysVectors,
        rates: { vision: 1, projector: 1, text: 1, head: 1, layerDecay: 1 },
        checkpointsActivations: row.request.checkpointing,
        lossChunkRows: row.lossChunkRows,
        sharesPrefix: row.sharesPrefix,
        shardsWeights: false,
        featureCacheBytes: row.cachesPictures ? 1e9 : 0,
      },
      () => {},
    ).promise;
    return new OwnTrainer(native, config.model.imageTokenId, config.tileSize, device !== 'cpu');
  }

  async step(request: StepRequest): Promise<StepResult> {
    const { microBatches, batch, learnt } = request;
    const own = Array.from({ length: microBatches }, (_, m) => this.#samples(request, m));
    resetPeak();
    const start = performance.now();
    const sums = { tokens: 0, computedTokens: 0 };
    for (const [m, samples] of own.entries()) {
      const { tokens, computedTokens } = await this.#native.accumulate({
        ...{ samples, denominator: microBatches * batch * learnt, draw: m },
        ...{ isLast: m === microBatches - 1, answerSets: [], answersDenominator: 1 },
      }).promise;
      sums.tokens += tokens;
      sums.computedTokens += computedTokens;
    }
    const { peakBytes } = await this.#native.update({ learningRate: 1e-5, maxGradNorm: 1 }).promise;
    const ms = performance.now() - start;
    return { ms, peakBytes: this.#isOnGpu ? peakBytes : readPeak(), ...sums };
  }

  /** Random text; of one picture the same up to the question. */
  #samples(request: StepRequest, microBatch: number): NativeTrainSample[] {
    const { batch, questions, tokens, learnt, imageTokens } = request;
    const draw = (): number => 100 + Math.floor(Math.random() * 900);
    let prefix = new Int32Array();
    return Array.from({ length: batch }, (_, k): NativeTrainSample => {
      const picture = Math.floor(k / questions);
      if (k % questions === 0) {
        prefix = Int32Array.from({ length: tokens - learnt - QUESTION_TOKENS }, draw);
        prefix.fill(this.#imageToken, 4, 4 + imageTokens);
      }
      const ids = Int32Array.from({ length: tokens }, (_unused, t) => prefix[t] ?? draw());
      const labels = ids.map((id, t) => (t < tokens - learnt ? -100 : id));
      const size = 3 * this.#tileSize ** 2;
      const tiles = Uint8Array.from({ length: size }, (_unused, i) => (i * 31 + picture * 7) % 251);
      return { ids, labels, weight: 1, images: [{ key: `${microBatch} ${picture}`, tiles }] };
    });
  }

  dispose(): Promise<void> {
    return this.#native.dispose().promise;
  }
}
