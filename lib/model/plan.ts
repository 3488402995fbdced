/** What pictures will cost, before anything is computed and without any weights. */
import type { NativeAddon } from '../binding/native.js';
import type { CheckpointConfig } from '../checkpoint/index.js';
import type { KnownFaces } from '../faces/index.js';
import {
  type FacesSeen,
  resolveGeneration,
  type Sampling,
  samplingOf,
} from '../generation/index.js';
import { type ImageSource, limitedSize, planTiles, readImageSize } from '../image/index.js';
import { cropPictures } from './crop-pictures.js';
import { blocksOf, type ModelMemory, slotBytes } from './memory-plan.js';
import type { ResolvedPromptOptions } from './prompt-options.js';

export interface ImagePlan {
  /** Pixels, upright. */
  readonly width: number;
  readonly height: number;
  readonly columns: number;
  readonly rows: number;
  readonly hasThumbnail: boolean;
  /** With the thumbnail. */
  readonly tiles: number;
  /** Tokens of the prompt that the picture takes, its two brackets included. */
  readonly promptTokens: number;
  /** Vectors among them. */
  readonly imageTokens: number;
}

export interface Plan extends FacesSeen {
  /** How a question without options of its own will be answered. */
  readonly sampling: Omit<Sampling, 'seed'>;
  /** Of the pictures, or of the chips of their faces. */
  readonly images: readonly ImagePlan[];
  readonly tileSize: number;
  readonly tiles: number;
  readonly promptTokens: number;
  readonly imageTokens: number;
  /** Share of the model's position limit that the pictures take. */
  readonly positionShare: number;
  /** What the model takes and has room for, whatever is asked. */
  readonly engine: ModelMemory;
  /**
   * Requests about these pictures that are computed at a time, by rows and by blocks, nothing of them shared and words
   * not counted; 0: they do not fit into one.
   */
  readonly requestsAtOnce: number;
  /** Bytes that these pictures add to the loaded model's, by the shapes; workspace not counted. */
  readonly memory: {
    readonly kvCacheBytes: number;
    readonly featureBytes: number;
    readonly visionActivationBytes: number;
  };
}

function memoryOf(
  { tilesAtOnce }: Pick<NativeAddon, 'tilesAtOnce'>,
  config: CheckpointConfig,
  tiles: number,
  tokens: number,
  bytes: number,
): Plan['memory'] {
  const { text, vision } = config.model;
  const positions = (vision.imageSize / vision.patchSize) ** 2 + 1;
  // The widest moment of a vision layer: residual, normalised input, and the MLP's inner vectors.
  const perPosition = 2 * vision.hiddenSize + 2 * vision.intermediateSize;
  return {
    kvCacheBytes: tokens * slotBytes(text, bytes),
    featureBytes: tiles * config.model.imageSeqLength * text.hiddenSize * bytes,
    visionActivationBytes: Math.min(tiles, tilesAtOnce) * positions * perPosition * bytes,
  };
}

/** Without a seed: each question that draws gets its own. */
function plannedSampling({ generation }: CheckpointConfig): Plan['sampling'] {
  const sampling = samplingOf(resolveGeneration({}, generation.options));
  const { doSample, temperature, topK, topP, minP, repetitionPenalty } = sampling;
  const { frequencyPenalty, presencePenalty, logitBias, minTokens, maxNewTokens } = sampling;
  return {
    ...{ doSample, temperature, topK, topP, minP, repetitionPenalty },
    ...{ frequencyPenalty, presencePenalty, logitBias, minTokens, maxNewTokens },
  };
}

function requestsAtOnce({ maxRows, maxContext, blocks }: ModelMemory, tokens: number): number {
  return tokens < maxContext ? Math.min(maxRows, Math.floor(blocks / blocksOf(tokens))) : 0;
}

/** Plans pictures for a checkpoint whose config has been read. */
export async function planWith(
  addon: Pick<NativeAddon, 'chooseTileGrid' | 'tilesAtOnce'>,
  config: CheckpointConfig,
  engine: ModelMemory,
  given: readonly ImageSource[],
  faces: KnownFaces,
  options: ResolvedPromptOptions,
): Promise<Plan> {
  const perTile = config.model.imageSeqLength;
  const taken = await cropPictures(faces, given, options);
  const sources = taken?.flatMap(({ pictures }) => pictures) ?? given;
  const images = await Promise.all(
    sources.map(async (source): Promise<ImagePlan> => {
      const stored = await readImageSize(source, options);
      const { width, height } = options.limitsImageArea ? limitedSize(stored) : stored;
      const cut = planTiles(addon, width, height, config, options.tiling);
      const imageTokens = cut.tiles * perTile;
      return {
        width: stored.width,
        height: stored.height,
        ...cut,
        imageTokens,
        promptTokens: imageTokens + 2,
      };
    }),
  );
  const sum = (pick: (image: ImagePlan) => number): number =>
    images.reduce((total, image) => total + pick(image), 0);
  const tiles = sum((image) => image.tiles);
  const promptTokens = sum((image) => image.promptTokens);
  return {
    sampling: plannedSampling(config),
    images,
    ...(taken !== undefined && { faces: taken.map(({ record }) => record) }),
    tileSize: config.tileSize,
    tiles,
    promptTokens,
    imageTokens: sum((image) => image.imageTokens),
    positionShare: promptTokens / config.model.text.maxPositionEmbeddings,
    engine,
    requestsAtOnce: requestsAtOnce(engine, promptTokens),
    memory: memoryOf(addon, config, tiles, promptTokens, engine.dtype === 'bf16' ? 2 : 4),
  };
}
