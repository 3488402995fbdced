/** In which order grammars get the thread that compiles them: one at a time, clients in turn, each client's answers under way first. */
import { createHash } from 'node:crypto';

import { FairQueue } from '../../jobs/index.js';
import type { Grammar } from '../../structured/index.js';

/** As whom a grammar is asked for. Whoever says nothing is one client. */
export interface GrammarClient {
  readonly name: string;
  /** New grammars are compiled only where nobody else waits. @default false */
  readonly isBackground?: boolean | undefined;
  /** Of different grammars that requests which have not begun are compiled for or wait with at a time, and what one more is refused with. @default none */
  readonly bound?: { readonly most: number; readonly refusal: () => Error } | undefined;
}

export interface GrammarAsker {
  readonly client?: GrammarClient | undefined;
  /** Ends the wait for a turn. */
  readonly signal?: AbortSignal | undefined;
}

/** @returns the same for equal grammars */
export const keyOf = (grammar: Grammar): string =>
  createHash('sha256').update(JSON.stringify(grammar)).digest('base64');

interface Asked {
  /** `check`: no answer has begun yet. */
  readonly kind: 'check' | 'match' | 'open';
  readonly grammar: Grammar;
}

/** A row of the engine waits for its mask: before what has not begun. */
const UNDER_WAY = 1_000_000;
const NOBODY: GrammarClient = { name: '' };

export class GrammarTurns {
  readonly #queue = new FairQueue(1);
  readonly #areAnswering: () => boolean;
  /** Of each client that has a bound: new ones that are compiled or wait, and their keys where those were needed. */
  readonly #new = new Map<string, Map<Asked, string | undefined>>();

  /** @param areAnswering whether the tokens of an answer under way want the thread, which takes what it is sent in order */
  constructor(areAnswering: () => boolean) {
    this.#areAnswering = areAnswering;
  }

  /**
   * @param run the turn, which its promise ends
   * @throws the signal's reason; the client's refusal
   */
  async take<T>(asked: Asked, asker: GrammarAsker, run: () => Promise<T>): Promise<T> {
    const { client = NOBODY, signal = new AbortController().signal } = asker;
    const isNew = asked.kind === 'check';
    const isBounded = isNew && client.bound !== undefined;
    if (isBounded) this.#add(asked, client.name, client.bound);
    try {
      const leave = await this.#queue.enter({
        ...{ caller: client.name, cost: 1, rows: 1, signal },
        priority: isNew ? 0 : UNDER_WAY,
        isBackground: isNew && client.isBackground === true,
      });
      const began = performance.now();
      return await run().finally(() => {
        // As long again as it took belongs to those answers: else each token of theirs would wait for another new grammar.
        if (isNew && this.#areAnswering()) setTimeout(leave, performance.now() - began);
        else leave();
      });
    } finally {
      if (isBounded) this.#remove(asked, client.name);
    }
  }

  /** Equal ones count once; they are told by keys, which take time: only where there are many. */
  #add(asked: Asked, name: string, { most, refusal }: NonNullable<GrammarClient['bound']>): void {
    const own = this.#new.get(name) ?? new Map<Asked, string | undefined>();
    let key: string | undefined;
    if (own.size >= most) {
      key = keyOf(asked.grammar);
      for (const [one, known] of own) own.set(one, known ?? keyOf(one.grammar));
      const keys = new Set(own.values());
      if (keys.size >= most && !keys.has(key)) throw refusal();
    }
    own.set(asked, key);
    this.#new.set(name, own);
  }

  #remove(asked: Asked, name: string): void {
    const own = this.#new.get(name);
    own?.delete(asked);
    if (own?.size === 0) this.#new.delete(name);
  }
}
