/** A request's pictures with the memory that they take: room for what may come before it comes, and none of it kept after them. */
import { type PictureField, takePicture, type TakenPicture } from './picture-intake.js';
import type { RequestFacts } from './request-facts.js';
import type { EngineState } from './state.js';

/** What is taken for: of a request's work. */
export interface Taking {
  readonly exchange: { readonly state: EngineState; readonly facts: RequestFacts };
  readonly signal: AbortSignal;
  /** Waits for room for files, too. @default false */
  readonly isBackground?: boolean;
}

export interface TakenPictures {
  readonly images: readonly Uint8Array[];
  /** The room of their pixels: to be called once the engine has them; idempotent. */
  readonly givePixels: () => void;
  /** That of fetched files, too: to be called when nobody holds them any more; idempotent. */
  readonly giveAll: () => void;
}

/** Room for fetched files: gives so much of it back, or all that is left. @throws ApiError 429; the signal's reason */
async function roomForFiles(
  { exchange, signal, isBackground = false }: Taking,
  bytes: number,
): Promise<(part?: number) => void> {
  const { bodies, fetchedBehind } = exchange.state.admission;
  if (bytes === 0) return () => {};
  // Who has the time waits; nobody else does, with an open connection.
  if (isBackground) return fetchedBehind.take(bytes, signal);
  bodies.take(bytes);
  let left = bytes;
  return (part = left) => {
    bodies.give(Math.min(part, left));
    left -= Math.min(part, left);
  };
}

/**
 * All or none: where one cannot be taken, the others are not fetched any further.
 *
 * @throws what the first of them met; the signal's reason
 */
async function takeAll(
  { exchange, signal }: Taking,
  given: readonly PictureField[],
): Promise<readonly TakenPicture[]> {
  const failing = new AbortController();
  const either = AbortSignal.any([signal, failing.signal]);
  const results = await Promise.allSettled(
    given.map((one) =>
      takePicture(one, exchange.state.policy, either).catch((error: unknown) => {
        failing.abort(error);
        throw error;
      }),
    ),
  );
  signal.throwIfAborted();
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

/**
 * A request's pictures, checked, with room for their files and pixels.
 *
 * @throws ApiError of the first that cannot be taken
 */
export async function takePictures(
  work: Taking,
  given: readonly PictureField[],
): Promise<TakenPictures> {
  const { exchange, signal, isBackground = false } = work;
  const { state, facts } = exchange;
  const isFetched = ({ picture }: PictureField): boolean => 'address' in picture;
  const most = state.policy.remote?.mostBytes ?? 0;
  const room = most * given.filter(isFetched).length;
  const giveFiles = await roomForFiles(work, room);
  try {
    const pictures = await takeAll(work, given);
    const fetched = pictures.filter((_, i) => given[i] !== undefined && isFetched(given[i]));
    giveFiles(room - fetched.reduce((sum, { bytes }) => sum + bytes.length, 0));
    facts.imageBytes = pictures.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const memory = pictures.reduce((sum, { decodedBytes }) => sum + decodedBytes, 0);
    const { decoded, decodedBehind } = state.admission;
    const pixels = isBackground ? decodedBehind : decoded;
    const give = memory > 0 ? await pixels.take(memory, signal) : () => {};
    const givePixels = (): void => give();
    const giveAll = (): void => {
      give();
      giveFiles();
    };
    return { images: pictures.map(({ bytes }) => bytes), givePixels, giveAll };
  } catch (error) {
    giveFiles();
    throw error;
  }
}
