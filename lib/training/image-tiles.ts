/** Pictures to the tiles that a trainer takes, the last ones kept: neighbours in the data often share one. */
import { availableParallelism } from 'node:os';

import type { NativeAddon, NativeTrainImage } from '../binding/native.js';
import type { CheckpointConfig } from '../checkpoint/index.js';
import { fromNative } from '../errors.js';
import { KnownFaces, resolvePictureFaces } from '../faces/index.js';
import {
  ByteCache,
  decodeImage,
  type DecodedImage,
  limitArea,
  planTiles,
  type TilingOptions,
} from '../image/index.js';
import { Gate } from '../jobs/index.js';
import { type AugmentationPlace, drawAugmentation } from './augmentation.js';
import type { TrainingRecipe } from './recipe.js';

/** Bytes of tiles kept, and of pictures where each pass cuts its own tiles from them. */
const CAPACITY = 256 * 2 ** 20;
/** A decoded picture of many megapixels takes a hundred megabytes: no more of them than processors at work. */
const PICTURES_AT_ONCE = availableParallelism();

export type PicturePlace = Omit<AugmentationPlace, 'seed'>;

/** How pictures are cut in training. */
export function tilingOf({ maxTiles }: Pick<TrainingRecipe, 'maxTiles'>): TilingOptions {
  return maxTiles === 0 ? 'off' : { minTiles: 1, maxTiles };
}

export class ImageTiles {
  readonly #addon: NativeAddon;
  readonly #config: CheckpointConfig;
  readonly #recipe: TrainingRecipe;
  readonly #decoded = new ByteCache<DecodedImage>(CAPACITY, ({ rgb }) => rgb.byteLength);
  readonly #tiles = new ByteCache<NativeTrainImage>(CAPACITY, ({ tiles }) => tiles.byteLength);
  readonly #faces = new KnownFaces();
  readonly #gate = new Gate(PICTURES_AT_ONCE);

  constructor(addon: NativeAddon, config: CheckpointConfig, recipe: TrainingRecipe) {
    this.#addon = addon;
    this.#config = config;
    this.#recipe = recipe;
  }

  /**
   * @param place where the picture is met, which decides how it is changed; undefined: as it is
   * @throws ImageError as decodeImage; FACELLM_NO_FACE
   */
  load(path: string, place: PicturePlace | undefined): Promise<NativeTrainImage> {
    const change = this.#recipe.augmentation === null ? undefined : place;
    return this.#tiles.get(change === undefined ? path : `${change.pass}:${path}`, () =>
      this.#gate.run(async () => {
        const decode = (): Promise<DecodedImage> => this.#decode(path);
        const decoded = change === undefined ? decode() : this.#decoded.get(path, decode);
        return this.#cut(await decoded, change);
      }),
    );
  }

  async #decode(path: string): Promise<DecodedImage> {
    const image = await this.#read(path);
    return this.#recipe.limitsImageArea ? limitArea(this.#addon, image) : image;
  }

  async #read(path: string): Promise<DecodedImage> {
    // As stored: the training path does not turn pictures by EXIF (docs/internvl3.md, section 4.1).
    const asStored = { applyExif: false };
    const faces = resolvePictureFaces(this.#recipe.faces);
    if (typeof faces === 'string') return decodeImage(path, asStored);
    const { pictures } = await this.#faces.take(path, faces, {});
    return decodeImage(pictures[0] ?? path, asStored);
  }

  async #cut(image: DecodedImage, place: PicturePlace | undefined): Promise<NativeTrainImage> {
    const { augmentation, seed } = this.#recipe;
    const { columns, rows, hasThumbnail } = planTiles(
      this.#addon,
      image.width,
      image.height,
      this.#config,
      tilingOf(this.#recipe),
    );
    const change =
      augmentation === null || place === undefined
        ? undefined
        : drawAugmentation(augmentation, image, { ...place, seed });
    try {
      const input = { ...image, columns, rows, hasThumbnail };
      const tiles = await this.#addon.tilePixels(input, this.#config.tileSize, change).promise;
      const grid = `${columns}x${rows}${hasThumbnail ? '+1' : ''}`;
      const drawn =
        change === undefined || place === undefined ? '' : `/${place.pass}:${place.picture}`;
      return { key: `${image.key}/${grid}${drawn}`, tiles };
    } catch (error) {
      throw fromNative(error);
    }
  }
}
