/**
 * Pictures to the chips that a model sees. A picture that is asked about again is read and hashed, since a file may have
 * changed, but its faces are looked for once.
 */
import { createError } from '../errors.js';
import { ByteCache, decodeOpened, type ImageSource, OpenedImages } from '../image/index.js';
import { cutFaces, type DetectedFaces, keepChips } from './detect-faces.js';
import type { FaceDetector, ResolvedAskedFaces } from './options.js';
import type { FacesRecord } from './record.js';

export interface TakenFaces {
  /** Chips; the picture itself where it has none and is seen whole. */
  readonly pictures: readonly ImageSource[];
  readonly record: FacesRecord;
}

const CAPACITY = 64 * 2 ** 20;
/** Of a record, about. */
const RECORD_BYTES = 4096;

const REMEDY =
  "see the whole picture with faces: { onNoFace: 'whole' } (--on-no-face whole) or faces: 'off' (--faces off), or look harder: " +
  "smallFaces (--small-faces), orientation: 'auto' (--orientation auto), a lower minScore (--min-score)";

function reasonOf({ found, which }: FacesRecord): string {
  if (found === 0) return 'no face was found';
  const faces = found === 1 ? '1 face was found' : `${found} faces were found`;
  return typeof which === 'number'
    ? `${faces}, and none has the number ${which}, from 0, from the left`
    : `${faces}, all smaller than minSide`;
}

export class KnownFaces {
  readonly #kept = new ByteCache<DetectedFaces>(CAPACITY, ({ chips }) =>
    chips.reduce((sum, { data }) => sum + data.byteLength, RECORD_BYTES),
  );
  readonly #detectors = new WeakMap<FaceDetector, number>();
  #count = 0;

  /**
   * @param options upright by EXIF whatever else is asked
   * @param read pictures of the call
   * @throws ImageError FACELLM_NO_FACE, and what detectFaces throws
   */
  async take(
    source: ImageSource,
    options: ResolvedAskedFaces,
    reading: { readonly maxPixels?: number | undefined; readonly signal?: AbortSignal | undefined },
    read: OpenedImages = new OpenedImages(),
  ): Promise<TakenFaces> {
    const { maxPixels, signal } = reading;
    const { opened, key } = await read.get(source, { signal });
    const { onNoFace, ...looked } = options;
    const name = JSON.stringify([key, maxPixels, looked, this.#numberOf(options.detector)]);
    // One who asked may stop waiting; others who wait for the same picture do not.
    const cut = await this.#kept.get(name, async () => {
      const image = { key, ...(await decodeOpened(opened, { maxPixels })) };
      return keepChips(image, await cutFaces(image, looked));
    });
    signal?.throwIfAborted();
    const { chips, ...record } = cut;
    if (chips.length > 0) return { pictures: chips, record };
    if (onNoFace === 'whole') return { pictures: [source], record };
    throw createError('FACELLM_NO_FACE', `${opened.name}: ${reasonOf(record)}; ${REMEDY}`);
  }

  clear(): void {
    this.#kept.clear();
  }

  #numberOf(detector: FaceDetector | undefined): number {
    if (detector === undefined) return 0;
    const number = this.#detectors.get(detector) ?? ++this.#count;
    this.#detectors.set(detector, number);
    return number;
  }
}
