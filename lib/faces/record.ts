/** What was found in a picture and what was made of it: part of every result, row and run that looked for faces. */
import type { NativePass } from '../binding/native.js';
import type { FaceBox, FacePoints, WhichFaces } from './options.js';

/**
 * `turned-left`, `turned-right`: to the person's own left or right; `profile`: far; `uncertain`: a second look disagreed
 * about the points; `too-small`: below `minSide`, and set aside.
 */
export type FaceFlag = 'turned-left' | 'turned-right' | 'profile' | 'uncertain' | 'too-small';

/** Where a chip lies: a point s of the picture is [[a, -b], [b, a]] s + (tx, ty) in the chip's unit square. */
export interface ChipPlace {
  /** Of its edge, in pixels of the picture. */
  readonly side: number;
  readonly a: number;
  readonly b: number;
  readonly tx: number;
  readonly ty: number;
  /** Share outside the picture, which is black; null where it was not cut. */
  readonly outside: number | null;
}

export interface FaceRecord {
  /** From the left, from 0. */
  readonly index: number;
  readonly box: FaceBox;
  readonly points: FacePoints;
  readonly score: number;
  /** Which look found it: `custom` is a detector of the caller's. */
  readonly pass: NativePass | 'custom';
  /** Degrees that the head leans to its left. */
  readonly roll: number;
  /** Of the nose from the eyes' middle, in distances of the eyes, positive towards the person's left. */
  readonly noseOffset: number;
  readonly flags: readonly FaceFlag[];
  readonly chip: ChipPlace;
}

export interface FacesRecord {
  readonly detector: {
    readonly name: string;
    /** sha256 of the weight files; none of a detector of the caller's. */
    readonly weights: Readonly<Record<string, string>>;
  };
  /** Pixels, upright by EXIF; all coordinates are theirs. */
  readonly width: number;
  readonly height: number;
  /** Clockwise, that make it upright: other than 0 only with `orientation: 'auto'`. */
  readonly quarterTurns: number;
  readonly passes: readonly (NativePass | 'custom')[];
  readonly which: WhichFaces;
  readonly margin: number;
  readonly size: number;
  readonly align: boolean;
  readonly minScore: { readonly short: number; readonly full: number };
  readonly minSide: number;
  /** Those set aside included. */
  readonly found: number;
  /** Indices of the faces taken, in their order. */
  readonly used: readonly number[];
  /** From the left. */
  readonly faces: readonly FaceRecord[];
}
