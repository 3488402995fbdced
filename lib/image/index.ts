/** Pictures: reading, decoding, and how they are cut. */
export { limitArea, limitedSize } from './area-limit.js';
export { ByteCache } from './byte-cache.js';
export { decodeImage, decodeOpened, keyOf, openImage, readImageSize } from './decode.js';
export { headerProblem } from './header.js';
export { KnownImages } from './known-images.js';
export { OpenedImages } from './opened-images.js';
export { ownPixels } from './own-pixels.js';
export { imageSource } from './source.js';
export {
  checkTiling,
  planTiles,
  type TileRange,
  type TilingOptions,
  tilingOptions,
} from './tiling.js';
export {
  type DecodedImage,
  type DecodeOptions,
  decodeShape,
  type ImageSize,
  type ImageSource,
  type RawImage,
} from './types.js';
