/** Answers by group: counted by picture and by row, with intervals, small groups marked, wrong columns refused before anything is asked. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { parse } from 'csv-parse/sync';
import sharp from 'sharp';

import { GroupReport } from '../../lib/annotate/group-report.js';
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
      /^grouping,group,is_small,question,figure,answer,count,of,value,low,high\r\n/,
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
    const questions = [
      { kind: 'closed', name: 'smile', question: 'S?', choices: ['Yes', 'No'] } as const,
    ];
    const answer = { best: 'Yes', probability: 0.9, margin: 0.8, probabilities: {} };
    const rowOf = (file: string, facesFound: number | null): AnnotationRow => ({
      ...{ file, sha256: null, width: 1, height: 1, facesFound, face: null, error: null },
      ...(facesFound === 2
        ? { status: 'ok', answers: { smile: answer } }
        : { status: facesFound === 0 ? 'no-face' : 'unreadable', answers: {} }),
    });
    const groups = new GroupReport(at('mixed.jsonl.groups'), questions, {
      of: (file) => ({ groups: { folder: file.split('/')[0] ?? '' }, labels: new Map() }),
      labelled: new Map(),
      notes: [],
    });
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
    assert.match(csv, /^folder,'=10,true,smile,share,Yes,40,40,1,/m, 'no formula');
    const text = readFileSync(at('mixed.jsonl.groups', 'groups.md'), 'utf8');
    assert.match(text, /n counts answers.*as independent/);
  });

  it('columns named as questions hold labels: figures against them, of pictures with one answer alone', async () => {
    const rows = ['file,race,smile,gender'];
    for (let i = 0; i < 50; i++) {
      const label = i === 1 ? 'perhaps' : i % 3 === 0 ? 'yes' : 'No';
      rows.push(`${i < 40 ? 'one' : 'two'}/${i}.png,${i % 2 === 0 ? 'A' : 'B'},${label},Female`);
    }
    writeFileSync(at('truth.csv'), rows.join('\n'));
    await annotate(
      options('truth.jsonl', { groups: { file: at('truth.csv'), columns: ['race'] } }),
    );
    const table = readFileSync(at('truth.jsonl'), 'utf8').trim().split('\n');
    const asked = table.map((line) => JSON.parse(line) as AnnotationRow);
    const isRight = ({ file, answers }: AnnotationRow): boolean => {
      const { Yes = 0, No = 0 } = answers['smile']?.probabilities ?? {};
      return (Number(/(\d+)\.png/.exec(file)?.[1]) % 3 === 0) === Yes >= No;
    };
    const labelled = asked.filter(({ file }) => file !== 'one/1.png');
    const { notes, ...report } = reportOf('truth.jsonl') as Report & {
      readonly labelled: readonly {
        readonly question: string;
        readonly overall: { count: number; accuracy: { value: number; low: number } };
        readonly groupings: readonly {
          readonly by: string;
          readonly groups: readonly { name: string; count: number; ece: { value: number } }[];
        }[];
      }[];
    };
    assert.deepEqual(notes, [
      'smile: 1 label(s) are none of its answers and count nowhere: perhaps',
    ]);
    const [smile, ...others] = report.labelled;
    assert.deepEqual([smile?.question, others.length, smile?.overall.count], ['smile', 0, 49]);
    const { accuracy } = smile?.overall ?? {};
    assert.ok(Math.abs((accuracy?.value ?? 0) - labelled.filter(isRight).length / 49) < 1e-6);
    assert.ok((accuracy?.low ?? 1) < (accuracy?.value ?? 0));
    const [race] = smile?.groupings ?? [];
    assert.deepEqual(
      race?.groups.map(({ name, count }) => [name, count]),
      [
        ['A', 25],
        ['B', 24],
      ],
    );
    const html = readFileSync(at('truth.jsonl.groups', 'groups.html'), 'utf8');
    assert.match(html, /<h2>Against the labels<\/h2>/);
    assert.match(html, /race, against the labels/);
    const csv = parse<Record<string, string>>(
      readFileSync(at('truth.jsonl.groups', 'groups.csv')),
      {
        columns: true,
      },
    );
    const figuresOf = (group: string) =>
      csv.filter((one) => one['figure'] !== 'share' && one['group'] === group);
    assert.deepEqual(
      figuresOf('').map(({ figure }) => figure),
      ['accuracy', 'balancedAccuracy', 'macroF1', 'ece'],
    );
    const [all] = figuresOf('');
    assert.ok(Math.abs(Number(all?.['value']) - (accuracy?.value ?? 0)) < 1e-6);
    assert.deepEqual([all?.['question'], all?.['of'], all?.['answer']], ['smile', '49', '']);
    assert.deepEqual(
      ['A', 'B'].map((name) => figuresOf(name)[0]?.['of']),
      ['25', '24'],
    );
  });

  it('a picture of several faces has no answer of its own to hold against its label', async () => {
    const field = {
      kind: 'closed',
      name: 'smile',
      question: 'S?',
      choices: ['Yes', 'No'],
    } as const;
    const groups = new GroupReport(at('several.jsonl.groups'), [field], {
      of: () => ({ groups: {}, labels: new Map([['smile', 0]]) }),
      labelled: new Map([['smile', { isOrdinal: false }]]),
      notes: [],
    });
    const probabilities = { Yes: 0.9, No: 0.1 };
    const answers = { smile: { best: 'Yes', probability: 0.9, margin: 0.8, probabilities } };
    for (const file of ['a', 'b', 'b', 'c']) {
      groups.write({
        ...{ file, sha256: null, width: 1, height: 1, facesFound: 2, face: null, error: null },
        ...{ status: 'ok', answers },
      });
    }
    await groups.commit();
    const { labelled } = reportOf('several.jsonl') as unknown as {
      labelled: readonly { overall: { count: number; accuracy: { value: number } } }[];
    };
    assert.deepEqual([labelled[0]?.overall.count, labelled[0]?.overall.accuracy.value], [2, 1]);
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
