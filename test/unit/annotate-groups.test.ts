/** Answers by group: counted by picture and by row, with intervals, small groups marked, wrong columns refused before anything is asked. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';

import { GroupReport } from '../../lib/annotate/group-report.js';
import { checkQuestions } from '../../lib/annotate/questions.js';
import {
  annotate,
  type AnnotateOptions,
  type AnnotationRow,
  FaceLlmError,
} from '../../lib/index.js';
import { annotatingStub } from '../support/annotating-stub.js';

interface Report {
  readonly notes: readonly string[];
  readonly groupings: readonly {
    readonly by: string;
    readonly groups: readonly {
      readonly name: string;
      readonly pictures: number;
      readonly isSmall: boolean;
      readonly found?: { readonly value: number };
      readonly several?: { readonly value: number };
      readonly questions: readonly {
        readonly isSmall: boolean;
        readonly count: number;
        readonly unsure: { readonly value: number };
        readonly answers: readonly {
          readonly answer: string;
          readonly count: number;
          readonly share: { value: number; low: number; high: number };
        }[];
      }[];
    }[];
  }[];
}

describe('annotate by groups', function () {
  this.timeout(120_000);
  let folder: string;
  const at = (...names: string[]): string => join(folder, ...names);
  const options = (output: string, more: Partial<AnnotateOptions> = {}): AnnotateOptions => ({
    ...{ input: at('pictures'), output: at(output), model: annotatingStub(), environment: {} },
    questions: [
      { name: 'smile', question: 'Smiling <b>?', choices: ['Yes', 'No'], minProbability: 0.7 },
    ],
    faces: 'off',
    ...more,
  });
  const reportOf = (output: string): Report =>
    JSON.parse(readFileSync(at(`${output}.groups`, 'groups.json'), 'utf8')) as Report;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-groups-'));
    mkdirSync(at('pictures', 'one'), { recursive: true });
    mkdirSync(at('pictures', 'two'));
    const rows = ['file,race,"g, x"'];
    for (let i = 0; i < 50; i++) {
      const background = { r: 5 * i, g: 3 * i, b: 0 };
      const bytes = await sharp({ create: { width: 2, height: 2, channels: 3, background } })
        .png()
        .toBuffer();
      const name = `${i < 40 ? 'one' : 'two'}/${i}.png`;
      writeFileSync(at('pictures', name), bytes);
      if (i > 0) rows.push(`${name},${i % 2 === 0 ? 'A' : '<i>B'},${i < 5 ? 'few' : ''}`);
    }
    writeFileSync(at('labels.csv'), rows.join('\n'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('by columns of a CSV: the counts of the table, with intervals and what is small', async () => {
    const columns = ['race', 'g, x'];
    const { outputs } = await annotate(
      options('out.jsonl', { groups: { file: at('labels.csv'), columns } }),
    );
    assert.deepEqual(outputs, [at('out.jsonl'), at('out.jsonl.groups')]);
    const rows = readFileSync(at('out.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as AnnotationRow);
    const { groupings, notes } = reportOf('out.jsonl');
    assert.deepEqual(notes, ['In no group: 1 picture(s).']);
    assert.deepEqual(
      groupings.map(({ by }) => by),
      columns,
    );
    const own = rows.filter(({ file }) => Number(/(\d+)\.png/.exec(file)?.[1]) % 2 === 1);
    const group = groupings[0]?.groups.find(({ name }) => name === '<i>B');
    const [question] = group?.questions ?? [];
    const yes = own.filter(({ answers }) => answers['smile']?.best === 'Yes').length;
    const none = own.filter(({ answers }) => answers['smile']?.best === null).length;
    assert.deepEqual([group?.pictures, group?.isSmall, question?.count], [25, true, 25]);
    assert.equal(question?.answers[0]?.count, yes);
    assert.ok(Math.abs((question?.unsure.value ?? 0) - none / 25) < 1e-6);
    const share = question?.answers[0]?.share;
    assert.ok(share !== undefined && share.low < share.value && share.value < share.high);
    const html = readFileSync(at('out.jsonl.groups', 'groups.html'), 'utf8');
    assert.match(
      html,
      /<h1>Answers by group<\/h1>\s*<p class="warning">[^<]*<?[^<]*must not be used/,
    );
    assert.ok(!html.includes('<i>B') && !html.includes('Smiling <b>'));
    assert.match(
      readFileSync(at('out.jsonl.groups', 'groups.csv'), 'utf8'),
      /^grouping,group,is_small,question,answer,count,of,share/,
    );
    assert.ok(existsSync(at('out.jsonl.groups', 'groups.md')));
  });

  it('by folder', async () => {
    await annotate(options('folder.jsonl', { groups: 'folder' }));
    const [grouping] = reportOf('folder.jsonl').groupings;
    assert.deepEqual(
      grouping?.groups.map(({ name, pictures, isSmall }) => [name, pictures, isSmall]),
      [
        ['one', 40, false],
        ['two', 10, true],
      ],
    );
  });

  it('of faces only pictures that were searched tell, of a question only those with an answer', async () => {
    const questions = checkQuestions([{ name: 'smile', question: 'S?', choices: ['Yes', 'No'] }]);
    const answer = { best: 'Yes', probability: 0.9, margin: 0.8, probabilities: {} };
    const rowOf = (file: string, facesFound: number | null): AnnotationRow => ({
      ...{ file, sha256: null, width: 1, height: 1, facesFound, face: null, error: null },
      ...(facesFound === 2
        ? { status: 'ok', answers: { smile: answer } }
        : { status: facesFound === 0 ? 'no-face' : 'unreadable', answers: {} }),
    });
    const groups = new GroupReport(at('mixed.jsonl.groups'), questions, (file) => ({
      folder: file.split('/')[0] ?? '',
    }));
    for (let i = 0; i < 40; i++) {
      for (let face = 0; face < (i < 20 ? 2 : 1); face++) {
        groups.write(rowOf(`=10/${i}`, i < 20 ? 2 : i < 30 ? 0 : null));
      }
      groups.write(rowOf(`=9/${i}`, null));
    }
    await groups.commit();
    const [first, second] = reportOf('mixed.jsonl').groupings[0]?.groups ?? [];
    assert.deepEqual([first?.name, second?.name], ['=9', '=10'], 'numbers stand in their order');
    assert.deepEqual([first?.found, first?.several], [undefined, undefined]);
    for (const share of [second?.found, second?.several]) {
      assert.ok(Math.abs((share?.value ?? 0) - 20 / 30) < 1e-6);
    }
    const [asked] = second?.questions ?? [];
    assert.deepEqual([second?.isSmall, asked?.count, asked?.isSmall], [false, 40, true]);
    const csv = readFileSync(at('mixed.jsonl.groups', 'groups.csv'), 'utf8');
    assert.match(csv, /^folder,'=10,true,smile,Yes,40,40,1,/m, 'no formula');
    const text = readFileSync(at('mixed.jsonl.groups', 'groups.md'), 'utf8');
    assert.match(text, /n counts answers.*as independent/);
  });

  it('columns that are not there are refused before a picture is asked about', async () => {
    const groups = { file: at('labels.csv'), columns: ['rase', 'sex'] };
    await assert.rejects(
      async () => annotate(options('wrong.jsonl', { groups })),
      (error: FaceLlmError) =>
        error.code === 'FACELLM_DATA_INVALID' &&
        error.details.length === 2 &&
        /did you mean race/.test(error.details[0] ?? ''),
    );
    assert.ok(!existsSync(at('wrong.jsonl.work')));
    await assert.rejects(
      async () => annotate(options('wrong.jsonl', { groups: 'folders' as never })),
      /groups/,
    );
  });
});
