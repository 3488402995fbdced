/**
 * A record as token ids and labels (docs/internvl3.md, section 11.1; LLaMA-Factory's intern_vl template):
 * source pieces (system and user turns, the assistant's head) are not learnt, answers are, with `<|im_end|>`
 * and the line feed after it. Pictures stay placeholders until a batch is made.
 */
import type { TrainingRecord } from '../data/index.js';
import { createError } from '../errors.js';
import type { TextCoder, TextSegment } from '../tokenizer/index.js';

/** Ids of a record; an entry of -1 stands for the next picture, `<img>` and `</img>` included. */
export interface EncodedRecord {
  readonly ids: Int32Array;
  /** 1 where the id is learnt. */
  readonly isLearnt: Uint8Array;
  /** With every picture expanded. */
  readonly length: number;
  readonly learntTokens: number;
}

export const IGNORED = -100;
const PICTURE = -1;

interface Piece {
  readonly ids: readonly number[];
  readonly isLearnt: boolean;
}

/** Cuts where a picture stands; text from outside never becomes a control token. */
async function encodeSource(coder: TextCoder, system: string, user: string): Promise<number[]> {
  const trusted = (text: string): TextSegment => ({ text, trusted: true });
  const outside = (text: string): TextSegment => ({ text, trusted: false });
  const runs: TextSegment[][] = [];
  let run: TextSegment[] = [];
  if (system !== '') {
    run.push(trusted('<|im_start|>system\n'), outside(system), trusted('<|im_end|>\n'));
  }
  run.push(trusted('<|im_start|>user\n'));
  user.split('<image>').forEach((text, k) => {
    if (k > 0) {
      runs.push(run);
      run = [];
    }
    if (text !== '') run.push(outside(text));
  });
  run.push(trusted('<|im_end|>\n<|im_start|>assistant\n'));
  runs.push(run);
  const encoded = await Promise.all(runs.map(async (segments) => coder.encodeSegments(segments)));
  return encoded.flatMap((ids, k) => (k === 0 ? [...ids] : [PICTURE, ...ids]));
}

/** Sources already encoded: a data set of face questions asks the same few again and again. */
export class SourceCache {
  static readonly #MOST = 10_000;
  readonly #known = new Map<string, Promise<number[]>>();

