/** Pictures to the tiles that a trainer takes, the last ones kept: neighbours in the data often share one. */
import { availableParallelism } from 'node:os';

import type { NativeAddon, NativeTrainImage } from '../binding/native.js';
import type { CheckpointConfig } from '../checkpoint/index.js';
import { fromNative } from '../errors.js';
import { decodeImage, limitArea, planTiles } from '../image/index.js';
import { Gate } from './bounded.js';
import type { TrainingRecipe } from './recipe.js';

/** Bytes of tiles kept. */
const CAPACITY = 256 * 2 ** 20;
/** A decoded picture of many megapixels takes a hundred megabytes: no more of them than processors at work. */
const PICTURES_AT_ONCE = availableParallelism();

export class ImageTiles {
  readonly #addon: NativeAddon;
  readonly #config: CheckpointConfig;
  readonly #recipe: TrainingRecipe;
  readonly #kept = new Map<string, Promise<NativeTrainImage>>();
  /** Of those that are made, oldest first. */
  readonly #sizes = new Map<string, number>();
  readonly #gate = new Gate(PICTURES_AT_ONCE);
  #bytes = 0;

  constructor(addon: NativeAddon, config: CheckpointConfig, recipe: TrainingRecipe) {
    this.#addon = addon;
    this.#config = config;
    this.#recipe = recipe;
  }

  /** @throws ImageError as decodeImage */
  load(path: string): Promise<NativeTrainImage> {
    const known = this.#kept.get(path);
    if (known !== undefined) return known;
    const made = this.#gate.run(() => this.#cut(path));
    this.#kept.set(path, made);
    made.then(
      ({ tiles }) => {
        this.#sizes.set(path, tiles.byteLength);
        this.#count(tiles.byteLength);
      },
      () => this.#kept.delete(path),
    );
    return made;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    while (this.#bytes > CAPACITY) {
      const [oldest] = this.#sizes;
      if (oldest === undefined) return;
      this.#kept.delete(oldest[0]);
      this.#sizes.delete(oldest[0]);
      this.#bytes -= oldest[1];
    }
  }

  async #cut(path: string): Promise<NativeTrainImage> {
    // As stored: the training path does not turn pictures by EXIF (spec internvl3.md, section 4.1).
    let image = await decodeImage(path, { applyExif: false });
    if (this.#recipe.limitsImageArea) image = await limitArea(this.#addon, image);
    const { maxTiles } = this.#recipe;
    const { columns, rows, hasThumbnail } = planTiles(
      this.#addon,
      image.width,
      image.height,
      this.#config,
      maxTiles === 0 ? 'off' : { minTiles: 1, maxTiles },
    );
    try {
      const input = { ...image, columns, rows, hasThumbnail };
      const tiles = await this.#addon.tilePixels(input, this.#config.tileSize).promise;
      return { key: `${image.key}/${columns}x${rows}${hasThumbnail ? '+1' : ''}`, tiles };
    } catch (error) {
      throw fromNative(error);
    }
  }
}
