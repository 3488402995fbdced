/** Pictures: reading, decoding, and how they are cut. */
export { limitArea, limitedSize } from './area-limit.js';
export { decodeImage, readImageSize } from './decode.js';
export {
  checkTiling,
  planTiles,
  type TilePlan,
  type TileRange,
  type TilingDefaults,
  type TilingOptions,
} from './tiling.js';
export type { DecodedImage, DecodeOptions, ImageSize, ImageSource, RawImage } from './types.js';
