/** Who gets the thread of the grammars: clients in turn, a bound of new ones, nobody who has left; and what each of them keeps there. */
import assert from 'node:assert/strict';

import { GrammarServer } from '../../lib/generation/grammar/grammar-server.js';
import { type GrammarClient, GrammarTurns } from '../../lib/generation/grammar/grammar-turns.js';
import { GrammarThread } from '../../lib/generation/index.js';
import type { Grammar } from '../../lib/structured/index.js';

const SETUP = { bytes: Buffer.from('ab'), offsets: new Uint32Array([0, 1, 2]), eosIds: [] };
/** Another grammar for each number; of more places, the greater. */
const grammar = (most: number): Grammar => ({
  root: { of: { of: { set: [[0x61, 0x62]] }, least: 0, most: 1 }, least: most, most },
  rules: {},
});
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("grammars' turns", () => {
  let turns: GrammarTurns;
  let areAnswering: boolean;
  let begun: string[];
  let ends: (() => void)[];
  beforeEach(() => {
    areAnswering = false;
    turns = new GrammarTurns(() => areAnswering);
    begun = [];
    ends = [];
  });

  const take = (
    label: string,
    { kind = 'check', size = 1, ...client }: Partial<GrammarClient> & TakeOptions,
    signal?: AbortSignal,
  ): Promise<void> =>
    turns.take(
      { kind, grammar: grammar(size) },
      { client: { name: 'a', ...client }, signal },
      () => {
        begun.push(label);
        return new Promise<void>((resolve) => ends.push(resolve));
      },
    );
  interface TakeOptions {
    readonly kind?: 'check' | 'open';
    readonly size?: number;
  }
  const endAll = async (): Promise<string[]> => {
    for (let at = 0; ; at++) {
      await settled();
      const end = ends[at];
      if (end === undefined) return begun;
      end();
    }
  };

  it('one after the other; a flood of one client delays another by the one under way', async () => {
    const flood = Array.from({ length: 50 }, (_, i) => take(`a${i}`, { size: i }));
    await settled();
    const other = take('b', { name: 'b' });
    await settled();
    assert.deepEqual(begun, ['a0']);
    assert.deepEqual((await endAll()).slice(0, 3), ['a0', 'b', 'a1']);
    await Promise.all([...flood, other]);
    assert.equal(begun.length, 51);
  });

  it('beside an answer under way the thread is free for as long as a new grammar had it', async () => {
    areAnswering = true;
    const hadIt = 60;
    const both = [take('first', {}), take('second', { size: 2 })];
    await new Promise((resolve) => setTimeout(resolve, hadIt));
    const ended = performance.now();
    ends[0]?.();
    await both[0];
    while (begun.length < 2) await settled();
    // Timers are cut to whole milliseconds.
    assert.ok(performance.now() - ended >= hadIt - 2, `${performance.now() - ended}`);
    await endAll();
    await both[1];
  });

  it("a client's answers under way go before its new schemas, a batch's new ones behind everybody", async () => {
    const all = [
      take('first', {}),
      take('batch', { isBackground: true, name: 'b' }),
      take('new', {}),
      take('under way', { kind: 'open' }),
      take("a batch's answer", { isBackground: true, name: 'b', kind: 'open' }),
    ];
    assert.deepEqual(await endAll(), ['first', "a batch's answer", 'under way', 'new', 'batch']);
    await Promise.all(all);
  });

  it('so many new ones of a client at a time: equal ones count once, answers under way and batches not at all', async () => {
    const full = new Error('full');
    const bound = { most: 3, refusal: () => full };
    const all = [1, 2, 3, 3, 2].map((size) => take(`a${size}`, { size, bound }));
    await assert.rejects(take('a4', { size: 4, bound }), full);
    all.push(take('open', { size: 4, kind: 'open', bound }));
    all.push(take('b4', { size: 4, name: 'b', bound }));
    all.push(take('batch', { size: 6, isBackground: true }));
    await settled();
    ends[0]?.();
    await settled();
    // There is room again.
    all.push(take('a5', { size: 5, bound }));
    await assert.rejects(take('a6', { size: 6, bound }), full);
    await endAll();
    await Promise.all(all);
    assert.deepEqual([...begun].sort(), [
      'a1',
      'a2',
      'a2',
      'a3',
      'a3',
      'a5',
      'b4',
      'batch',
      'open',
    ]);
  });

  it('who leaves while waiting is gone, and has no part of the bound', async () => {
    const bound = { most: 2, refusal: () => new Error('full') };
    const leaves = new AbortController();
    const first = take('first', { bound });
    const gone = take('gone', { size: 2, bound }, leaves.signal);
    const left = new Error('left');
    leaves.abort(left);
    await assert.rejects(gone, left);
    const next = take('next', { size: 3, bound });
    assert.deepEqual(await endAll(), ['first', 'next']);
    await Promise.all([first, next]);
  });

  it('what fails gives its turn on', async () => {
    const failed = turns.take({ kind: 'check', grammar: grammar(1) }, {}, () =>
      Promise.reject(new Error('no grammar')),
    );
    await assert.rejects(failed, /no grammar/);
    const next = take('next', {});
    assert.deepEqual(await endAll(), ['next']);
    await next;
  });

  it('the thread itself: another client is answered behind one of fifty', async () => {
    const thread = new GrammarThread(() => SETUP);
    const told: string[] = [];
    const check = (name: string, size: number): Promise<unknown> =>
      thread.check(grammar(size), { client: { name } }).then(() => told.push(name));
    try {
      const flood = Array.from({ length: 50 }, (_, i) => check('a', 20 + i));
      await settled();
      await check('b', 5);
      assert.ok(told.indexOf('b') <= 1, told.join());
      await Promise.all(flood);
    } finally {
      await thread.dispose();
    }
  });

  it('one that ends while it waits opens nothing', async () => {
    const thread = new GrammarThread(() => SETUP);
    try {
      const first = thread.check(grammar(20));
      const matcher = thread.open(grammar(30), '');
      const mask = matcher.mask();
      matcher.close();
      await assert.rejects(mask, { code: 'FACELLM_CANCELLED' });
      await first;
    } finally {
      await thread.dispose();
    }
  });

  it('an answer that is left does not wait for its turn', async () => {
    const thread = new GrammarThread(() => SETUP);
    const leaves = new AbortController();
    try {
      const first = thread.check(grammar(20));
      const matcher = thread.open(grammar(30), '', { signal: leaves.signal });
      const mask = matcher.mask();
      const left = new Error('left');
      leaves.abort(left);
      await assert.rejects(mask, left);
      await first;
    } finally {
      await thread.dispose();
    }
  });
});

