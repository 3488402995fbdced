/**
 * The inside of a JSON string with its closing quote: UTF-8 as it is, escapes only where JSON needs them, in their shortest form.
 * What each id does there is worked out once for each state between bytes; counts of characters are laid over it.
 */
import { type FreeHole, goesOn, type HoleContext } from './free-hole.js';
import type { StringNode } from './node.js';
import { MaskBuilder, type TextTokens } from './text-tokens.js';

/** Between two bytes of a string. The numbers index {@link next}'s cases. */
const INSIDE = 0;
const ESCAPE = 1;
const U1 = 2; // \u
const U2 = 3; // \u0
const U3 = 4; // \u00
const U4_0 = 5; // \u000
const U4_1 = 6; // \u001
const ONE_MORE = 7;
const TWO_MORE = 8;
const THREE_MORE = 9;
// Second bytes that would be overlong, a surrogate or beyond Unicode are none.
const AFTER_E0 = 10;
const AFTER_ED = 11;
const AFTER_F0 = 12;
const AFTER_F4 = 13;
const STATES = 14;
const CLOSED = 14;
const DEAD = 15;

const within = (byte: number, least: number, most: number): boolean =>
  byte >= least && byte <= most;
const continues = (byte: number): boolean => within(byte, 0x80, 0xbf);
const isHex = (byte: number): boolean => within(byte, 0x30, 0x39) || within(byte, 0x61, 0x66);
/** \b \t \n \f \r have names of their own. */
const NAMED = new Set([0x38, 0x39, 0x61, 0x63, 0x64]);
const ESCAPES = new Set(Buffer.from('"\\bfnrt'));

function inside(byte: number): number {
  if (byte === 0x22) return CLOSED;
  if (byte === 0x5c) return ESCAPE;
  if (byte < 0x20) return DEAD;
  if (byte < 0x80) return INSIDE;
  if (within(byte, 0xc2, 0xdf)) return ONE_MORE;
  if (byte === 0xe0) return AFTER_E0;
  if (byte === 0xed) return AFTER_ED;
  if (within(byte, 0xe1, 0xef)) return TWO_MORE;
  if (byte === 0xf0) return AFTER_F0;
  if (within(byte, 0xf1, 0xf3)) return THREE_MORE;
  return byte === 0xf4 ? AFTER_F4 : DEAD;
}

function next(state: number, byte: number): number {
  const then = (isMet: boolean, target: number): number => (isMet ? target : DEAD);
  switch (state) {
    case INSIDE:
      return inside(byte);
    case ESCAPE:
      return byte === 0x75 ? U1 : then(ESCAPES.has(byte), INSIDE);
    case U1:
      return then(byte === 0x30, U2);
    case U2:
      return then(byte === 0x30, U3);
    case U3:
      return byte === 0x30 ? U4_0 : then(byte === 0x31, U4_1);
    case U4_0:
      return then(isHex(byte) && !NAMED.has(byte), INSIDE);
    case U4_1:
      return then(isHex(byte), INSIDE);
    case ONE_MORE:
      return then(continues(byte), INSIDE);
    case TWO_MORE:
      return then(continues(byte), ONE_MORE);
    case THREE_MORE:
      return then(continues(byte), TWO_MORE);
    case AFTER_E0:
      return then(within(byte, 0xa0, 0xbf), ONE_MORE);
    case AFTER_ED:
      return then(within(byte, 0x80, 0x9f), ONE_MORE);
    case AFTER_F0:
      return then(within(byte, 0x90, 0xbf), TWO_MORE);
    case AFTER_F4:
      return then(within(byte, 0x80, 0x8f), TWO_MORE);
    default:
      return DEAD;
  }
}

/** Where bytes lead from a state. */
interface Walk {
  readonly state: number;
  /** Characters that are whole by then. */
  readonly characters: number;
  /** Bytes up to the closing quote, with it. */
  readonly used: number;
}

function walk(state: number, bytes: Uint8Array): Walk {
  let characters = 0;
  for (let i = 0; i < bytes.length; i++) {
    state = next(state, bytes[i] ?? 0);
    if (state === DEAD) return { state, characters, used: i };
    if (state === CLOSED) return { state, characters, used: i + 1 };
    if (state === INSIDE) characters++;
  }
  return { state, characters, used: bytes.length };
}

/** Of all text ids, from one state. */
interface Effects {
  /** Places of ids that stay inside, and the characters that each needs room for. */
  readonly staying: Int32Array;
  readonly room: Uint8Array;
  /** Those that close it. */
  readonly closing: readonly {
    readonly place: number;
    readonly characters: number;
    readonly rest: string;
  }[];
}

const known = new WeakMap<TextTokens, (Effects | undefined)[]>();

function effectsOf(tokens: TextTokens, state: number): Effects {
  const all = known.get(tokens) ?? new Array<Effects | undefined>(STATES);
  known.set(tokens, all);
  return (all[state] ??= makeEffects(tokens, state));
}

function makeEffects(tokens: TextTokens, start: number): Effects {
  const staying: number[] = [];
  const room: number[] = [];
  const closing: Effects['closing'][number][] = [];
  tokens.bytes.forEach((bytes, place) => {
    const { state, characters, used } = walk(start, bytes);
    if (state === CLOSED) {
      const rest = Buffer.from(bytes.subarray(used)).toString();
      closing.push({ place, characters, rest });
    } else if (state !== DEAD) {
      staying.push(place);
      room.push(Math.min(255, characters + Number(state !== INSIDE)));
    }
  });
  return { staying: Int32Array.from(staying), room: Uint8Array.from(room), closing };
}

export class StringHole implements FreeHole {
  readonly #node: StringNode;
  readonly #context: HoleContext;
  readonly #bytes: number[] = [];
  #state = INSIDE;
  #characters = 0;

  constructor(node: StringNode, context: HoleContext) {
    this.#node = node;
    this.#context = context;
  }

  get text(): string {
    // Half a character at its end is none yet.
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    return decoder.decode(Uint8Array.from(this.#bytes), { stream: true });
  }

  get isClosed(): boolean {
    return this.#state === CLOSED;
  }

  mask(): Uint32Array {
    const { tokens, vocabSize, after } = this.#context;
    const { minLength, maxLength } = this.#node;
    const mask = new MaskBuilder(vocabSize);
    const { staying, room, closing } = effectsOf(tokens, this.#state);
    const left = maxLength - this.#characters;
    const missing = minLength - this.#characters;
    for (let i = 0; i < staying.length; i++) {
      if ((room[i] ?? 0) <= left) mask.allow(tokens.ids[staying[i] ?? 0] ?? 0);
    }
    for (const { place, characters, rest } of closing) {
      if (characters > left || characters < missing || !goesOn(rest, after)) continue;
      mask.allow(tokens.ids[place] ?? 0);
    }
    return mask.words;
  }

  take(bytes: Uint8Array): void {
    const { state, characters, used } = walk(this.#state, bytes);
    this.#bytes.push(...bytes.subarray(0, used));
    this.#state = state;
    this.#characters += characters;
  }
}
