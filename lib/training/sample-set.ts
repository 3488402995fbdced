/** All samples of a run, encoded once: lengths decide order and packing, ids are expanded when used. */
import type { NativeAddon, NativeTrainSample } from '../binding/native.js';
import type { CheckpointConfig } from '../checkpoint/index.js';
import type { TrainingRecord } from '../data/index.js';
import { createError } from '../errors.js';
import { planTiles, readImageSize, type TilingOptions } from '../image/index.js';
import type { TextCoder } from '../tokenizer/index.js';
import { type EncodedRecord, encodeRecord, expandRecord, SourceCache } from './encode-record.js';
import { ImageTiles } from './image-tiles.js';
import { mapBounded } from './bounded.js';
import type { TrainingRecipe } from './recipe.js';

export interface Sample {
  readonly record: TrainingRecord;
  readonly encoded: EncodedRecord;
  /** Of each picture, without `<img>` and `</img>`. */
  readonly imageTokens: readonly number[];
}

export interface SampleSetParts {
  readonly addon: NativeAddon;
  readonly config: CheckpointConfig;
  readonly coder: TextCoder;
  readonly recipe: TrainingRecipe;
}

/** How pictures are cut in training. */
export function tilingOf(recipe: TrainingRecipe): TilingOptions {
  return recipe.maxTiles === 0 ? 'off' : { minTiles: 1, maxTiles: recipe.maxTiles };
}

export class SampleSet {
  readonly samples: readonly Sample[];
  readonly dropped: number;
  /** In tokens, every picture expanded. */
  readonly lengths: Int32Array;
  readonly #parts: SampleSetParts;
  readonly #images: ImageTiles;

  private constructor(samples: readonly Sample[], dropped: number, parts: SampleSetParts) {
    this.samples = samples;
    this.dropped = dropped;
    this.lengths = Int32Array.from(samples, ({ encoded }) => encoded.length);
    this.#parts = parts;
    this.#images = new ImageTiles(parts.addon, parts.config, parts.recipe);
  }

  /**
   * @throws DataError FACELLM_DATA_INVALID listing samples over the length limit, unless they may be dropped
   */
  static async encode(
    records: readonly TrainingRecord[],
    parts: SampleSetParts,
    onProgress: (done: number) => void,
    signal?: AbortSignal,
  ): Promise<SampleSet> {
    const tokensOfImage = imageTokenCounter(parts);
    const sources = new SourceCache();
    let done = 0;
    const encoded = await mapBounded(records, 64, async (record) => {
      signal?.throwIfAborted();
      const imageTokens: readonly number[] = await Promise.all(record.images.map(tokensOfImage));
      const own = await encodeRecord(parts.coder, record, imageTokens, parts.recipe, sources);
      onProgress(++done);
      return { record, encoded: own, imageTokens };
    });
    const kept = encoded.filter((sample): sample is Sample => isUsable(sample.encoded));
    const tooLong = encoded.filter(({ encoded: own }) => !isUsable(own));
    if (kept.length === 0 || (tooLong.length > 0 && parts.recipe.onTooLong === 'error')) {
      throw createError(
        'FACELLM_DATA_INVALID',
        `${tooLong.length} of ${records.length} record(s) do not fit ${parts.recipe.cutoffLength} tokens ` +
          '(image tokens are never cut): raise cutoffLength, lower maxTiles, or set onTooLong=drop',
        {
          details: tooLong
            .slice(0, 1000)
            .map(
              ({ record, imageTokens }) =>
                `record ${record.index}: ${imageTokens.length} image(s), ${imageTokens.reduce((a, b) => a + b, 0)} image tokens`,
            ),
        },
      );
    }
    return new SampleSet(kept, tooLong.length, parts);
  }

  /** Tokens that are learnt. The first token of a sample has nothing before it to be learnt from. */
  learntTokens(indices: readonly number[]): number {
    return indices.reduce((sum, i) => sum + (this.samples[i]?.encoded.learntTokens ?? 0), 0);
  }

  /** What the engine takes; pictures are decoded and cut here. */
  async load(index: number): Promise<NativeTrainSample> {
    const { record, encoded, imageTokens } = this.samples[index] as Sample;
    const images = await Promise.all(record.images.map((path) => this.#images.load(path)));
    return {
      ...expandRecord(encoded, imageTokens, this.#parts.coder.controlTokens),
      images,
    };
  }
}

function isUsable(encoded: EncodedRecord | undefined): encoded is EncodedRecord {
  return encoded !== undefined && encoded.learntTokens > 0;
}

/** Tokens of a picture by its path; sizes are read only where tiling depends on them. */
function imageTokenCounter({ addon, config, recipe }: SampleSetParts) {
  const perTile = config.model.imageSeqLength;
  const known = new Map<string, Promise<number>>();
  const tiling = tilingOf(recipe);
  return (path: string): Promise<number> => {
    if (tiling === 'off') return Promise.resolve(perTile);
    let tokens = known.get(path);
    if (tokens === undefined) {
      tokens = readImageSize(path, { applyExif: false }).then(
        ({ width, height }) => planTiles(addon, width, height, config, tiling).tiles * perTile,
      );
      known.set(path, tokens);
    }
    return tokens;
  };
}
