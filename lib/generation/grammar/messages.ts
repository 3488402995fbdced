/** What the thread of the grammars and its owner say to each other. */
import type { Grammar } from '../../structured/index.js';

/** What the thread is started with. */
export interface GrammarSetup {
  /** Bytes of all ids, one after the other, and where each begins; of control tokens and of ids without an entry none. */
  readonly bytes: Uint8Array;
  readonly offsets: Uint32Array;
  readonly eosIds: readonly number[];
}

/** A grammar that may have to be compiled. */
export interface OfGrammar {
  readonly grammar: Grammar;
  /** Whose it is: what is kept is shared out among clients. @default one for all that say nothing */
  readonly client?: string | undefined;
}

export type GrammarRequest =
  /** Whether it can be held to: its first mask. */
  | ({ readonly kind: 'check' } & OfGrammar)
  /** Whether a text is wholly of it: one word, 1 or 0. */
  | ({ readonly kind: 'match'; readonly text: string } & OfGrammar)
  /** Starts to match, after a text and after ids; gives the first mask. */
  | ({
      readonly kind: 'open';
      readonly matcher: number;
      readonly begun: string;
      readonly ids: readonly number[];
    } & OfGrammar)
  /** Takes an id; gives the next mask. */
  | { readonly kind: 'next'; readonly matcher: number; readonly id: number };

export type GrammarMessage =
  | { readonly request: number; readonly asked: GrammarRequest }
  /** Not answered. */
  | { readonly closed: number };

export type GrammarReply =
  | { readonly ready: true }
  | { readonly request: number; readonly words: Uint32Array }
  | { readonly request: number; readonly failed: string; readonly isTooComplex: boolean };
