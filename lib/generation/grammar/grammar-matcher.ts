/** One answer's way through a grammar, whichever thread it is on. */
import type { Grammar } from '../../structured/index.js';
import type { GrammarAsker } from './grammar-turns.js';
import type { GrammarRequest } from './messages.js';

/** The thread, as an answer sees it. */
interface Answering {
  /** Of the worker: matchers of an earlier one are not there. */
  readonly generation: number;
  ask(asked: GrammarRequest, owner: GrammarMatcher, asker: GrammarAsker): Promise<Uint32Array>;
  forget(matcher: number): void;
}

interface Opened {
  readonly grammar: Grammar;
  /** Text that stands there already. */
  readonly begun: string;
  readonly asker: GrammarAsker;
}

export class GrammarMatcher {
  readonly #thread: Answering;
  readonly #number: number;
  readonly #opened: Opened;
  readonly #ids: number[] = [];
  #generation = -1;
  /** @internal */
  isClosed = false;

  /** @internal */
  constructor(thread: Answering, number: number, opened: Opened) {
    this.#thread = thread;
    this.#number = number;
    this.#opened = opened;
  }

  /**
   * The ids that may come next.
   *
   * @param id that has come since this was asked last; undefined: none yet
   * @throws GrammarTooComplex; the asker's reason while it waits for its turn
   */
  async mask(id?: number): Promise<Uint32Array> {
    if (id !== undefined) this.#ids.push(id);
    const isThere = id !== undefined && this.#generation === this.#thread.generation;
    const asked: GrammarRequest = isThere
      ? { kind: 'next', matcher: this.#number, id }
      : this.again();
    const words = await this.#thread.ask(asked, this, this.#opened.asker);
    this.#generation = this.#thread.generation;
    return words;
  }

  /** @internal from the beginning, on a thread that does not know it */
  again(): Extract<GrammarRequest, { kind: 'open' }> {
    const { grammar, begun, asker } = this.#opened;
    return {
      ...{ kind: 'open', matcher: this.#number, grammar, begun },
      ...{ ids: [...this.#ids], client: asker.client?.name },
    };
  }

  close(): void {
    this.isClosed = true;
    this.#thread.forget(this.#number);
  }
}