describe('what the thread of the grammars keeps of each client', () => {
  const serverOf = (mostKept?: number): GrammarServer =>
    new GrammarServer(SETUP, mostKept === undefined ? {} : { mostKept });
  const check = (server: GrammarServer, client: string | undefined, size: number): void =>
    void server.answer({ kind: 'check', grammar: grammar(size), client });
  /** Nothing has to be worked out again. */
  const isKept = (server: GrammarServer, client: string, size: number): boolean => {
    const before = server.kept;
    check(server, client, size);
    return server.kept === before;
  };

  it('whoever sends new ones all the time throws out its own', () => {
    const server = serverOf();
    for (const size of [500, 501]) check(server, 'b', size);
    for (let size = 1; size <= 200; size++) check(server, 'a', size);
    assert.ok(isKept(server, 'b', 500) && isKept(server, 'b', 501));
    assert.ok(isKept(server, 'a', 200) && !isKept(server, 'a', 1));
  });

  it('in bytes as in places', () => {
    const server = serverOf(1_000_000);
    check(server, 'b', 60);
    for (let size = 100; size <= 150; size++) check(server, 'a', size);
    assert.ok(server.kept <= 1_000_000);
    assert.ok(isKept(server, 'b', 60));
    assert.ok(!isKept(server, 'a', 100));
  });

  it('answers under way keep nothing that others have to give up for it', () => {
    const server = serverOf(1_000_000);
    check(server, 'b', 60);
    for (let matcher = 0; matcher < 8; matcher++) {
      const open = { kind: 'open', matcher, grammar: grammar(300 + matcher), begun: '' } as const;
      server.answer({ ...open, ids: [], client: 'a' });
    }
    for (let token = 0; token < 250; token++) {
      for (let matcher = 0; matcher < 8; matcher++) {
        server.answer({ kind: 'next', matcher, id: token % 2 });
        assert.ok(server.kept <= 1_000_000);
      }
    }
    assert.ok(isKept(server, 'b', 60));
  });

  it("what two of them ask for stays while either of them keeps it, and counts as each one's", () => {
    const server = serverOf();
    check(server, 'b', 500);
    for (let size = 1; size <= 200; size++) {
      if (size === 1) check(server, 'a', 500);
      check(server, 'a', size);
    }
    assert.ok(isKept(server, 'b', 500));
    // Alone it is the least recently used that goes, as where nobody says who asks.
    const alone = serverOf();
    check(alone, undefined, 500);
    for (let size = 1; size <= 64; size++) check(alone, undefined, size);
    assert.ok(!isKept(alone, '', 500));
  });
});
