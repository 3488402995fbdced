/** What annotate asks besides closed questions: texts and schemas, their columns in every kind of file, what is refused. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { parse } from 'csv-parse/sync';
import { parquetReadObjects } from 'hyparquet';
import { z } from 'zod';

import { columnsOf } from '../../lib/annotate/columns.js';
import { schemaFields } from '../../lib/annotate/schema-fields.js';
import { descriptionOf, loadSchema } from '../../lib/cli/schema-file.js';
import {
  annotate,
  type AnnotateOptions,
  type AnnotationRow,
  FaceLlm,
  FaceLlmError,
} from '../../lib/index.js';
import { annotatingStub } from '../support/annotating-stub.js';
import * as golden from '../support/golden.js';

const FACES = join(import.meta.dirname, '..', '..', 'examples', 'faces', 'congress');
const SCHEMA = z
  .object({
    smiling: z.boolean(),
    glasses: z.enum(['none', 'round, =large']),
    age: z.int().min(0).max(100),
    steps: z.int().min(1).max(3),
    hair: z.object({ colour: z.string().max(12) }),
    tags: z.array(z.enum(['a', 'b'])).max(2),
  })
  .describe('Describe this face.');

describe('annotate with texts and schemas', function () {
  this.timeout(120_000);
  let folder: string;
  let model: FaceLlm;
  const at = (...names: string[]): string => join(folder, ...names);
  const options = (output: string, more: Partial<AnnotateOptions> = {}): AnnotateOptions => ({
    ...{ input: at('pictures'), output: at(output), model, environment: {}, ...more },
  });
  const rowsOf = (name: string): AnnotationRow[] =>
    readFileSync(at(name), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as AnnotationRow);
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-schema-'));
    mkdirSync(at('pictures'));
    for (const name of ['A000014.jpg', 'A000109.jpg'])
      cpSync(join(FACES, name), at('pictures', name));
    writeFileSync(at('pictures', 'empty.jpg'), '');
    model = await FaceLlm.load(join(golden.GOLDEN, 'ckpt-300m'), {
      device: 'cpu',
      deterministic: true,
    });
  });
  after(async () => {
    await model?.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  it('columns follow from the schema: given values with each share, the others with their own, lists as JSON', () => {
    const fields = schemaFields({ question: 'q', schema: SCHEMA });
    assert.deepEqual(
      fields.map(({ kind, name }) => [kind, name]),
      [
        ['closed', 'smiling'],
        ['closed', 'glasses'],
        ['number', 'age'],
        ['closed', 'steps'],
        ['string', 'hair_colour'],
        ['json', 'tags'],
      ],
    );
    const code = {
      type: 'object',
      properties: { code: { type: 'string', pattern: '^[A-Z]{2}$' } },
    };
    const [pattern] = schemaFields({ question: 'q', schema: code });
    assert.deepEqual([pattern?.kind, pattern?.name], ['string', 'code']);
    const names = fields.flatMap((field) => columnsOf(field, false).map(({ name }) => name));
    assert.deepEqual(names.slice(0, 9), [
      ...['smiling', 'smiling_p', 'smiling_margin', 'smiling_p_true', 'smiling_p_false'],
      ...['glasses', 'glasses_p', 'glasses_margin', 'glasses_p_none'],
    ]);
    assert.ok(
      names.includes('steps_value') && names.includes('age_p') && !names.includes('tags_p'),
    );
  });

  it('questions, texts and an object in one run: the same in every kind of file, and as extract and ask give them', async () => {
    const output = ['all.jsonl', 'all.csv', 'all.parquet'].map((name) => at(name));
    const closed = { name: 'beard', question: 'A beard?', choices: ['Yes', 'No'] };
    const text = { name: 'words', question: 'Describe.', type: 'text', maxTokens: 6 } as const;
    const schema = { question: 'Describe this face.', schema: SCHEMA, maxNewTokens: 120 };
    await annotate(
      options('', {
        output,
        questions: [closed, text],
        schema,
        faces: 'off',
        sheet: at('all.html'),
      }),
    );
    const rows = rowsOf('all.jsonl');
    const [first] = rows;
    assert.deepEqual(
      rows.map(({ status }) => status),
      ['ok', 'ok', 'unreadable'],
    );
    const image = at('pictures', first?.file ?? '');
    const object = await model.extract({ image, question: 'Describe this face.', schema: SCHEMA, maxNewTokens: 120, faces: 'off' }); // prettier-ignore
    const said = await model.ask({ image, question: 'Describe.', maxNewTokens: 6, doSample: false, faces: 'off' }).result(); // prettier-ignore
    assert.equal(first?.answers['smiling']?.best, String(object.value?.smiling));
    assert.equal(first?.answers['glasses']?.best, object.value?.glasses);
    assert.equal(first?.values?.['age']?.value, object.value?.age);
    assert.equal(first?.values?.['hair_colour']?.value, object.value?.hair.colour);
    assert.deepEqual(first?.values?.['tags'], { value: object.value?.tags, probability: null });
    assert.deepEqual(first?.texts?.['words'], {
      text: said.text.trim(),
      finish: said.finishReason,
    });
    for (const name of ['beard', 'smiling', 'glasses', 'steps']) {
      const shares = Object.values(first?.answers[name]?.probabilities ?? {});
      assert.ok(Math.abs(shares.reduce((sum, one) => sum + one, 0) - 1) < 1e-6, name);
    }
    const csv: Record<string, string>[] = parse(readFileSync(at('all.csv')), { columns: true });
    const bytes = readFileSync(at('all.parquet'));
    const flat = (await parquetReadObjects({
      file: new Uint8Array(bytes).buffer,
    })) as Record<string, unknown>[];
    assert.equal(csv.length, 3);
    for (const [i, row] of flat.entries()) {
      for (const [name, value] of Object.entries(row)) {
        const cell = csv[i]?.[name] ?? '';
        if (typeof value === 'number') assert.equal(Number(cell), value, name);
        else assert.equal(cell.replace(/^'(?=[=+\-@])/, ''), value ?? '', name);
      }
      assert.equal(row['age'] ?? undefined, rows[i]?.values?.['age']?.value);
      assert.equal(row['words_finish'] ?? undefined, rows[i]?.texts?.['words']?.finish);
      assert.equal(row['tags'] ?? undefined, rows[i]?.values && JSON.stringify(rows[i]?.values?.['tags']?.value)); // prettier-ignore
    }
    assert.match(readFileSync(at('all.html'), 'utf8'), /<h3>words<\/h3>/);
  });

  it('goes on with the same schema only', async () => {
    const schema = { question: 'Describe this face.', schema: SCHEMA };
    const own = { schema, faces: 'off' as const, limit: 1 };
    await annotate(options('again.jsonl', own));
    const before = readFileSync(at('again.jsonl'));
    await annotate(options('again.jsonl', own));
    assert.deepEqual(readFileSync(at('again.jsonl')), before);
    const other = { ...own, schema: { ...schema, schema: z.object({ smiling: z.boolean() }) } };
    await assert.rejects(async () => annotate(options('again.jsonl', other)), /other settings/);
  });

  it('an object that is not whole is a model error that keeps what there is', async () => {
    const schema = { question: 'Describe this face.', schema: SCHEMA, maxNewTokens: 12 };
    await annotate(options('short.jsonl', { schema, faces: 'off', limit: 1 }));
    const [row] = rowsOf('short.jsonl');
    assert.equal(row?.status, 'model-error');
    assert.match(row?.error ?? '', /not whole within its tokens/);
    assert.ok(row?.answers['smiling'] !== undefined && row.values?.['tags'] === undefined);
  });

  it('what cannot be asked is refused before anything is, all of it at once', async () => {
    const text = { name: 'a', question: 'q', type: 'text' as const };
    const cases: readonly (readonly [Partial<AnnotateOptions>, RegExp])[] = [
      [{}, /questions, a schema or both/],
      [{ schema: { question: 'q', schema: z.array(z.boolean()).max(3) } }, /expected an object/],
      [{ schema: { question: 'q', schema: z.object({ file: z.boolean() }) } }, /named file/],
      [{ questions: [{ ...text, type: 'words' } as never] }, /questions\[0\]/],
      [{ questions: [{ ...text, maxTokens: 0 }] }, /maxTokens/],
      [
        { model: annotatingStub(), questions: [text], schema: { question: 'q', schema: SCHEMA } },
        /has no ask.*has no extract/s,
      ],
    ];
    for (const [more, expected] of cases) {
      await assert.rejects(
        async () => annotate(options('none.jsonl', more)),
        (error: FaceLlmError) => expected.test([error.message, ...error.details].join('\n')),
        String(expected),
      );
    }
  });

  it('a schema comes from JSON or from a program, with what it says of itself', async () => {
    writeFileSync(at('face.json'), '{"type":"object","description":"Look.","properties":{}}');
    assert.equal(descriptionOf(await loadSchema(at('face.json'))), 'Look.');
    writeFileSync(
      at('face.ts'),
      `const schema: object = { type: 'object', properties: { a: { type: 'boolean' } } };\nexport default schema;\n`,
    );
    assert.equal(descriptionOf(await loadSchema(at('face.ts'))), undefined);
    assert.equal(descriptionOf(SCHEMA), 'Describe this face.');
    writeFileSync(at('none.mjs'), 'export const schema = 1;');
    await assert.rejects(loadSchema(at('none.mjs')), /export default/);
    writeFileSync(at('broken.mjs'), 'throw new Error("of its own");');
    await assert.rejects(loadSchema(at('broken.mjs')), /cannot be imported: of its own/);
    await assert.rejects(loadSchema(at('absent.json')), /ENOENT/);
  });
});
