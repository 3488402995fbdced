/** How faces are looked for, which of them are taken, and how they are cut out. */
import type { z } from 'zod';

import type { RawImage } from '../image/index.js';
import {
  callback,
  field,
  fields,
  flag,
  kindOf,
  number,
  type Shape,
  whole,
  word,
} from '../options/index.js';

/** A point of a face in pixels of its picture. */
export interface FacePoint {
  readonly x: number;
  readonly y: number;
}

export interface FaceBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Left and right are the person's. */
export interface FacePoints {
  readonly rightEye: FacePoint;
  readonly leftEye: FacePoint;
  readonly noseTip: FacePoint;
  readonly mouth: FacePoint;
  readonly rightEar: FacePoint;
  readonly leftEar: FacePoint;
}

/** What another detector says of a face. */
export interface FoundFace {
  readonly box: FaceBox;
  /** Without eyes and mouth the face is cut out by its box, unturned. */
  readonly points?: Partial<FacePoints> | undefined;
  readonly score: number;
}

/** A detector of the caller's in place of the built-in one; it gets the picture upright. */
export type FaceDetector = (picture: RawImage) => Promise<readonly FoundFace[]>;

/**
 * `main`: the one that a photographer meant, large and near the middle; `largest`; `each`: all, each on its own; `all`:
 * all, as pictures of one question; a number: that one, from the left, from 0.
 */
export type WhichFaces = 'main' | 'largest' | 'each' | 'all' | number;

export interface FaceOptions {
  /** @default main */
  readonly which?: WhichFaces | undefined;
  /** Added on each side of a face, in sides of a chip without margin. @default 0.25, as FairFace's and FaceLLM's */
  readonly margin?: number | undefined;
  /** Pixels of a chip's edge. @default 448 */
  readonly size?: number | undefined;
  /** Turns the face upright. @default true */
  readonly align?: boolean | undefined;
  /** Faces below this score do not count. @default 0.5 of the short network, 0.6 of the full one */
  readonly minScore?: number | undefined;
  /** Faces whose chips are smaller than this in the picture, in pixels, are set aside. @default 0 */
  readonly minSide?: number | undefined;
  /** Looks at overlapping parts of the picture as well; some 25 times as slow. @default false */
  readonly smallFaces?: boolean | undefined;
  /** `auto` also tries quarter turns; some 7 times as slow. @default exif */
  readonly orientation?: 'exif' | 'auto' | undefined;
  /** Looks at each face a second time, upright, for better points. @default true */
  readonly refine?: boolean | undefined;
  /** @default BlazeFace, built in */
  readonly detector?: FaceDetector | undefined;
}

/** How faces are taken from the pictures of a question. `each` has as many answers as faces, and is refused where there is one. */
export interface AskedFaces extends FaceOptions {
  /** Of a picture without such a face: FACELLM_NO_FACE, or the picture as it is. @default error */
  readonly onNoFace?: 'error' | 'whole' | undefined;
}

/** `off`: pictures as they are. `cropped`: as they are, since they are chips already, as those of `detectFaces`. */
export type PictureFaces = AskedFaces | 'off' | 'cropped';

/** With every default in place. */
export interface ResolvedFaceOptions {
  readonly which: WhichFaces;
  readonly margin: number;
  readonly size: number;
  readonly align: boolean;
  readonly minScore: number | undefined;
  readonly minSide: number;
  readonly smallFaces: boolean;
  readonly orientation: 'exif' | 'auto';
  readonly refine: boolean;
  readonly detector: FaceDetector | undefined;
}

export interface ResolvedAskedFaces extends ResolvedFaceOptions {
  readonly onNoFace: 'error' | 'whole';
}

const words = word('main', 'largest', 'each', 'all');
const index = whole(0, 10_000);
export const whichFaces: z.ZodType<WhichFaces> = kindOf<WhichFaces>((value) =>
  typeof value === 'number' ? index : words,
);
export const faceShape: Shape<FaceOptions> = {
  which: whichFaces.optional(),
  margin: number('a number from 0 to 3', 0, 3).optional(),
  size: whole(16, 4096, ' (pixels)').optional(),
  align: flag.optional(),
  minScore: number('a number from 0.3 to 1', 0.3, 1).optional(),
  minSide: number('a number of at least 0', 0).optional(),
  smallFaces: flag.optional(),
  orientation: word('exif', 'auto').optional(),
  refine: flag.optional(),
  detector: callback<FaceDetector>().optional(),
};
export const faceOptions: z.ZodType<FaceOptions> = fields(faceShape);

const oneAnswer = field<WhichFaces>(
  'main, largest, all or a number: one question has one answer; for each face ask with its number ({ which: 0 }, as many as detectFaces finds), or use annotate()',
  (value) => value !== 'each',
);
export const askedFaces: z.ZodType<AskedFaces> = fields<AskedFaces>({
  ...faceShape,
  which: kindOf<WhichFaces>((value) => (value === 'each' ? oneAnswer : whichFaces)).optional(),
  onNoFace: word('error', 'whole').optional(),
});
export const pictureFaces: z.ZodType<PictureFaces> = kindOf<PictureFaces>((value) =>
  typeof value === 'string' ? word('off', 'cropped') : askedFaces,
);

export function resolveFaceOptions(options: FaceOptions): ResolvedFaceOptions {
  const { which = 'main', margin = 0.25, size = 448, align = true, minSide = 0 } = options;
  const { smallFaces = false, orientation = 'exif', refine = true } = options;
  const { minScore, detector } = options;
  return {
    ...{ which, margin, size, align, minSide, smallFaces, orientation, refine },
    ...{ minScore, detector },
  };
}

/** What is left open is as `recorded`, of a training on chips, where there was one. */
export function resolveAskedFaces(
  given: AskedFaces,
  recorded: AskedFaces | 'off' = 'off',
): ResolvedAskedFaces {
  const own = Object.entries(given).filter(([, value]) => value !== undefined);
  const base = recorded === 'off' ? {} : recorded;
  const faces: AskedFaces = { ...base, ...(Object.fromEntries(own) as AskedFaces) };
  return { ...resolveFaceOptions(faces), onNoFace: faces.onNoFace ?? 'error' };
}

/** Of a request: its own, else as recorded. */
export function resolvePictureFaces(
  given: PictureFaces | undefined,
  recorded: ResolvedAskedFaces | 'off' = 'off',
): ResolvedAskedFaces | 'off' | 'cropped' {
  if (given === undefined) return recorded;
  return typeof given === 'string' ? given : resolveAskedFaces(given, recorded);
}

/** As JSON holds it: a detector of the caller's by its name. */
export function faceSettings(
  faces: ResolvedFaceOptions,
): Readonly<Record<string, string | number | boolean | null>> {
  const { which, margin, size, align, minSide, smallFaces, orientation, refine } = faces;
  const { detector, minScore = null } = faces;
  return {
    ...{ which, margin, size, align, minScore, minSide, smallFaces, orientation, refine },
    detector: detector === undefined ? 'blazeface' : detector.name || 'custom',
  };
}
