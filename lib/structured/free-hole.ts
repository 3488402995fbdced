/** A place in an answer that takes any text of a kind: which ids may come next, and when it is full. */
import type { TextTokens } from './text-tokens.js';

export interface FreeHole {
  /** Text of the value so far, what closes it included where it closes itself. */
  readonly text: string;
  readonly isClosed: boolean;
  /** Bits of the ids that may come next; never none while it is open. */
  mask(): Uint32Array | Promise<Uint32Array>;
  /** @param bytes of an id that the mask allowed; what goes beyond the hole's end is left out */
  take(bytes: Uint8Array, id: number): void;
  /** It is asked no longer. */
  close?(): void;
}

export interface HoleContext {
  readonly tokens: TextTokens;
  /** Of the model. */
  readonly vocabSize: number;
  /** How the text may go on after the hole: a token that goes on must go on so. */
  readonly after: readonly string[];
}

/** Whether a text after a hole's end is the beginning of one that may follow. */
export function goesOn(rest: string, after: readonly string[]): boolean {
  return rest === '' || after.some((text) => text.startsWith(rest));
}
