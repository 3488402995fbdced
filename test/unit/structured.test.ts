/** Schemas: what is read of them and what is refused; free places, on a real vocabulary, beside JSON.parse. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import fc from 'fast-check';
import { z } from 'zod';

import { beginsNumber, isNumber } from '../../lib/structured/number-hole.js';
import {
  NumberHole,
  type NumberNode,
  readSchema,
  readSettledSchema,
  type SchemaNode,
  StringHole,
  textTokens,
} from '../../lib/structured/index.js';
import { stepsPast } from '../../lib/structured/look-ahead.js';
import { leads } from '../../lib/structured/node.js';
import { Tokenizer } from '../../lib/tokenizer/index.js';
import { GOLDEN } from '../support/golden.js';

function nodeOf(schema: unknown): SchemaNode {
  const { node, problems } = readSchema(schema);
  assert.ok(node, JSON.stringify(problems));
  return node;
}

const textsOf = (schema: unknown): readonly string[] => {
  const node = nodeOf(schema);
  assert.equal(node.kind, 'values');
  return node.kind === 'values' ? node.values.map(({ text }) => text) : [];
};

describe('schemas', () => {
  it('enums, constants, booleans, null and small ranges are values, written compactly', () => {
    assert.deepEqual(textsOf({ enum: ['a', 1, null, 'a', [1, { b: 2 }]] }), [
      ...['"a"', '1', 'null', '[1,{"b":2}]'],
    ]);
    assert.deepEqual(textsOf({ const: 'é\n"' }), ['"é\\n\\""']);
    assert.deepEqual(textsOf({ type: 'boolean' }), ['true', 'false']);
    assert.deepEqual(textsOf({ type: 'integer', minimum: 1.5, exclusiveMaximum: 4 }), ['2', '3']);
    assert.deepEqual(textsOf({ type: ['boolean', 'null'] }), ['true', 'false', 'null']);
    assert.deepEqual(textsOf({ anyOf: [{ enum: ['a', 'b'] }, { type: 'null' }, { const: 'b' }] }), [
      ...['"a"', '"b"', 'null'],
    ]);
    assert.equal(textsOf({ type: 'integer', minimum: 1, maximum: 512 }).length, 512);
    assert.deepEqual(textsOf({ $ref: '#/$defs/a~1b', $defs: { 'a/b': { enum: ['x', 'y'] } } }), [
      '"x"',
      '"y"',
    ]);
  });

  it('larger ranges, and the bounds that zod writes for none', () => {
    const numberOf = (schema: object): NumberNode => {
      const list = nodeOf({ type: 'array', prefixItems: [schema] });
      return (list.kind === 'array' ? list.prefix[0] : list) as NumberNode;
    };
    const { kind, minimum, maximum } = numberOf({
      ...{ type: 'integer', minimum: -(2 ** 53 - 1), maximum: 2 ** 53 - 1 },
    });
    assert.deepEqual([kind, minimum, maximum], ['number', -Infinity, Infinity]);
    const wide = numberOf({ type: 'integer', exclusiveMinimum: 0, maximum: 513 });
    assert.deepEqual([wide.minimum, wide.maximum, wide.isAbove], [1, 513, false]);
  });

  it('what begins alike is told apart by text, and how objects go on', () => {
    const node = nodeOf({
      properties: { a: { type: 'string' }, b: { enum: ['x', 'y'] }, c: { const: 1 } },
      required: ['b', 'c'],
    });
    assert.deepEqual(
      leads(node, () => ['']),
      ['{"a":"', '{"b":"'],
    );
    const list = nodeOf({ type: 'array', items: { type: 'string' }, maxItems: 2 });
    assert.deepEqual(
      leads(list, () => ['}']),
      ['["', '[]}'],
    );
  });

  it('what follows is looked at once, however many ways lead there', () => {
    const nothing = { type: 'null' };
    const properties = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`p${i}`, nothing]));
    const branches = { anyOf: [nothing, { const: true }, { type: 'object' }] };
    const listOf = (items: object, maxItems = 64): object => ({ type: 'array', items, maxItems });
    for (const schema of [{ type: 'object', properties }, listOf(nothing), listOf(branches)]) {
      let asked = 0;
      const texts = leads(nodeOf(schema), () => {
        asked++;
        return ['.'];
      });
      assert.equal(asked, 1);
      assert.ok(texts.length > 1);
    }
    // Lists in lists multiply what there is to look at.
    let deep = listOf(nothing, 2);
    for (let i = 0; i < 4; i++) deep = listOf(deep);
    const { node } = readSchema(deep);
    assert.equal(node?.kind, 'array');
    assert.ok(JSON.stringify(node).includes('"kind":"grammar"'));
    assert.ok(stepsPast(nodeOf(listOf(listOf(listOf({ type: 'string' }))))) < 10);
  });

  const refused: readonly (readonly [
    name: string,
    schema: unknown,
    pointer: string,
    kind?: string,
  ])[] = [
    ['a keyword', { type: 'integer', multipleOf: 2 }, '#/multipleOf'],
    [
      'a keyword inside',
      { properties: { a: { type: 'string', contentEncoding: 'base64' } } },
      '#/properties/a/contentEncoding',
    ],
    ['lengths beside a pattern', { type: 'string', pattern: 'a', maxLength: 3 }, '#/maxLength'],
    ['a format', { type: 'string', format: 'uri' }, '#/format'],
    ['not', { not: { type: 'string' } }, '#/type'],
    ['allOf', { type: 'object', allOf: [] }, '#/allOf'],
    ['no type', {}, '#/type'],
    ['true', true, '#', 'invalid'],
    ['a type', { type: 'face' }, '#/type', 'invalid'],
    ['more properties', { type: 'object', additionalProperties: true }, '#/additionalProperties'],
    [
      'a list of very many',
      { type: 'array', items: { type: 'string' }, maxItems: 1001 },
      '#/maxItems',
      'complex',
    ],
    ['a property that is none', { type: 'object', required: ['x'] }, '#/required'],
    ['an empty enum', { enum: [] }, '#/enum', 'invalid'],
    [
      'what is itself',
      { $defs: { a: { $ref: '#/$defs/a' } }, $ref: '#/$defs/a' },
      '#/$defs/a/$ref',
      'invalid',
    ],
    [
      'what never ends',
      { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] },
      '#/properties/a/$ref',
      'invalid',
    ],
    ['a reference outside', { $ref: 'https://a.example/x' }, '#/$ref'],
    ['a reference to nothing', { $ref: '#/$defs/x' }, '#/$ref', 'invalid'],
    ['one of two texts', { oneOf: [{ type: 'string' }, { const: 'a' }] }, '#/oneOf'],
    ['no number', { type: 'number', minimum: 2, maximum: 1 }, '#/minimum', 'invalid'],
    ['values of another type', { type: 'integer', enum: [1, 'a'] }, '#/enum', 'invalid'],
    ['a constant of another type', { type: ['string', 'null'], const: 1 }, '#/const', 'invalid'],
    ['a type beside branches', { type: 'string', anyOf: [{ type: 'null' }] }, '#/type'],
    ['a value of two branches', { oneOf: [{ enum: [1, 2] }, { const: 2 }] }, '#/oneOf'],
    ['lengths', { type: 'string', minLength: 2, maxLength: 1 }, '#/minLength', 'invalid'],
    ['an exponent', { const: 1e30 }, '#/const'],
    ['1001 values', { enum: Array.from({ length: 1001 }, (_, i) => i) }, '#/enum', 'complex'],
  ];
  for (const [name, schema, pointer, kind = 'unsupported'] of refused) {
    it(`refuses ${name} by name`, () => {
      const { problems = [] } = readSchema(schema);
      assert.deepEqual([problems[0]?.pointer, problems[0]?.kind], [pointer, kind]);
      assert.ok(problems[0]?.message.startsWith(pointer));
    });
  }

  it('a format beside a pattern says the same in other words', () => {
    const { node } = readSchema({ type: 'string', format: 'email', pattern: '^a@b$' });
    assert.equal(node?.kind, 'grammar');
    for (const type of [z.uuid(), z.iso.date(), z.iso.datetime(), z.string().startsWith('a')]) {
      assert.equal(readSchema(z.toJSONSchema(type)).node?.kind, 'grammar');
    }
    for (const [format, pattern] of [
      ['date', '^2'],
      ['uuid', '[0-9a-f]+'],
      ['uri', '^https:'],
      [1, 'a'],
    ]) {
      const { problems = [] } = readSchema({ type: 'string', format, pattern });
      assert.deepEqual(
        problems.map((problem) => [problem.kind, problem.pointer]),
        [['unsupported', '#/format']],
      );
    }
  });

  it('refuses what is too deep, too large or too wide, all problems at once', () => {
    let deep: object = { type: 'string' };
    for (let i = 0; i < 100_000; i++) deep = { type: 'object', properties: { a: deep } };
    assert.equal(readSchema(deep).problems?.[0]?.kind, 'complex');
    assert.equal(readSchema({ const: 'x'.repeat(70_000) }).problems?.[0]?.kind, 'complex');
    const properties = {
      a: { type: 'integer', multipleOf: 1, not: {} },
      b: { type: 'string', format: 'uri' },
    };
    assert.equal(readSchema({ type: 'object', properties, if: {} }).problems?.length, 4);
  });
});

describe('schemas that nobody changes any more', () => {
  it('are read once, faults too; others anew each time', () => {
    const schema = { type: 'object', properties: { a: { type: 'boolean' } } };
    const { node } = readSettledSchema(schema);
    assert.ok(node);
    assert.equal(readSchema(schema).node, node);
    assert.notEqual(readSchema({ ...schema }).node, node);
    const wrong = { type: 'nothing' };
    const { problems } = readSettledSchema(wrong);
    assert.equal(problems?.length, 1);
    assert.equal(readSchema(wrong).problems, problems);
  });
});

describe('free places', () => {
  let tokenizer: Tokenizer;
  before(async () => {
    tokenizer = await Tokenizer.load(join(GOLDEN, 'ckpt-300m'));
  });

  /** Draws tokens that the mask allows until it is closed, or so many. */
  function fill(hole: StringHole | NumberHole, numbers: Iterator<number>, most: number): boolean {
    for (let i = 0; i < most && !hole.isClosed; i++) {
      const words = hole.mask();
      const allowed = Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter(
        (id) => (((words[id >>> 5] ?? 0) >>> (id & 31)) & 1) === 1,
      );
      assert.ok(allowed.length > 0, `nothing may follow ${JSON.stringify(hole.text)}`);
      for (const id of tokenizer.controlTokens.values()) assert.ok(!allowed.includes(id));
      const at = Math.floor((numbers.next().value as number) * allowed.length);
      hole.take(tokenizer.tokenBytes(allowed[at] ?? 0) ?? new Uint8Array());
    }
    return hole.isClosed;
  }

  function* draws(seed: number): Generator<number, never> {
    for (let state = seed >>> 0; ;) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      yield state / 2 ** 32;
    }
  }

  const contextOf = (after: readonly string[]) => ({
    ...{ tokens: textTokens(tokenizer), vocabSize: tokenizer.vocabSize, after },
  });

  it('texts are JSON as it is written here, of the lengths asked for', () => {
    let closed = 0;
    fc.assert(
      fc.property(fc.nat(), fc.nat({ max: 6 }), fc.nat({ max: 12 }), (seed, minLength, more) => {
        const maxLength = minLength + more;
        const hole = new StringHole(
          { kind: 'string', minLength, maxLength },
          contextOf([',"b":"']),
        );
        if (!fill(hole, draws(seed), 40)) return;
        closed++;
        const value = JSON.parse(`"${hole.text}`) as string;
        assert.equal(JSON.stringify(value), `"${hole.text}`);
        const { length } = Array.from(value);
        assert.ok(length >= minLength && length <= maxLength, `${length}: ${value}`);
      }),
      { numRuns: 200 },
    );
    assert.ok(closed > 100, `${closed}`);
  });

  it('any text can be written, whatever it holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 8 }), (given) => {
        const text = Buffer.from(given).toString().normalize('NFC');
        const { length } = Array.from(text);
        const hole = new StringHole(
          { kind: 'string', minLength: length, maxLength: length },
          contextOf(['}']),
        );
        for (const id of tokenizer.encodePlain(JSON.stringify(text).slice(1))) {
          const word = hole.mask()[id >>> 5] ?? 0;
          assert.ok(((word >>> (id & 31)) & 1) === 1, JSON.stringify(text));
          hole.take(tokenizer.tokenBytes(id) ?? new Uint8Array());
        }
        assert.ok(hole.isClosed);
      }),
      { numRuns: 200 },
    );
  });

  const bounds = fc.record({
    isInteger: fc.boolean(),
    a: fc.oneof(fc.integer({ min: -2000, max: 2000 }), fc.constantFrom(-Infinity, Infinity, 0)),
    b: fc.oneof(fc.integer({ min: -2000, max: 2000 }), fc.constantFrom(-Infinity, Infinity, 0)),
    isAbove: fc.boolean(),
    isBelow: fc.boolean(),
  });

  it('numbers lie between their bounds, and there is always a way to end', () => {
    fc.assert(
      fc.property(bounds, fc.nat(), ({ a, b, isInteger, isAbove, isBelow }, seed) => {
        const [minimum, maximum] = [Math.min(a, b), Math.max(a, b)];
        fc.pre(minimum < maximum && minimum !== Infinity && maximum !== -Infinity);
        const node: NumberNode = {
          ...{ kind: 'number', isInteger, minimum, maximum, orNull: false },
          ...(isInteger ? { isAbove: false, isBelow: false } : { isAbove, isBelow }),
        };
        const hole = new NumberHole(node, contextOf([',"b":', '}']));
        assert.ok(fill(hole, draws(seed), 40));
        const value = Number(hole.text);
        assert.ok(isNumber(hole.text, node) && value >= minimum && value <= maximum, hole.text);
        assert.ok(!/[e+]/.test(hole.text) && !Object.is(value, -0));
        if (isInteger) assert.ok(Number.isInteger(value));
      }),
      { numRuns: 300 },
    );
  });

  it('every number between the bounds can be written, digit by digit', () => {
    fc.assert(
      fc.property(fc.integer({ min: -5000, max: 5000 }), fc.nat({ max: 900 }), (least, more) => {
        const node: NumberNode = {
          ...{ kind: 'number', isInteger: true, minimum: least, maximum: least + more },
          ...{ isAbove: false, isBelow: false, orNull: false },
        };
        for (const value of [least, least + more, least + Math.floor(more / 2)]) {
          const text = String(value);
          for (let i = 0; i <= text.length; i++)
            assert.ok(beginsNumber(text.slice(0, i), node), text);
          assert.ok(isNumber(text, node));
        }
      }),
    );
  });

  it('null in place of a number', () => {
    const node: NumberNode = {
      ...{ kind: 'number', isInteger: false, minimum: 0, maximum: 1 },
      ...{ isAbove: false, isBelow: false, orNull: true },
    };
    const hole = new NumberHole(node, contextOf(['}']));
    for (const part of ['n', 'ull', '}']) {
      assert.ok(!hole.isClosed);
      hole.take(Buffer.from(part));
    }
    assert.deepEqual([hole.text, hole.isClosed], ['null', true]);
  });
});
