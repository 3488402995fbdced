/** How a picture will be cut (docs/internvl3.md, sections 4.2 and 4.3), before anything is computed. */
import type { NativeAddon } from '../binding/native.js';
import type { z } from 'zod';

import { InvalidArgumentError } from '../errors.js';
import { field, fields, flag, kindOf, whole, word } from '../options/index.js';

export interface TileRange {
  /** @default from the checkpoint, usually 1 */
  readonly minTiles?: number;
  /** Without the thumbnail. @default from the checkpoint, usually 12 */
  readonly maxTiles?: number;
  /** Adds the whole picture as one more tile where there are several. @default from the checkpoint */
  readonly thumbnail?: boolean;
}

/** `off`: one tile, whatever the shape. */
export type TilingOptions = TileRange | 'off';

export interface TilePlan {
  readonly columns: number;
  readonly rows: number;
  readonly hasThumbnail: boolean;
  /** With the thumbnail. */
  readonly tiles: number;
}

export interface TilingDefaults {
  readonly tileSize: number;
  readonly minTiles: number;
  readonly maxTiles: number;
  readonly useThumbnail: boolean;
}

/** More would be over any position limit: 4096 tiles are a million tokens. */
const MOST_TILES = 4096;

const tileCount = whole(1, MOST_TILES);
const tileRange = fields<TileRange>({
  minTiles: tileCount.optional(),
  maxTiles: tileCount.optional(),
  thumbnail: flag.optional(),
});
const noTiling = field<never>("'off', or {minTiles, maxTiles, thumbnail}", () => false);

export const tilingOptions: z.ZodType<TilingOptions> = kindOf<TilingOptions>((value) => {
  if (value === 'off') return word('off');
  return typeof value === 'object' && value !== null ? tileRange : noTiling;
});

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT for a range that is none, with the checkpoint's bounds */
export function checkTiling(tiling: TilingOptions | undefined, defaults: TilingDefaults): void {
  if (tiling === undefined || tiling === 'off') return;
  const { minTiles = defaults.minTiles, maxTiles = defaults.maxTiles } = tiling;
  if (minTiles <= maxTiles) return;
  throw new InvalidArgumentError(
    'FACELLM_INVALID_ARGUMENT',
    `tiling: minTiles ${minTiles} is above maxTiles ${maxTiles}`,
  );
}

/** The grid for a picture of this size in pixels. */
export function planTiles(
  addon: Pick<NativeAddon, 'chooseTileGrid'>,
  width: number,
  height: number,
  defaults: TilingDefaults,
  tiling?: TilingOptions,
): TilePlan {
  checkTiling(tiling, defaults);
  if (tiling === 'off') return { columns: 1, rows: 1, hasThumbnail: false, tiles: 1 };
  const { minTiles = defaults.minTiles, maxTiles = defaults.maxTiles } = tiling ?? {};
  const wantsThumbnail = tiling?.thumbnail ?? defaults.useThumbnail;
  const { columns, rows } = addon.chooseTileGrid(
    width,
    height,
    defaults.tileSize,
    minTiles,
    maxTiles,
  );
  const hasThumbnail = wantsThumbnail && columns * rows > 1;
  return { columns, rows, hasThumbnail, tiles: columns * rows + (hasThumbnail ? 1 : 0) };
}
