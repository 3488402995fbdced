/** Projected vectors of pictures. */
import { settle } from '../binding/settle.js';
import type { ImageSource } from '../image/index.js';
import type { ModelCall } from './call.js';
import { describePictures } from './prepared.js';
import { prepareImage } from './prompt.js';
import type { EmbedOptions } from './requests.js';

/** Projected vectors of one picture, as the language model meets them. */
export interface ImageEmbedding {
  readonly tokens: number;
  readonly dimension: number;
  /** `[tokens, dimension]` fp32, row-major. */
  readonly data: Float32Array;
}

/** @param resolved the options with what is recorded of the model and its adapters */
export async function embedImages(
  { parts, lease }: Omit<ModelCall, 'prompts'>,
  images: readonly ImageSource[],
  { signal, whenPrepared }: EmbedOptions,
  resolved: Parameters<typeof prepareImage>[2],
): Promise<readonly ImageEmbedding[]> {
  const { native, pixels, config } = parts;
  const pictures = await Promise.all(images.map((image) => prepareImage(parts, image, resolved)));
  await whenPrepared?.([describePictures(pictures, config.model.imageSeqLength)]);
  const tensors = await settle(
    pixels.submit(pictures, (inputs) => native.embedImages(inputs, lease.ids)),
    signal,
  );
  return tensors.map(({ shape, data }) => ({
    tokens: shape[0] ?? 0,
    dimension: shape[1] ?? 0,
    data,
  }));
}
