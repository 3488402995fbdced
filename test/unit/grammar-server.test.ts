/** What the grammars' thread keeps and spends: no request takes more than its share, and nothing of a refused one stays. */
import assert from 'node:assert/strict';

import { type GrammarBounds, GrammarServer } from '../../lib/generation/grammar/grammar-server.js';
import {
  automatonOf,
  type Grammar,
  PlaceTable,
  SortedVocabulary,
  TooManyWays,
} from '../../lib/structured/index.js';

const A = 0;
const B = 1;
const bytes = Buffer.from('ab');
const offsets = new Uint32Array([0, 1, 2]);

const serverOf = (bounds: Partial<GrammarBounds> = {}): GrammarServer =>
  new GrammarServer({ bytes, offsets, eosIds: [] }, bounds);

/** As many ways at each place as characters may come still. */
const optional = (most: number): Grammar => {
  const one = { of: { set: [[0x61, 0x62]] as const }, least: 0, most: 1 };
  return { root: { of: one, least: most, most }, rules: {} };
};

const open = (grammar: Grammar, matcher = 0) =>
  ({ kind: 'open', matcher, grammar, begun: '', ids: [] }) as const;
const next = (id: number, matcher = 0) => ({ kind: 'next', matcher, id }) as const;

/** The least bound of work within which it is done. */
function leastWork(isDone: (work: number) => boolean): number {
  let [least, most] = [0, 2 ** 30];
  while (most - least > 1) {
    const middle = (least + most) >> 1;
    if (isDone(middle)) most = middle;
    else least = middle;
  }
  return most;
}

const isAnswered = (answer: () => unknown): boolean => {
  try {
    answer();
    return true;
  } catch {
    return false;
  }
};

describe("the grammars' server", () => {
  /** Each way of it costs as much behind each letter: the place is always a new one. */
  const grammar = optional(60);
  const opening = leastWork((mostWork) =>
    isAnswered(() => serverOf({ mostWork, tokenWork: 0 }).answer(open(grammar))),
  );

  it('each token gives work back, and no more than one request may take', () => {
    const opened = (tokenWork: number): GrammarServer => {
      const server = serverOf({ mostWork: opening, tokenWork });
      server.answer(open(grammar));
      return server;
    };
    const ids = Array.from({ length: 40 }, (_, i) => i % 2);
    const isWritten = (tokenWork: number): boolean => {
      const server = opened(tokenWork);
      return isAnswered(() => ids.forEach((id) => server.answer(next(id))));
    };
    assert.ok(isWritten(opening));
    // What the first request may take is all that the answer may, where tokens give nothing.
    assert.ok(!isWritten(0));
    assert.ok(leastWork(isWritten) > 1);
  });

  it('a next token that takes too much is refused, and its matcher and table are gone', () => {
    const server = serverOf({ mostWork: opening, tokenWork: 0 });
    server.answer(open(grammar));
    assert.ok(server.kept > 0);
    assert.throws(() => {
      for (let i = 0; i < 60; i++) server.answer(next(i % 2));
    }, TooManyWays);
    assert.equal(server.kept, 0);
    assert.throws(() => server.answer(next(A)), /no such matcher/);
  });

  it('of a refused grammar nothing is kept, whether its way is too wide or its work too much', () => {
    const server = serverOf();
    const wide = optional(12_000);
    const asked = [
      { kind: 'check', grammar: wide },
      { kind: 'match', grammar: wide, text: 'a' },
    ] as const;
    for (const one of [...asked, open(wide)]) {
      assert.throws(() => server.answer(one), TooManyWays);
      assert.equal(server.kept, 0, one.kind);
    }
    const poor = serverOf({ mostWork: opening - 1 });
    assert.throws(() => poor.answer(open(grammar)), TooManyWays);
    assert.equal(poor.kept, 0);
  });

  it('all tables together keep so much: the oldest go, and answers under way are written on', () => {
    const mostKept = 1_000_000;
    const server = serverOf({ mostKept });
    const plain = serverOf();
    const grammars = Array.from({ length: 20 }, (_, i) => optional(100 + i));
    grammars.forEach((one, i) => {
      assert.deepEqual(server.answer(open(one, i)), plain.answer(open(one, i)));
      for (const id of [A, B, A]) {
        for (const matcher of [0, i]) {
          assert.deepEqual(server.answer(next(id, matcher)), plain.answer(next(id, matcher)));
        }
      }
      assert.ok(server.kept <= mostKept, `${server.kept}`);
    });
    assert.ok(plain.kept > mostKept, `${plain.kept}`);
  });

  it('a closed answer whose grammar is forgotten keeps nothing', () => {
    const server = serverOf({ mostKept: 1 });
    server.answer(open(grammar));
    assert.ok(server.kept > 0);
    server.close(0);
    assert.equal(server.kept, 0);
  });

  it('work counts what is looked at: edges, states met again, and the sort', () => {
    const spent = (of: Grammar): number => {
      const table = new PlaceTable(automatonOf(of), new SortedVocabulary([]), 0);
      table.allow(2 ** 30);
      table.after(table.start(), 0x61);
      return 2 ** 30 - table.left;
    };
    // Characters that never follow each other: an edge each, of one state.
    const set = Array.from({ length: 40 }, (_, i) => [0x21 + 2 * i, 0x21 + 2 * i] as const);
    const edges = (count: number): number => spent({ root: { set: set.slice(-count) }, rules: {} });
    assert.equal(edges(40) - edges(20), 20);
    // Empty ways, which all end in one state: that is met again by each.
    const empty = (count: number): number =>
      spent({ root: { any: Array.from({ length: count }, () => ({ text: '' })) }, rules: {} });
    assert.ok(empty(40) - empty(20) >= 20 * 2 * 8);
    // n log n: twice as many ways are more than twice the work.
    const most = (count: number): number => spent(optional(count));
    assert.ok(most(2048) - 2 * most(1024) > 2048);
  });
});
