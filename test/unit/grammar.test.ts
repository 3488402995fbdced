/** Grammars of schemas: what random walks through their masks write is accepted by another validator; what kills the engine kills nothing else. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';

import { GrammarHole } from '../../lib/generation/fields/grammar-hole.js';
import { GrammarTooComplex, GrammarThread, grammarThread } from '../../lib/generation/index.js';
import {
  anyObject,
  automatonOf,
  type GrammarNode,
  grammarsIn,
  Matcher,
  PlaceTable,
  plainText,
  readPattern,
  readSchema,
  SortedVocabulary,
  TooManyWays,
} from '../../lib/structured/index.js';
import { Tokenizer } from '../../lib/tokenizer/index.js';
import { GOLDEN } from '../support/golden.js';

/** Small numbers of which each seed has its own row. */
function* numbersOf(seed: number): Generator<number> {
  for (let state = seed >>> 0; ;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

describe('grammars', () => {
  let tokenizer: Tokenizer;
  let thread: GrammarThread;
  let eosIds: readonly number[];
  before(async () => {
    tokenizer = await Tokenizer.load(join(GOLDEN, 'ckpt-300m'));
    eosIds = ['<|im_end|>', '<|endoftext|>'].flatMap(
      (name) => tokenizer.controlTokens.get(name) ?? [],
    );
    thread = grammarThread(tokenizer, tokenizer.vocabSize, eosIds);
  });
  after(() => thread.dispose());

  const nodeOf = (schema: unknown): GrammarNode => {
    const { node, problems } = readSchema(schema);
    assert.ok(node?.kind === 'grammar', JSON.stringify(problems ?? node));
    return node;
  };

  /**
   * Walks through the masks; after a while the least bytes that may come, and ends where it may, so that recursions end, too.
   *
   * @returns the whole value
   */
  async function walk(node: GrammarNode, after: readonly string[], seed: number): Promise<string> {
    const hole = new GrammarHole(node, { after }, thread, eosIds);
    const numbers = numbersOf(seed);
    const control = new Set(tokenizer.controlTokens.values());
    try {
      for (let i = 0; !hole.isClosed; i++) {
        assert.ok(i < 2000, `no end after ${node.lead}${hole.text.slice(0, 200)}`);
        const words = await hole.mask();
        const allowed: number[] = [];
        for (let id = 0; id < tokenizer.vocabSize; id++) {
          if ((((words[id >>> 5] ?? 0) >>> (id & 31)) & 1) === 1) allowed.push(id);
        }
        assert.ok(allowed.every((id) => eosIds.includes(id) || !control.has(id)));
        const ends = allowed.filter((id) => eosIds.includes(id));
        const beginning = (with_: RegExp): number[] =>
          allowed.filter((id) =>
            with_.test(Buffer.from(tokenizer.tokenBytes(id) ?? []).toString()),
          );
        // What ends a value first, then what any pattern here can end with.
        const ways = [
          ends,
          beginning(/^"/),
          beginning(/^[\da-dxyz.é]{1,3}$/),
          beginning(/^[\]}]/),
          allowed,
        ];
        const from = (i < 12 ? allowed : ways.find((way) => way.length > 0)) ?? [];
        const id = from[Math.floor((numbers.next().value ?? 0) * from.length)] ?? -1;
        hole.take(tokenizer.tokenBytes(id) ?? new Uint8Array(), id);
      }
      return node.lead + hole.text;
    } finally {
      hole.close();
    }
  }

  const TREE = {
    $defs: {
      node: {
        type: 'object',
        properties: {
          name: { type: 'string', maxLength: 5 },
          children: { type: 'array', items: { $ref: '#/$defs/node' } },
        },
        required: ['name', 'children'],
      },
    },
    $ref: '#/$defs/node',
  };
  const SCHEMAS: readonly (readonly [name: string, schema: object])[] = [
    ['a pattern', { type: 'string', pattern: '^[A-Z][a-z]{1,6}( [A-Z]\\.)?$' }],
    ['a pattern anywhere', { type: 'string', pattern: '\\d{3}|x"y\\\\' }],
    ['a pattern of lines', { type: 'string', pattern: '^.{4}\\S{3}[^é]$' }],
    [
      'a pattern of letters',
      { type: 'string', pattern: '^[à-ÿ]+[一-龥]{2}[^é]é[\\u{1F600}-\\u{1F64F}]$' },
    ],
    ['a pattern of everything', { type: 'string', pattern: '^[^a-z]{0,9}$' }],
    ['an endless list', { type: 'array', items: { type: 'string', minLength: 1, maxLength: 9 } }],
    ['a long list', { type: 'array', items: { type: 'boolean' }, minItems: 70, maxItems: 80 }],
    [
      'numbers or nothing',
      { type: 'array', items: { type: 'number', minimum: -0.5, maximum: 12.25 }, maxItems: 4 },
    ],
    [
      'whole numbers',
      { type: 'array', items: { type: 'integer', exclusiveMinimum: -1200, maximum: 98_765 } },
    ],
    ['a number', { type: 'number', exclusiveMinimum: 0.001, exclusiveMaximum: 1 }],
    ['a number or nothing', { type: ['number', 'null'] }],
    ['a recursion', TREE],
    [
      'itself',
      {
        type: 'object',
        properties: { next: { anyOf: [{ $ref: '#' }, { type: 'null' }] }, v: { enum: [1, 2] } },
        required: ['next'],
      },
    ],
    [
      'texts beside texts',
      {
        anyOf: [
          { type: 'string', maxLength: 3 },
          { const: 'other' },
          { type: 'integer', minimum: 0, maximum: 5000 },
        ],
      },
    ],
    [
      'told by a property',
      {
        oneOf: [
          { properties: { x: { type: 'string' }, kind: { const: 'a' } }, required: ['kind', 'x'] },
          { properties: { x: { type: 'string' }, kind: { const: 'b' } }, required: ['kind'] },
        ],
      },
    ],
    [
      'options',
      {
        type: 'array',
        prefixItems: [{ type: 'string' }, { type: 'integer' }],
        items: { type: 'null' },
        minItems: 1,
      },
    ],
  ];
  for (const [name, schema] of SCHEMAS) {
    it(`${name}: whatever the masks allow is of the schema`, async () => {
      const closed = closedOf(schema);
      const accepts = new Ajv2020({ strict: false }).compile(closed as object);
      const node = nodeOf(schema);
      for (let seed = 0; seed < 12; seed++) {
        for (const after of [[''], [',"next":"', '}']]) {
          const text = await walk(node, after, seed);
          const value: unknown = JSON.parse(text);
          assert.ok(accepts(value), `${text}: ${JSON.stringify(accepts.errors)}`);
        }
      }
    });
  }

  it('formats: dates that there are, times, and UUIDs', async () => {
    for (let seed = 0; seed < 25; seed++) {
      const date = JSON.parse(
        await walk(nodeOf({ type: 'string', format: 'date' }), [''], seed),
      ) as string;
      assert.equal(new Date(`${date}T00:00:00Z`).toISOString().slice(0, 10), date);
      const at = JSON.parse(
        await walk(nodeOf({ type: 'string', format: 'date-time' }), [''], seed),
      ) as string;
      assert.ok(!Number.isNaN(Date.parse(at)), at);
      const id = JSON.parse(
        await walk(nodeOf({ type: 'string', format: 'uuid' }), [''], seed),
      ) as string;
      assert.match(id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    }
  });

  it('any object; a text of a pattern alone', async () => {
    for (let seed = 0; seed < 8; seed++) {
      const value: unknown = JSON.parse(await walk(anyObject(), [''], seed));
      assert.ok(typeof value === 'object' && value !== null && !Array.isArray(value));
      const read = readPattern('[a-c]+"\\n?', false, true);
      assert.ok('expression' in read);
      assert.match(await walk(plainText(read.expression), [''], seed), /^[a-c]+"\n?$/);
    }
  });

  it('patterns take the texts that JavaScript says they have, and no others', () => {
    const atom = fc.constantFrom('a', '[b-d]', '\\d', '[^\\w]', '\\.', '.', '(?:x|yz)', '\\u00e9');
    const times = fc.constantFrom('', '*', '+?', '?', '{2}', '{1,3}', '{2,}', '{0}');
    const part = fc.tuple(atom, times).map(([one, often]) => one + often);
    const sequence = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''));
    const group = fc.tuple(fc.array(sequence, { minLength: 1, maxLength: 3 }), times);
    const pattern = group.map(([ways, often]) => `(${ways.join('|')})${often}x?`);
    const letters = fc.string({
      unit: fc.constantFrom(...Array.from('abcdxyz0_.é \\"一😀\u2028')),
      maxLength: 8,
    });
    const vocabulary = new SortedVocabulary([]);
    const MOST_LETTERS = 12;
    fc.assert(
      fc.property(
        pattern.chain((source) => {
          const wanted = fc.stringMatching(new RegExp(`^${source}$`, 'u'));
          return fc.tuple(
            fc.constant(source),
            fc.array(fc.oneof(wanted, letters), { minLength: 20 }),
          );
        }),
        ([source, texts]) => {
          const read = readPattern(source, false, true);
          assert.ok('expression' in read);
          const automaton = automatonOf({ root: read.expression, rules: {} });
          const table = new PlaceTable(automaton, vocabulary, 0);
          const whole = new RegExp(`^${source}$`, 'u');
          for (const text of texts) {
            // JavaScript tries every way of nested repetitions in turn: 2^n of a text that misses by its end.
            if (/[\0-\x1f\p{Cs}]/u.test(text) || text.length > MOST_LETTERS) continue;
            const matcher = new Matcher(table);
            const isMatched = matcher.take(Buffer.from(text)) && matcher.mayEnd;
            assert.equal(isMatched, whole.test(text), `${source} ${JSON.stringify(text)}`);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  const refused: readonly (readonly [pattern: string, kind: string])[] = [
    ['(', 'invalid'],
    ['[b-a]', 'invalid'],
    ['[^\\s\\S]', 'invalid'],
    ['a(?=b)', 'unsupported'],
    ['(?<!a)b', 'unsupported'],
    ['(a)\\1', 'unsupported'],
    ['\\bface\\b', 'unsupported'],
    ['\\p{L}', 'unsupported'],
    ['a^b', 'unsupported'],
    ['(a$)b', 'unsupported'],
    ['((a{100}){100}){100}', 'complex'],
    ['(){0,4000000000}x', 'complex'],
    ['(|){0,4000000000}x', 'complex'],
    ['a'.repeat(257), 'complex'],
    [`${'('.repeat(100)}a${')'.repeat(100)}`, 'complex'],
  ];
  for (const [pattern, kind] of refused) {
    it(`refuses the pattern ${pattern.slice(0, 20)}`, () => {
      const { problems = [] } = readSchema({ type: 'string', pattern });
      assert.deepEqual([problems[0]?.kind, problems[0]?.pointer], [kind, '#/pattern']);
    });
  }

  it('a pattern is one grammar wherever it stands, and what is too much ends the reading', () => {
    const propertiesOf = (count: number, of: (i: number) => object): object => ({
      properties: Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, of(i)])),
      $defs: { a: { type: 'string', pattern: '.'.repeat(250) } },
    });
    const day = { type: 'string', format: 'date' };
    const same = propertiesOf(200, (i) => (i % 2 === 0 ? { $ref: '#/$defs/a' } : day));
    const { node } = readSchema(same);
    assert.ok(node);
    const grammars = grammarsIn(node);
    assert.deepEqual([grammars.length, new Set(grammars).size], [200, 2]);
    const many = propertiesOf(200, (i) => ({ type: 'string', pattern: `${i}${'.'.repeat(200)}` }));
    const lists = propertiesOf(200, () => ({ type: 'array', items: { $ref: '#/$defs/a' } }));
    for (const [schema, pointer] of [
      [many, '#/properties/p16'],
      [lists, '#'],
    ] as const) {
      const { problems = [] } = readSchema(schema);
      assert.deepEqual(
        problems.map((problem) => [problem.kind, problem.pointer]),
        [['complex', pointer]],
      );
    }
  });

  it('hostile schemas are refused in time, or compile', async () => {
    const wide = (depth: number): Record<string, unknown> =>
      Object.fromEntries(
        Array.from({ length: depth }, (_, i) => [
          `d${i}`,
          { anyOf: Array.from({ length: 32 }, () => ({ $ref: `#/$defs/d${i + 1}` })) },
        ]),
      );
    const schemas: readonly object[] = [
      { $defs: { ...wide(14), d14: { type: 'string' } }, $ref: '#/$defs/d0' },
      { $defs: { a: { anyOf: [{ $ref: '#/$defs/a' }, { type: 'string' }] } }, $ref: '#/$defs/a' },
      { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] },
      { type: 'array', items: { type: 'string', pattern: '^(a|b|c){0,1000}$' }, maxItems: 1000 },
      {
        type: 'array',
        items: { type: 'array', items: { $ref: '#' }, maxItems: 1000, minItems: 1 },
        maxItems: 1000,
      },
      { type: 'string', pattern: '^((a*)*)*b$' },
      { type: 'string', pattern: '^(a?){1000}a{1000}$' },
      { type: 'array', items: { type: 'string', minLength: 60_000, maxLength: 2 ** 31 } },
      {
        properties: Object.fromEntries(
          Array.from({ length: 40 }, (_, i) => [`p${i}`, { type: 'string', pattern: `^a{${i}}$` }]),
        ),
      },
      {
        type: 'array',
        items: {
          anyOf: Array.from({ length: 32 }, (_, i) => ({ type: 'array', items: { const: i } })),
        },
      },
    ];
    for (const schema of schemas) {
      const { node, problems } = readSchema(schema);
      if (problems !== undefined) continue;
      for (const grammar of grammarsIn(node)) {
        await thread.check(grammar).catch((error: unknown) => {
          assert.ok(error instanceof GrammarTooComplex, String(error));
        });
      }
    }
    // Whatever it was, others are served.
    assert.match(await walk(nodeOf({ type: 'string', pattern: '^ab$' }), [''], 1), /^"ab"$/);
  });

  it('who asks too much is refused, and others are served', async () => {
    const left = {
      root: { rule: 'a' },
      rules: { a: { any: [{ all: [{ rule: 'a' }, { text: 'x' }] }] } },
    };
    const set = [[0x20, 0x7e]] as const;
    const many = { of: { of: { set }, least: 0, most: 1000 }, least: 0, most: 1000 };
    for (const grammar of [left, { root: many, rules: {} }]) {
      await assert.rejects(thread.check(grammar), GrammarTooComplex);
    }
    const node = nodeOf({ type: 'string', pattern: '^ab$' });
    assert.equal(await walk(node, [''], 1), '"ab"');
  });

  it('a blocked process blames nobody: an answer that lies there already counts', async () => {
    const offsets = new Uint32Array([0, 1, 2, 3, 4]);
    const bytes = Buffer.from('abcd');
    const calm = new GrammarThread(() => ({ bytes, offsets, eosIds: [] }), 2000);
    try {
      const [short, other] = ['ab', 'cd'].map((text) => ({ root: { text }, rules: {} }));
      assert.ok(short && other);
      await calm.check(short);
      const before = calm.generation;
      // Timers come next, and messages after them.
      await new Promise(setImmediate);
      const work = calm.check(other);
      // It has its turn, and is sent.
      await new Promise<void>((resolve) => process.nextTick(resolve));
      // Longer than a request may take: its timer fires before the reply is read.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2500);
      await work;
      assert.equal(calm.generation, before);
    } finally {
      await calm.dispose();
    }
  });

  it('a thread that hangs is given up, and what it hung at is not tried again', async () => {
    const offsets = new Uint32Array([0, 1, 2, 3, 4]);
    const bytes = Buffer.from('abcd');
    // No thread writes out so many states in a millisecond.
    const hasty = new GrammarThread(() => ({ bytes, offsets, eosIds: [] }), 1);
    try {
      const grammar = { root: { text: 'a'.repeat(190_000) }, rules: {} };
      await assert.rejects(hasty.check(grammar), GrammarTooComplex);
      const { generation } = hasty;
      assert.equal(generation, 1);
      await assert.rejects(hasty.check(grammar), GrammarTooComplex);
      assert.equal(hasty.generation, generation);
    } finally {
      await hasty.dispose();
    }
  });

  it('a text is wholly of a grammar, or not', async () => {
    const { grammar } = nodeOf({ type: 'string', pattern: '^(e\u0301|ab)$' });
    const texts = ['"e\u0301"', '"ab"', '"\u00e9"', '"a', '"ab"x', ''];
    const are = await Promise.all(texts.map((one) => thread.matches(grammar, one)));
    assert.deepEqual(are, [true, true, false, false, false, false]);
  });

  it('what was too much is not tried again', async () => {
    const set = [[0x20, 0x7e]] as const;
    const many = { of: { of: { set }, least: 0, most: 900 }, least: 0, most: 900 };
    const own = grammarThread(tokenizer, tokenizer.vocabSize, eosIds);
    try {
      await assert.rejects(own.check({ root: many, rules: {} }), GrammarTooComplex);
      const { generation } = own;
      await assert.rejects(own.check({ root: many, rules: {} }), GrammarTooComplex);
      const { root } = { root: structuredClone(many) };
      await assert.rejects(own.open({ root, rules: {} }, '').mask(), GrammarTooComplex);
      assert.equal(own.generation, generation);
    } finally {
      await own.dispose();
    }
  });

  it('work is counted, not timed: the same grammar is refused after as many ways, however slow the machine', () => {
    const vocabulary = new SortedVocabulary(['a', 'b', 'ab'].map((text) => Buffer.from(text)));
    const { grammar } = nodeOf({ type: 'string', pattern: '^(.?){50}$' });
    const spent = (work: number): boolean => {
      const table = new PlaceTable(automatonOf(grammar), vocabulary, 3);
      table.allow(work);
      try {
        const matcher = new Matcher(table);
        assert.ok(matcher.take(Buffer.from('"')));
        matcher.mask();
        return false;
      } catch (error) {
        assert.ok(error instanceof TooManyWays);
        return true;
      }
    };
    let [least, most] = [0, 1e6];
    assert.ok(spent(least) && !spent(most));
    while (most - least > 1) {
      const middle = (least + most) >> 1;
      if (spent(middle)) least = middle;
      else most = middle;
    }
    for (let i = 0; i < 3; i++) assert.deepEqual([spent(least), spent(most)], [true, false]);
  });

  it('the thread counts, too: it refuses what is too much itself, and goes on', async () => {
    // Each way over three classes, no two of them alike: places of thousands of ways, and other ones behind each letter.
    const letters = 'abcdefghijklmnopqrstuvwxyz';
    const without = (i: number): string => `[a-${letters[i % 24]}${letters[(i % 24) + 2]}-z]`;
    const ways = Array.from({ length: 9 }, (_, i) => [0, 1, 2].map((k) => without(3 * i + k)));
    const pattern = `^((${ways.map((way) => way.join('')).join('|')})?){450}$`;
    const { grammar } = nodeOf({ type: 'string', pattern });
    // As many ids as a large vocabulary has letters.
    const words = Array.from({ length: 26 ** 3 }, (_, i) =>
      [0, 1, 2].map((k) => letters[Math.floor(i / 26 ** k) % 26]).join(''),
    );
    const texts = ['"', ...Array.from(letters), ...words];
    const offsets = new Uint32Array(texts.length + 1);
    texts.forEach((text, i) => (offsets[i + 1] = (offsets[i] ?? 0) + text.length));
    const bytes = Buffer.from(texts.join(''));
    const own = new GrammarThread(() => ({ bytes, offsets, eosIds: [] }));
    try {
      const matcher = own.open(grammar, '');
      await matcher.mask();
      await assert.rejects(matcher.mask(0), GrammarTooComplex);
      assert.equal(own.generation, 0);
      await own.check({ root: { text: 'a' }, rules: {} });
      assert.equal(own.generation, 0);
    } finally {
      await own.dispose();
    }
  });

  it('a thread that dies takes with it what it died of, and nothing else', async () => {
    let starts = 0;
    const frail = new GrammarThread(() => {
      const offsets = new Uint32Array([0, 1, 2]);
      // Nobody can take apart what is no bytes.
      return starts++ === 0
        ? { bytes: null as never, offsets, eosIds: [] }
        : { bytes: Buffer.from('ab'), offsets, eosIds: [] };
    });
    const grammar = { root: { text: 'ab' }, rules: {} };
    const matcher = frail.open(grammar, '');
    const [died, mask] = await Promise.allSettled([frail.check(grammar), matcher.mask()]);
    assert.equal(died.status, 'rejected');
    assert.deepEqual(mask.status === 'fulfilled' && [...mask.value], [1]);
    assert.deepEqual([...(await matcher.mask(0))], [2]);
    assert.equal(starts, 2);
    await frail.dispose();
    await assert.rejects(frail.check(grammar), /disposed/);
  });
});

/** JSON schema takes more properties where nothing is said; answers here do not. */
function closedOf(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closedOf);
  if (typeof schema !== 'object' || schema === null) return schema;
  const copy = Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [
      key,
      key === 'const' || key === 'enum' ? value : closedOf(value),
    ]),
  );
  return 'properties' in copy ? { ...copy, type: 'object', additionalProperties: false } : copy;
}
