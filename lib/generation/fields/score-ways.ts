/**
 * The exact probability of each way in which an answer may go on. Each is written behind what stands there and encoded whole, by the
 * model's own tokenizer: ways are scored from the first token in which they differ to the one that holds the byte which
 * settles them. That is exact also where a token reaches over the seam.
 */
import { settle } from '../../binding/settle.js';
import { encodeAnswer, type FieldsContext, OutOfTokens } from './engine-context.js';

export interface WayText {
  /** Behind what stands there, in NFC. */
  readonly text: string;
  /** Bytes of `text` that settle it; more than it has: the end of the answer does. */
  readonly settledBy: number;
}

export interface WayScore {
  /** Natural log of the probability that the model goes on so. */
  readonly logProb: number;
  /** The same for ways that are the same as far as they are settled. */
  readonly place: number;
  readonly tokens: number;
}

/**
 * @param written what stands there, in NFC
 * @returns of each way
 * @throws OutOfTokens where no way fits the answer's limit
 */
export async function scoreWays(
  context: FieldsContext,
  written: string,
  ways: readonly WayText[],
): Promise<readonly WayScore[]> {
  const { native, pixels, prompt, signal, endId } = context;
  const before = Buffer.byteLength(written);
  const branches = await Promise.all(
    ways.map(async ({ text, settledBy }) => {
      const { ids, ends } = await encodeAnswer(context, written + text);
      const last = ends.findIndex((end) => end >= before + settledBy);
      return last < 0 ? [...ids, endId] : ids.slice(0, last + 1);
    }),
  );
  signal?.throwIfAborted();
  const shared = sharedLength(branches);
  checkRoom(context, branches, shared);
  // Ways of one beginning may be the same as far as they are settled.
  const places = new Map<string, number>();
  const rests: Int32Array[] = [];
  const placeOf = branches.map((ids) => {
    const rest = ids.slice(shared);
    const key = rest.join(' ');
    const place = places.get(key) ?? rests.push(Int32Array.from(rest)) - 1;
    places.set(key, place);
    return place;
  });
  const ids = Int32Array.from([...prompt.ids, ...(branches[0] ?? []).slice(0, shared)]);
  const job = pixels.submit(prompt.images, (images) =>
    native.choose({
      prompt: { ids, images },
      adapters: context.adapters,
      choices: rests,
      usesPrefixCache: context.usesPrefixCache,
      prefixGroup: 0,
    }),
  );
  const result = await settle(job, signal);
  context.cost.add(result.timings, result.peakBytes);
  context.cost.cachedTokens ??= Math.min(result.cachedTokens, prompt.ids.length);
  context.cost.imageTokens = result.imageTokens;
  return placeOf.map((place) => ({
    logProb: result.logProbs[place] ?? -Infinity,
    place,
    tokens: rests[place]?.length ?? 0,
  }));
}

/** Log of the probability of any of several ways; those that are the same count once. */
export function logProbOfAny(scores: readonly WayScore[]): number {
  const logProbs = [...new Map(scores.map(({ place, logProb }) => [place, logProb])).values()];
  const top = Math.max(...logProbs);
  if (top === -Infinity) return top;
  return top + Math.log(logProbs.reduce((sum, one) => sum + Math.exp(one - top), 0));
}

/** Bytes up to the one in which a text differs from every other. */
export function settledBy(text: string, others: readonly string[]): number {
  let characters = 0;
  for (const other of others) {
    let same = 0;
    while (same < text.length && text[same] === other[same]) same++;
    characters = Math.max(characters, same + 1);
  }
  return Buffer.byteLength(text.slice(0, characters));
}

/** Tokens that all begin with; each keeps one of its own. */
function sharedLength(branches: readonly (readonly number[])[]): number {
  const [first = []] = branches;
  let length = Math.min(...branches.map((ids) => ids.length - 1));
  for (const ids of branches) {
    let same = 0;
    while (same < length && ids[same] === first[same]) same++;
    length = same;
  }
  return Math.max(0, length);
}

function checkRoom(
  { prompt, maxNewTokens, maxPositions }: FieldsContext,
  branches: readonly (readonly number[])[],
  shared: number,
): void {
  const longest = Math.max(...branches.map((ids) => ids.length));
  if (shared >= maxNewTokens || prompt.ids.length + longest > maxPositions) throw new OutOfTokens();
}