  encode(coder: TextCoder, system: string, user: string): Promise<number[]> {
    const key = JSON.stringify([system, user]);
    let source = this.#known.get(key);
    if (source === undefined) {
      source = encodeSource(coder, system, user);
      if (this.#known.size < SourceCache.#MOST) this.#known.set(key, source);
    }
    return source;
  }
}

/** LLaMA-Factory's share of the room left (docs/internvl3.md, section 11.1): source and target, cut. */
export function fitTurn(source: number, target: number, room: number): [number, number] {
  if (source + target <= room) return [source, target];
  if (target * 2 < room) return [room - target, target];
  if (source * 2 < room) return [source, room - source];
  const kept = Math.trunc((room * target) / (source + target));
  return [room - kept, kept];
}

/** Ids after a cut to `keep` expanded tokens, or undefined where a picture would lose some. */
function cutTail(
  ids: readonly number[],
  keep: number,
  tokensOf: (picture: number) => number,
  firstPicture: number,
): number[] | undefined {
  const kept: number[] = [];
  let length = 0;
  let picture = firstPicture;
  for (const id of ids) {
    length += id === PICTURE ? tokensOf(picture++) + 2 : 1;
    if (length > keep) return ids.slice(kept.length).includes(PICTURE) ? undefined : kept;
    kept.push(id);
  }
  return kept;
}

interface EncodedTurn {
  readonly source: readonly number[];
  readonly target: readonly number[];
  /** For which the source makes room. */
  readonly longest: number;
}

/**
 * A record with its own answer, then with each of `others` in its last one's place. All have one prompt: where the length limit
 * cuts it, as the longest of the answers needs.
 *
 * @param imageTokens of each picture of the record, without `<img>` and `</img>`
 * @returns undefined in the place of each where the length limit would cut image tokens
 */
export async function encodeAnswers(
  coder: TextCoder,
  record: TrainingRecord,
  others: readonly string[],
  imageTokens: readonly number[],
  options: { readonly system: string; readonly cutoffLength: number },
  sources: SourceCache = new SourceCache(),
): Promise<readonly (EncodedRecord | undefined)[]> {
  const system = record.system ?? options.system;
  const targetOf = async (text: string): Promise<readonly number[]> => [
    ...(await coder.encodeSegments([
      { text, trusted: false },
      { text: '<|im_end|>\n', trusted: true },
    ])),
  ];
  const turns = await Promise.all(
    record.turns.map(async ({ user, assistant }, i): Promise<EncodedTurn> => {
      const source = await sources.encode(coder, i === 0 ? system : '', user);
      const target = await targetOf(assistant);
      return { source, target, longest: target.length };
    }),
  );
  const last = turns.at(-1);
  const targets = [last?.target ?? [], ...(await Promise.all(others.map(targetOf)))];
  const longest = Math.max(...targets.map(({ length }) => length));
  return targets.map((target) => {
    const own = last === undefined ? [] : [{ ...last, target, longest }];
    return joinTurns([...turns.slice(0, -1), ...own], imageTokens, options.cutoffLength);
  });
}

/** As encodeAnswers, with the record's own answer alone. */
export async function encodeRecord(
  coder: TextCoder,
  record: TrainingRecord,
  imageTokens: readonly number[],
  options: { readonly system: string; readonly cutoffLength: number },
): Promise<EncodedRecord | undefined> {
  const [own] = await encodeAnswers(coder, record, [], imageTokens, options);
  return own;
}

function joinTurns(
  turns: readonly EncodedTurn[],
  imageTokens: readonly number[],
  cutoffLength: number,
): EncodedRecord | undefined {
  const tokensOf = (picture: number): number => imageTokens[picture] ?? 0;
  const pieces: Piece[] = [];
  let used = 0;
  let picture = 0;
  for (const { source, target, longest } of turns) {
    const pictures = source.filter((id) => id === PICTURE).length;
    let sourceLength = source.length;
    for (let k = 0; k < pictures; k++) sourceLength += tokensOf(picture + k) + 1;
    const room = cutoffLength - used;
    if (room <= 0) {
      // LLaMA-Factory drops the turns that are left; pictures among them would lose their tokens.
      if (pictures > 0) return undefined;
      continue;
    }
    const [keepSource, keepTarget] = fitTurn(sourceLength, longest, room);
    const cut = cutTail(source, keepSource, tokensOf, picture);
    if (cut === undefined) return undefined;
    pieces.push({ ids: cut, isLearnt: false });
    pieces.push({ ids: target.slice(0, keepTarget), isLearnt: true });
    used += keepSource + keepTarget;
    picture += pictures;
  }
  return joinPieces(pieces, tokensOf);
}

function joinPieces(
  pieces: readonly Piece[],
  tokensOf: (picture: number) => number,
): EncodedRecord {
  const count = pieces.reduce((sum, { ids }) => sum + ids.length, 0);
  const ids = new Int32Array(count);
  const isLearnt = new Uint8Array(count);
  let place = 0;
  let length = count;
  let learntTokens = 0;
  let picture = 0;
  for (const piece of pieces) {
    ids.set(piece.ids, place);
    if (piece.isLearnt) isLearnt.fill(1, place, place + piece.ids.length);
    place += piece.ids.length;
    learntTokens += piece.isLearnt ? piece.ids.length : 0;
    for (const id of piece.ids) if (id === PICTURE) length += tokensOf(picture++) + 1;
  }
  return { ids, isLearnt, length, learntTokens };
}

/** Ids and labels with every picture as `<img>`, its `<IMG_CONTEXT>`s and `</img>`. */
export function expandRecord(
  { ids, isLearnt, length }: EncodedRecord,
  imageTokens: readonly number[],
  controlTokens: ReadonlyMap<string, number>,
): { readonly ids: Int32Array; readonly labels: Int32Array } {
  const [start, context, end] = ['<img>', '<IMG_CONTEXT>', '</img>'].map((token) => {
    const id = controlTokens.get(token);
    if (id !== undefined) return id;
    throw createError(
      'FACELLM_TOKENIZER_INVALID',
      `the tokenizer has no ${token}; this is not an InternVL3 checkpoint's tokenizer`,
    );
  }) as [number, number, number];
  const expanded = new Int32Array(length);
  const labels = new Int32Array(length).fill(IGNORED);
  let place = 0;
  let picture = 0;
  ids.forEach((id, i) => {
    if (id !== PICTURE) {
      expanded[place] = id;
      if (isLearnt[i] === 1) labels[place] = id;
      place++;
      return;
    }
    const count = imageTokens[picture++] ?? 0;
    expanded[place] = start;
    expanded.fill(context, place + 1, place + 1 + count);
    expanded[place + 1 + count] = end;
    place += count + 2;
  });
  return { ids: expanded, labels };
}
