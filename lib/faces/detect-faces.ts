/** Finds faces in a picture and cuts them out. */
import { loadAddon } from '../binding/load.js';
import { settle } from '../binding/settle.js';
import { sha256 } from '../files/index.js';
import {
  decodeImage,
  type DecodedImage,
  imageSource,
  type ImageSource,
  ownPixels,
  type RawImage,
} from '../image/index.js';
import { abortSignal, checkArguments, fields, whole } from '../options/index.js';
import { findFaces } from './find-faces.js';
import {
  type FaceOptions,
  faceShape,
  resolveFaceOptions,
  type ResolvedFaceOptions,
} from './options.js';
import type { ChipPlace, FacesRecord } from './record.js';
import { selectFaces } from './select-faces.js';

export interface DetectFacesOptions extends FaceOptions {
  /** Larger pictures are refused. @default 178,956,970, Pillow's own limit */
  readonly maxPixels?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface DetectedFaces extends FacesRecord {
  /** Of the faces taken, in the order of `used`. */
  readonly chips: readonly RawImage[];
}

const detectOptions = fields<DetectFacesOptions>({
  ...faceShape,
  maxPixels: whole(1).optional(),
  signal: abortSignal.optional(),
});

/** A chip again, from its record, of another size if need be. */
export async function cutAgain(
  image: DecodedImage,
  place: ChipPlace,
  size: number,
): Promise<RawImage> {
  const { rgb } = await settle(loadAddon().cutChip(image, place, size), undefined);
  return { data: rgb, width: size, height: size, channels: 3 };
}

/** For a picture that is decoded, upright. Empty where there is no face. */
export async function cutFaces(
  image: DecodedImage,
  options: ResolvedFaceOptions,
  signal?: AbortSignal,
): Promise<DetectedFaces> {
  const record = await findFaces(image, options, signal);
  const taken = selectFaces(record, options.which);
  const { size } = options;
  const addon = loadAddon();
  const cut = await Promise.all(
    taken.map(async ({ index, chip }) => {
      const { rgb, outside } = await settle(addon.cutChip(image, chip, size), signal);
      return {
        index,
        outside,
        chip: { data: rgb, width: size, height: size, channels: 3 as const },
      };
    }),
  );
  const shares = new Map(cut.map(({ index, outside }) => [index, outside]));
  return {
    ...record,
    used: taken.map(({ index }) => index),
    faces: record.faces.map((face) => ({
      ...face,
      chip: { ...face.chip, outside: shares.get(face.index) ?? null },
    })),
    chips: cut.map(({ chip }) => chip),
  };
}

/** The same chips, to be handed to a model and to nobody else: they are known by the picture and their place in it. */
export function keepChips({ key }: DecodedImage, cut: DetectedFaces): DetectedFaces {
  const { size, faces, used, chips } = cut;
  for (const [i, chip] of chips.entries()) {
    const { a, b, tx, ty } = faces[used[i] ?? 0]?.chip ?? {};
    ownPixels(chip, sha256(JSON.stringify([key, a, b, tx, ty, size])));
  }
  return cut;
}

/**
 * The faces of a picture, turned upright by EXIF first, and those that `which` names cut out as FairFace's pictures,
 * which FaceLLM was trained on, were. A picture without a face gives none: nothing is thrown for it. Computed on the CPU
 * beside the event loop; several calls run side by side. The result follows from the picture and the options alone.
 *
 * @throws ImageError FACELLM_IMAGE_NOT_FOUND, FACELLM_IMAGE_INVALID, FACELLM_IMAGE_TOO_LARGE
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every wrong option
 */
export async function detectFaces(
  picture: ImageSource,
  options: DetectFacesOptions = {},
): Promise<DetectedFaces> {
  const [source, checked] = checkArguments(
    'the request is wrong',
    [imageSource, picture, 'picture'],
    [detectOptions, options],
  );
  const { maxPixels, signal, ...faces } = checked;
  const image = await decodeImage(source, { maxPixels, signal });
  return cutFaces(image, resolveFaceOptions(faces), signal);
}
