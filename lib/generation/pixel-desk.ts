/**
 * Brings pixels to the engine where it has nothing that is made of them: once with the first request about a picture, and
 * again when it asks, because what it kept has made room for others meanwhile.
 */
import type { NativeImageInput, NativeModel, NativeRequest } from '../binding/native.js';
import type { FacesRecord } from '../faces/index.js';

export interface PixelSource {
  /** Pixels that were decoded just now and that no request has brought yet; undefined: there are none, or one has. */
  take(): Uint8Array | undefined;
  /** Decodes the picture again, from the bytes that it was known by. */
  decode(): Promise<Uint8Array>;
}

/** A picture that is named by its key. */
export interface PromptPicture extends Omit<NativeImageInput, 'rgb'> {
  readonly pixels: PixelSource;
}

/** What was seen of faces. */
export interface FacesSeen {
  /** Of each picture that was given, in their order; absent where faces are not looked for. */
  readonly faces?: readonly FacesRecord[];
}

export const facesOf = ({ faces }: FacesSeen): FacesSeen => (faces === undefined ? {} : { faces });

export interface PicturedPrompt extends FacesSeen {
  readonly ids: Int32Array;
  readonly images: readonly PromptPicture[];
}

export class PixelDesk {
  /** By the number of a request under way. */
  readonly #askers = new Map<number, (image: number) => void>();
  readonly #native: Pick<NativeModel, 'givePixels'>;

  constructor(native: Pick<NativeModel, 'givePixels' | 'onPixelsWanted'>) {
    this.#native = native;
    // The callback holds the map alone: a model that is forgotten can be collected.
    const askers = this.#askers;
    native.onPixelsWanted((request, image) => askers.get(request)?.(image));
  }

  /**
   * Makes a request, and decodes what it turns out to need. A picture that cannot be decoded any more ends it.
   *
   * @param send hands the pictures to the engine, at once
   */
  submit<T, Job extends NativeRequest<T> = NativeRequest<T>>(
    pictures: readonly PromptPicture[],
    send: (images: readonly NativeImageInput[]) => Job,
  ): Job {
    const job = send(pictures.map(({ pixels, ...image }) => ({ ...image, rgb: pixels.take() })));
    if (pictures.length === 0) return job;
    let failure: { readonly error: unknown } | undefined;
    const give = async (image: number): Promise<void> => {
      try {
        const rgb = await pictures[image]?.pixels.decode();
        // Gone before it came, with its model: nobody waits for it.
        if (rgb) await this.#native.givePixels(job.id, image, rgb).promise.catch(() => undefined);
      } catch (error) {
        failure ??= { error };
        job.cancel();
      }
    };
    this.#askers.set(job.id, (image) => void give(image));
    const finish = async (): Promise<T> => {
      const [outcome] = await Promise.allSettled([job.promise]);
      this.#askers.delete(job.id);
      // Whatever the engine made of a request that was stopped for it.
      if (failure !== undefined) throw failure.error;
      if (outcome.status === 'rejected') throw outcome.reason;
      return outcome.value;
    };
    return { ...job, promise: finish() };
  }
}
