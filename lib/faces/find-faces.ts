/** All faces of a decoded picture, from the left, with what is told of each. */
import { loadAddon } from '../binding/load.js';
import type { NativeFoundFace, NativePass } from '../binding/native.js';
import { settle } from '../binding/settle.js';
import type { DecodedImage } from '../image/index.js';
import { builtInDetector } from './detector.js';
import type { FacePoint, FacePoints, FoundFace, ResolvedFaceOptions } from './options.js';
import type { FaceFlag, FaceRecord, FacesRecord } from './record.js';

const POINTS = ['rightEye', 'leftEye', 'noseTip', 'mouth', 'rightEar', 'leftEar'] as const;
/** Of the nose's offset: no face that looked ahead was beyond the first (docs/faces.md). */
const TURNED = 0.2;
const PROFILE = 0.35;
const LEAST = { short: 0.5, full: 0.6 };

type Found = Omit<NativeFoundFace, 'pass'> & { readonly pass: NativePass | 'custom' };

interface Search {
  readonly detector: FacesRecord['detector'];
  readonly passes: FacesRecord['passes'];
  readonly quarterTurns: number;
  readonly faces: readonly Found[];
}

function toFound({ box, points = {}, score }: FoundFace): Found {
  const { x, y, width, height } = box;
  const { rightEye, leftEye, mouth } = points;
  const isWhole = rightEye !== undefined && leftEye !== undefined && mouth !== undefined;
  // A nose or an ear that nobody gave lies where it says nothing.
  const middle: FacePoint = isWhole
    ? { x: (rightEye.x + leftEye.x) / 2, y: (rightEye.y + leftEye.y) / 2 }
    : { x: x + width / 2, y: y + height / 2 };
  const all = POINTS.flatMap((name) => {
    const point = isWhole ? (points[name] ?? middle) : middle;
    return [point.x, point.y];
  });
  return {
    box: Float64Array.of(x, y, width, height),
    points: Float64Array.from(all),
    ...{ score, pass: 'custom', isUncertain: false },
  };
}

async function search(
  image: DecodedImage,
  options: ResolvedFaceOptions,
  signal: AbortSignal | undefined,
): Promise<Search> {
  const { detector, minScore } = options;
  if (detector !== undefined) {
    const { rgb, width, height } = image;
    const found = await detector({ data: rgb, width, height, channels: 3 });
    signal?.throwIfAborted();
    return {
      detector: { name: detector.name || 'custom', weights: {} },
      ...{ passes: ['custom'], quarterTurns: 0 },
      faces: found.filter(({ score }) => score >= (minScore ?? 0)).map(toFound),
    };
  }
  const { native, weights } = await builtInDetector();
  const job = native.find(image, {
    looksForAll: options.which !== 'main' && options.which !== 'largest',
    looksForSmall: options.smallFaces,
    isAnyWayUp: options.orientation === 'auto',
    refines: options.refine,
    leastShort: minScore ?? LEAST.short,
    leastFull: minScore ?? LEAST.full,
  });
  return { detector: { name: 'blazeface', weights }, ...(await settle(job, signal)) };
}

function flagsOf(face: Found, noseOffset: number, isTooSmall: boolean): FaceFlag[] {
  const turn = Math.abs(noseOffset);
  const side: FaceFlag = noseOffset > 0 ? 'turned-left' : 'turned-right';
  return [
    ...(turn > TURNED ? [side] : []),
    ...(turn > PROFILE ? (['profile'] as const) : []),
    ...(face.isUncertain ? (['uncertain'] as const) : []),
    ...(isTooSmall ? (['too-small'] as const) : []),
  ];
}

function describe(face: Found, options: ResolvedFaceOptions): Omit<FaceRecord, 'index'> {
  const { margin, align, minSide } = options;
  const place = loadAddon().alignFace(face, margin, align);
  const { a, b, tx, ty, side, roll, noseOffset } = place;
  const [x = 0, y = 0, width = 0, height = 0] = face.box;
  const point = (k: number): FacePoint => ({
    x: face.points[2 * k] ?? 0,
    y: face.points[2 * k + 1] ?? 0,
  });
  const points = Object.fromEntries(POINTS.map((name, k) => [name, point(k)]));
  return {
    box: { x, y, width, height },
    points: points as unknown as FacePoints,
    ...{ score: face.score, pass: face.pass, roll: (roll * 180) / Math.PI + 0, noseOffset },
    flags: flagsOf(face, noseOffset, side < minSide),
    // A record comes back from JSON as it is: there is no -0 in it.
    chip: { side, a, b: b + 0, tx, ty, outside: null },
  };
}

/** Everything but which faces are taken. Ties keep the detector's order, best first. */
export async function findFaces(
  image: DecodedImage,
  options: ResolvedFaceOptions,
  signal?: AbortSignal,
): Promise<Omit<FacesRecord, 'used'>> {
  const { detector, passes, quarterTurns, faces } = await search(image, options, signal);
  const { which, margin, size, align, minScore, minSide } = options;
  const ordered = faces
    .map((face) => describe(face, options))
    .sort((one, two) => one.box.x + one.box.width / 2 - (two.box.x + two.box.width / 2));
  return {
    detector,
    ...{ width: image.width, height: image.height, quarterTurns, passes },
    ...{ which, margin, size, align, minSide },
    minScore: { short: minScore ?? LEAST.short, full: minScore ?? LEAST.full },
    found: ordered.length,
    faces: ordered.map((face, index) => ({ index, ...face })),
  };
}
