/** Projected vectors of pictures. */
import { settle } from '../binding/settle.js';
import type { ImageSource } from '../image/index.js';
import type { FacesRecord } from '../faces/index.js';
import type { ModelCall } from './call.js';
import { cropPictures } from './crop-pictures.js';
import { describePictures } from './prepared.js';
import { prepareImage } from './prompt.js';
import type { EmbedOptions } from './requests.js';

/** Projected vectors of one picture, as the language model meets them. */
export interface ImageEmbedding {
  readonly tokens: number;
  readonly dimension: number;
  /** `[tokens, dimension]` fp32, row-major. */
  readonly data: Float32Array;
  /** What was seen in its picture, where faces are looked for. */
  readonly faces?: FacesRecord;
}

/**
 * Of each picture, or of each chip of it, in their order.
 *
 * @param resolved the options with what is recorded of the model and its adapters
 */
export async function embedImages(
  { parts, lease }: Omit<ModelCall, 'prompts'>,
  images: readonly ImageSource[],
  { signal, whenPrepared }: EmbedOptions,
  resolved: Parameters<typeof prepareImage>[2],
): Promise<readonly ImageEmbedding[]> {
  const { native, pixels, config } = parts;
  const taken = await cropPictures(parts.faces, images, resolved);
  const shown = taken?.flatMap(({ pictures, record }) =>
    pictures.map((image) => ({ image, faces: record })),
  );
  const seen = shown ?? images.map((image) => ({ image, faces: undefined }));
  const pictures = await Promise.all(seen.map(({ image }) => prepareImage(parts, image, resolved)));
  await whenPrepared?.([describePictures(pictures, config.model.imageSeqLength)]);
  const tensors = await settle(
    pixels.submit(pictures, (inputs) => native.embedImages(inputs, lease.ids)),
    signal,
  );
  return tensors.map(({ shape, data }, i) => {
    const faces = seen[i]?.faces;
    const vectors = { tokens: shape[0] ?? 0, dimension: shape[1] ?? 0, data };
    return faces === undefined ? vectors : { ...vectors, faces };
  });
}
