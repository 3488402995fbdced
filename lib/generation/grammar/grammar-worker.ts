/** The thread of the grammars: masks of 150,000 ids take milliseconds each, which the event loop is spared. */
import { parentPort, workerData } from 'node:worker_threads';

import {
  automatonOf,
  type Grammar,
  GrammarTooLarge,
  Matcher,
  PlaceTable,
  SortedVocabulary,
  TooManyWays,
} from '../../structured/index.js';
import type { GrammarMessage, GrammarReply, GrammarRequest, GrammarSetup } from './messages.js';

/** Grammars whose places are kept. */
const MOST_GRAMMARS = 64;
/** Ways followed for one request: some two seconds; what people ask takes a thousandth. */
const MOST_WORK = 10_000_000;

const port = parentPort;
if (port === null) throw new Error('this file runs in a worker thread only');

class GrammarServer {
  readonly #vocabulary: SortedVocabulary;
  readonly #bytes: readonly Uint8Array[];
  readonly #eosIds: readonly number[];
  /** Least recently used first. */
  readonly #tables = new Map<string, PlaceTable>();
  readonly #matchers = new Map<number, Matcher>();

  constructor({ bytes, offsets, eosIds }: GrammarSetup) {
    this.#bytes = Array.from({ length: offsets.length - 1 }, (_, id) =>
      bytes.subarray(offsets[id], offsets[id + 1]),
    );
    this.#vocabulary = new SortedVocabulary(this.#bytes);
    this.#eosIds = eosIds;
  }

  close(matcher: number): void {
    this.#matchers.delete(matcher);
  }

  answer(asked: GrammarRequest): Uint32Array {
    if (asked.kind === 'check') return this.#mask(new Matcher(this.#table(asked.grammar)));
    if (asked.kind === 'match') {
      const matcher = new Matcher(this.#table(asked.grammar));
      return Uint32Array.of(Number(matcher.take(Buffer.from(asked.text)) && matcher.mayEnd));
    }
    if (asked.kind === 'open') {
      const matcher = new Matcher(this.#table(asked.grammar));
      this.#matchers.set(asked.matcher, matcher);
      take(matcher, Buffer.from(asked.begun));
      for (const id of asked.ids) take(matcher, this.#bytes[id]);
      return this.#mask(matcher);
    }
    const matcher = this.#matchers.get(asked.matcher);
    if (matcher === undefined) throw new RangeError('there is no such matcher');
    matcher.allow(MOST_WORK);
    take(matcher, this.#bytes[asked.id]);
    return this.#mask(matcher);
  }

  /** A copy, with what ends the answer where it may end. */
  #mask(matcher: Matcher): Uint32Array {
    const words = matcher.mask().slice();
    if (matcher.mayEnd) {
      for (const id of this.#eosIds) words[id >>> 5] = (words[id >>> 5] ?? 0) | (1 << (id & 31));
    }
    if (words.every((word) => word === 0)) throw new RangeError('no token may come');
    return words;
  }

  #table(grammar: Grammar): PlaceTable {
    const key = JSON.stringify(grammar);
    const table =
      this.#tables.get(key) ??
      new PlaceTable(automatonOf(grammar), this.#vocabulary, this.#bytes.length);
    table.allow(MOST_WORK);
    this.#tables.delete(key);
    this.#tables.set(key, table);
    const [oldest] = this.#tables.keys();
    if (this.#tables.size > MOST_GRAMMARS && oldest !== undefined) this.#tables.delete(oldest);
    return table;
  }
}

function take(matcher: Matcher, bytes: Uint8Array | undefined): void {
  if (bytes === undefined || !matcher.take(bytes)) {
    throw new RangeError('what has come is none of the grammar');
  }
}

const server = new GrammarServer(workerData as GrammarSetup);
const say = (reply: GrammarReply, transfer: ArrayBuffer[] = []): void =>
  port.postMessage(reply, transfer);

port.on('message', (message: GrammarMessage) => {
  if ('closed' in message) {
    server.close(message.closed);
    return;
  }
  const { request, asked } = message;
  try {
    const words = server.answer(asked);
    say({ request, words }, [words.buffer as ArrayBuffer]);
  } catch (error) {
    const isTooComplex = error instanceof GrammarTooLarge || error instanceof TooManyWays;
    const failed = error instanceof Error ? error.message : String(error);
    say({ request, failed, isTooComplex });
  }
});
say({ ready: true });
