/** Objects by a schema: always of its form, with the probabilities that choose gives, the same for a seed. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { z } from 'zod';

import { FaceLlm } from '../../lib/index.js';
import * as golden from '../support/golden.js';
import { randomSchemas } from '../support/random-schemas.js';

const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');
const PHOTO = join(golden.GOLDEN, 'infer-300m', 'images', 'face_square_0.png');
const ASKED = { image: PHOTO, question: 'Describe this face as JSON.' } as const;
const FACE = z.object({
  gender: z.enum(['male', 'female']),
  age: z.int().min(0).max(99),
  smiling: z.boolean(),
  hair: z.enum(['(x)', ':)', '', 'black']).nullable(),
});

describe('extract', () => {
  let model: FaceLlm;
  before(async () => {
    model = await FaceLlm.load(CHECKPOINT, {
      ...{ device: golden.TEST_DEVICE, dtype: 'fp32', maxContext: 4096 },
    });
  });
  after(() => model.dispose());

  it('gives a typed object, compact text, and each field with all its values', async () => {
    const { value, text, fields, isComplete, ...facts } = await model.extract({
      ...ASKED,
      schema: FACE,
    });
    assert.ok(value && isComplete);
    const age: number = value.age;
    assert.equal(text, JSON.stringify(value));
    assert.deepEqual(
      fields.map(({ path }) => path),
      ['/gender', '/age', '/smiling', '/hair'],
    );
    for (const { value: chosen, probability, mass, alternatives, path } of fields) {
      assert.deepEqual(chosen, value[path.slice(1) as keyof typeof value]);
      const shares = [probability, ...alternatives.map((one) => one.probability)];
      assert.ok(Math.abs(shares.reduce((sum, one) => sum + one, 0) - 1) < 1e-9);
      assert.ok(mass > 0 && mass <= 1.0001);
      assert.ok(alternatives.every((one) => one.probability <= probability));
    }
    assert.deepEqual(
      fields.map(({ alternatives }) => alternatives.length),
      [1, 99, 1, 4],
    );
    const { mean = NaN, median = NaN } = fields[1] ?? {};
    assert.ok(mean > 0 && mean < 99 && Number.isInteger(median) && age >= 0);
    assert.ok(facts.tokenIds.length >= facts.forcedTokens && facts.forcedTokens > 0);
    assert.deepEqual(
      [(await model.stats()).usedBlocks, (await model.stats()).pinnedImages],
      [0, 0],
    );
  });

  it('a value is as probable as choose says of what is then written', async () => {
    const values = ['Yes', 'No', '(x)', ':)', ''];
    const { fields } = await model.extract({
      ...ASKED,
      schema: { type: 'object', properties: { a: { enum: values } }, required: ['a'] },
    });
    const { choices } = await model.choose({
      ...ASKED,
      choices: values.map((value) => JSON.stringify({ a: value })),
      includeEnd: false,
    });
    const [field] = fields;
    assert.ok(field);
    const all = [field, ...field.alternatives];
    for (const [i, value] of values.entries()) {
      const mine = all.find((one) => one.value === value);
      assert.ok(Math.abs((mine?.probability ?? 0) - (choices[i]?.probability ?? 1)) < 1e-4, value);
    }
  });

  it('the same for a seed, whatever was asked before; drawn by temperature', async () => {
    const draw = (seed: number) =>
      model.extract({
        ...ASKED,
        schema: z.object({ age: z.int().min(0).max(99), note: z.string().max(5), x: z.number() }),
        temperature: 1,
        seed,
      });
    const [first, other] = [await draw(1), await draw(2)];
    await model.clearCaches();
    assert.equal((await draw(1)).text, first.text);
    assert.notEqual(other.text, first.text);
    const greedy = await model.extract({ ...ASKED, schema: FACE });
    assert.equal((await model.extract({ ...ASKED, schema: FACE })).text, greedy.text);
  });

  it('shows its text as it is settled; a limit leaves a beginning', async () => {
    const pieces: string[] = [];
    const schema = z.object({ gender: z.enum(['male', 'female']), note: z.string().min(400) });
    const cut = await model.extract({
      ...{ ...ASKED, schema, maxNewTokens: 30 },
      onText: (text) => pieces.push(text),
    });
    assert.deepEqual([cut.isComplete, cut.value], [false, undefined]);
    assert.equal(pieces.join(''), cut.text);
    assert.match(cut.text, /^\{"gender":"(fe)?male","note":"/);
    assert.ok(cut.tokenIds.length <= 32, `${cut.tokenIds.length}`);
  });

  it('refuses what cannot be held to, before work, and a type of conditions', async () => {
    const { steps } = await model.stats();
    for (const [schema, pattern] of [
      [{ type: 'integer', multipleOf: 2 }, /#\/multipleOf/],
      [z.object({ a: z.date() }), /schema: Date/],
      [z.string().regex(/a(?=b)/), /#\/pattern/],
      ['object', /schema: expected a zod type, a JSON schema, or json_object/],
    ] as const) {
      await assert.rejects(
        model.extract({ ...ASKED, schema: schema as object as z.ZodType }),
        ({ code, details }: { code: string; details: string[] }) => {
          assert.equal(code, 'FACELLM_INVALID_ARGUMENT');
          assert.match(details.join(), pattern);
          return true;
        },
      );
    }
    await assert.rejects(model.extract({ schema: FACE }), /either messages, or a question/);
    assert.equal((await model.stats()).steps, steps);
    const never = z.object({ a: z.boolean() }).refine(() => false, 'never');
    await assert.rejects(model.extract({ ...ASKED, schema: never }), /conditions of the type/);
  });

  it('a text that is none of its pattern in normal form is refused, one that is stays', async () => {
    const schemaOf = (pattern: string) => ({ type: 'string', pattern }) as const;
    const only = model.extract({ ...ASKED, schema: schemaOf('^e\u0301$') });
    await assert.rejects(only, /normal form NFC/);
    const { value } = await model.extract({ ...ASKED, schema: schemaOf('^(e\u0301|\u00e9)$') });
    assert.equal(value, '\u00e9');
  });

  it('patterns, recursions and endless lists are of the schema, beside fields that are chosen', async () => {
    const Person = z.object({
      name: z.string().regex(/^[A-Z][a-z]{2,8}$/),
      glasses: z.boolean(),
      get like() {
        return z.array(Person).max(1);
      },
    });
    const Answer = z.object({
      seen: z.iso.date(),
      smiling: z.boolean(),
      code: z.string().regex(/^\d{3}-["\\]é$/u),
      marks: z.array(z.number().min(0).max(1)).min(2).max(70),
      hat: z.enum(['yes', 'no']),
    });
    for (let seed = 0; seed < 4; seed++) {
      const drawn = { ...ASKED, temperature: seed === 0 ? 0 : 1, seed, maxNewTokens: 400 };
      const { value, text, fields, engine, isComplete } = await model.extract({
        ...drawn,
        schema: Answer,
      });
      assert.ok(value !== undefined && isComplete, text);
      assert.equal(engine, 'grammar');
      assert.deepEqual(JSON.parse(text), value);
      const paths = fields.map(({ path }) => path);
      assert.deepEqual(paths, ['/seen', '/smiling', '/code', '/marks', '/hat']);
      const [seen, smiling] = fields;
      assert.deepEqual([seen?.alternatives.length, smiling?.alternatives.length], [0, 1]);
      for (const { probability, mass } of fields)
        assert.ok(probability >= 0 && probability <= 1 && mass <= 1.0001);
      const person = await model.extract({ ...drawn, schema: Person, maxNewTokens: 60 });
      if (person.isComplete) Person.parse(JSON.parse(person.text));
      else assert.match(person.text, /^\{"name":"/);
    }
    assert.deepEqual(
      [(await model.stats()).usedBlocks, (await model.stats()).pinnedImages],
      [0, 0],
    );
  });

  it('any object, a text of a pattern alone, a number alone', async () => {
    const any = await model.extract({ ...ASKED, schema: 'json_object', maxNewTokens: 60 });
    if (any.isComplete) assert.equal(typeof any.value, 'object');
    else assert.match(any.text, /^\{/);
    const schema = { type: 'string', pattern: '(yes|no), "[a-f]{2}"' };
    const plain = await model.extract({ ...ASKED, schema, plain: true });
    assert.match(plain.text, /^(yes|no), "[a-f]{2}"$/);
    assert.equal(plain.value, plain.text);
    const { value } = await model.extract({ ...ASKED, schema: z.number().min(2).max(3) });
    assert.ok(value !== undefined && value >= 2 && value <= 3);
    const again = await model.extract({ ...ASKED, schema: z.number().min(2).max(3) });
    assert.equal(again.value, value);
  });

  it('ends when it is stopped', async () => {
    const stop = new AbortController();
    const work = model.extract({
      ...{ ...ASKED, schema: z.string().min(3000), maxNewTokens: 3500 },
      signal: stop.signal,
      onText: () => setTimeout(() => stop.abort(new Error('enough')), 20),
    });
    await assert.rejects(work, /enough/);
    assert.equal((await model.stats()).usedBlocks, 0);
  });

  it('random schemas: every answer is accepted by another validator', async () => {
    const ajv = new Ajv2020({ strict: false });
    let count = 0;
    await fc.assert(
      fc.asyncProperty(randomSchemas, fc.nat({ max: 1000 }), async (schema, seed) => {
        const validate = ajv.compile(schema);
        const { value, text, isComplete } = await model.extract({
          ...{ ...ASKED, schema: schema as Record<string, unknown>, temperature: 1.5, seed },
        });
        assert.ok(isComplete);
        assert.ok(validate(value), `${JSON.stringify(schema)}\n${text}`);
        assert.deepEqual(JSON.parse(text), value);
        count++;
      }),
      { numRuns: 40 },
    );
    assert.equal(count, 40);
  });
});
