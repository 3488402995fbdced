/** The face detector's part of the contract. Coordinates are pixels of the picture, (0, 0) its outer corner. */
import type { NativeJob } from './native-job.js';

export interface NativePicture {
  /** RGB, `[height, width, 3]`. */
  readonly rgb: Uint8Array;
  readonly width: number;
  readonly height: number;
}

export interface NativeFindOptions {
  /** The full network even where the short one has found a large face. */
  readonly looksForAll: boolean;
  readonly looksForSmall: boolean;
  readonly isAnyWayUp: boolean;
  readonly refines: boolean;
  readonly leastShort: number;
  readonly leastFull: number;
}

export type NativePass = 'short' | 'full' | 'bordered' | 'squares';

export interface NativeFace {
  /** Left, top, width, height. */
  readonly box: Float64Array;
  /** x and y of right eye, left eye, nose tip, mouth, right ear, left ear: the person's. */
  readonly points: Float64Array;
}

export interface NativeFoundFace {
  readonly box: Float64Array;
  readonly points: Float64Array;
  readonly score: number;
  readonly pass: NativePass;
  /** The second look disagreed with the first, whose points are kept. */
  readonly isUncertain: boolean;
}

export interface NativeFoundFaces {
  /** Best first. */
  readonly faces: readonly NativeFoundFace[];
  readonly passes: readonly NativePass[];
  /** Clockwise, that make the picture upright. */
  readonly quarterTurns: number;
}

/** From the picture to the unit square of a chip: u = [[a, -b], [b, a]] s + t. */
export interface NativeSimilarity {
  readonly a: number;
  readonly b: number;
  readonly tx: number;
  readonly ty: number;
}

export interface NativeAlignment {
  readonly a: number;
  readonly b: number;
  readonly tx: number;
  readonly ty: number;
  /** Of the chip's edge, in pixels of the picture. */
  readonly side: number;
  /** Radians, whether or not the chip is turned. */
  readonly roll: number;
  /** Of the nose, in distances of the eyes, positive towards the person's left. */
  readonly noseOffset: number;
}

export interface NativeChip {
  /** `[size, size, 3]`. */
  readonly rgb: Uint8Array;
  /** Share that lies outside the picture, and is black. */
  readonly outside: number;
}

/** Works on threads beside the engine's, several pictures at a time. */
export interface NativeFaceDetector {
  find(picture: NativePicture, options: NativeFindOptions): NativeJob<NativeFoundFaces>;
  /** Every row of a network for the whole picture, 17 numbers each: for tests. */
  rows(picture: NativePicture, isFull: boolean): NativeJob<Float32Array>;
}
