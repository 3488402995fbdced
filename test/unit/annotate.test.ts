/** Folders to tables, with a model that answers by the picture's bytes. */
import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { parse } from 'csv-parse/sync';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import sharp from 'sharp';

import { checkQuestions } from '../../lib/annotate/questions.js';
import { csvLine } from '../../lib/files/index.js';
import { keyOfOwn } from '../../lib/image/own-pixels.js';
import {
  annotate,
  type AnnotateOptions,
  type AnnotationRow,
  exportAnnotation,
  FaceLlm,
  FaceLlmError,
} from '../../lib/index.js';
import { annotatingStub } from '../support/annotating-stub.js';

const ROOT = join(import.meta.dirname, '..', '..');
const QUESTIONS = checkQuestions([
  { name: 'beard', question: 'A beard?', choices: ['Yes', 'No'], minProbability: 0.6 },
  {
    name: 'age',
    question: 'How old?',
    choices: ['=20-29', '30, or more', 'none'],
    values: [25, 35, 0],
  },
]);

const rowsOf = (path: string): AnnotationRow[] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as AnnotationRow);

it('a cell that a spreadsheet would compute is a text, a number is none', () => {
  const line = csvLine(['=1+1', '-2.5', -3, '@x', 'a "b", c', null]);
  assert.equal(line, `'=1+1,-2.5,-3,'@x,"a ""b"", c",\r\n`);
  assert.equal(csvLine(['=1+1', '@x'], { isRaw: true }), '=1+1,@x\r\n');
});

describe('annotate', function () {
  this.timeout(120_000);
  let folder: string;
  const at = (...names: string[]): string => join(folder, ...names);
  const options = (output: string, more: Partial<AnnotateOptions> = {}): AnnotateOptions => ({
    ...{ input: at('pictures'), output: at(output), model: annotatingStub(), questions: QUESTIONS },
    ...{ environment: {}, ...more },
  });

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-annotate-'));
    mkdirSync(at('pictures', 'deep'), { recursive: true });
    const faces = join(ROOT, 'examples', 'faces', 'congress');
    for (const name of ['A000014', 'A000109', 'A000360']) {
      cpSync(join(faces, `${name}.jpg`), at('pictures', `${name}.jpg`));
    }
    const portrait = readFileSync(join(faces, 'A000014.jpg'));
    cpSync(join(faces, 'A000014.jpg'), at('pictures', 'the same.jpg'));
    const put = (name: string, bytes: Uint8Array | string): void =>
      writeFileSync(at('pictures', name), bytes);
    const cell = await sharp(portrait).resize(160, 160).toColourspace('srgb').toBuffer();
    const places = [0, 1, 2, 3].map((i) => ({ left: 160 * (i % 2), top: 160 * (i >> 1) }));
    const wall = sharp({ create: { width: 320, height: 320, channels: 3, background: 'black' } });
    const group = wall.composite(places.map((place) => ({ input: cell, ...place })));
    put('a group.jpg', await group.jpeg().toBuffer());
    const turned = sharp(portrait)
      .toColourspace('srgb')
      .rotate(90)
      .withMetadata({ orientation: 8 });
    put('turned.jpg', await turned.jpeg().toBuffer());
    put('cmyk.jpg', await sharp(portrait).toColourspace('cmyk').jpeg().toBuffer());
    put('deep/grey-16.png', await sharp(portrait).toColourspace('grey16').png().toBuffer());
    put('truncated.jpg', portrait.subarray(0, 3000));
    put('empty.jpg', '');
    put('words.jpg', 'these are words');
    put('smile 😀\nline.jpg', portrait);
    put(
      'black.png',
      await sharp({ create: { width: 60, height: 40, channels: 3, background: 'black' } })
        .png()
        .toBuffer(),
    );
    put('notes.txt', 'no picture');
    const animated = readFileSync(
      join(ROOT, 'test', 'fixtures', 'pictures', 'two-frames-transparent.gif'),
    );
    put('animated.gif', animated);
    const large = { width: 8000, height: 6300, channels: 3 as const, background: '#444' };
    put('50mp.jpg', await sharp({ create: large }).jpeg().toBuffer());
    symlinkSync('loop.jpg', at('pictures', 'loop.jpg'));
    symlinkSync('..', at('pictures', 'deep', 'up'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('a folder as people have them: a row each with its status, the same in every kind of file', async () => {
    const output = ['out.jsonl', 'out.csv', 'out.parquet'].map((name) => at(name));
    const result = await annotate(options('', { output }));
    const rows = rowsOf(at('out.jsonl'));
    assert.deepEqual(
      rows.map(({ file, status }) => [file, status]),
      [
        ['50mp.jpg', 'no-face'],
        ['A000014.jpg', 'ok'],
        ['A000109.jpg', 'ok'],
        ['A000360.jpg', 'ok'],
        ...Array.from({ length: 4 }, () => ['a group.jpg', 'ok'] as [string, 'ok']),
        ['animated.gif', 'no-face'],
        ['black.png', 'no-face'],
        ['cmyk.jpg', 'ok'],
        ['deep/grey-16.png', 'no-face'], // read as Pillow reads it: white
        ['empty.jpg', 'unreadable'],
        ['loop.jpg', 'unreadable'],
        ['smile 😀\nline.jpg', 'ok'],
        ['the same.jpg', 'ok'],
        ['truncated.jpg', 'unreadable'],
        ['turned.jpg', 'ok'],
        ['words.jpg', 'unreadable'],
      ],
    );
    assert.deepEqual([result.rows, result.missing, result.statuses.ok], [19, 0, 11]);
    const [one, same] = ['A000014.jpg', 'the same.jpg'].map((name) =>
      rows.find(({ file }) => file === name),
    );
    assert.deepEqual({ ...one, file: '' }, { ...same, file: '' });
    const turned = rows.find(({ file }) => file === 'turned.jpg');
    assert.ok(Math.abs((turned?.face?.roll ?? 99) - (one?.face?.roll ?? 0)) < 5, 'EXIF is heeded');
    for (const { status, answers } of rows) {
      for (const { probabilities } of Object.values(answers)) {
        const sum = Object.values(probabilities).reduce((a, b) => a + b, 0);
        assert.ok(status === 'ok' && Math.abs(sum - 1) < 1e-6);
      }
    }
    const buffer = readFileSync(at('out.parquet'));
    const file = buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength);
    const fromParquet = await parquetReadObjects({ file });
    const fromCsv = parse<Record<string, string>>(readFileSync(at('out.csv')), { columns: true });
    assert.equal(fromCsv.length, rows.length);
    const { key_value_metadata: [run] = [] } = parquetMetadata(file);
    assert.equal(run?.key, 'facellm.run');
    const { questions } = JSON.parse(run.value ?? '') as { questions: unknown };
    assert.deepEqual(questions, JSON.parse(JSON.stringify(QUESTIONS)));
    for (const [i, row] of rows.entries()) {
      const [a, b] = [fromParquet[i] ?? {}, fromCsv[i] ?? {}];
      assert.equal(a['file'], row.file);
      assert.equal(b['file'], row.file);
      const { best = null, probability = null } = row.answers['age'] ?? {};
      assert.equal(a['age_p'] ?? null, probability);
      assert.equal(b['age_p'], probability === null ? '' : String(probability));
      assert.equal(b['age'], best?.startsWith('=') ? `'${best}` : (best ?? ''));
      assert.equal(a['box_x'] ?? null, row.face?.box.x ?? null);
      const { rightEye, leftEye, noseTip, mouth, rightEar, leftEar } = row.face?.points ?? {};
      const points = [rightEye, leftEye, noseTip, mouth, rightEar, leftEar];
      const numbers = points.flatMap((point) => (point === undefined ? [] : [point.x, point.y]));
      assert.deepEqual(a['points'] ?? [], numbers);
      assert.equal(b['points'], undefined);
      const beard = row.answers['beard'];
      if (beard !== undefined) assert.equal(beard.best === null, beard.probability < 0.6);
    }
  });

  it('CSV for programs: the same cells without apostrophes, from what is answered', async () => {
    cpSync(at('out.csv'), at('out-safe.csv'));
    const output = ['out.jsonl', 'out.csv'].map((name) => at(name));
    const model = annotatingStub(() => assert.fail('asked again'));
    await annotate(options('', { output, model, csvRaw: true }));
    const [safe, raw] = ['out-safe.csv', 'out.csv'].map((name) => readFileSync(at(name), 'utf8'));
    assert.ok(raw !== undefined && raw.includes(',=20-29,'));
    assert.equal(raw, safe?.replaceAll(",'=", ',='));
  });

  it('24 pictures, killed at every journal write, and within: equal bytes', async () => {
    cpSync(at('pictures'), at('two dozen'), { recursive: true, verbatimSymlinks: true });
    for (let i = 0; i < 8; i++) {
      const background = { r: 20 * i, g: 0, b: 0 };
      const picture = sharp({ create: { width: 2, height: 1, channels: 3, background } });
      writeFileSync(at('two dozen', `more ${i}.png`), await picture.png().toBuffer());
    }
    const own = { faces: 'off' as const, input: at('two dozen') };
    await annotate(options('whole.jsonl', own));
    const whole = readFileSync(at('whole.jsonl'));
    const journal = ['whole.jsonl.work', 'rank-0', 'pictures.jsonl'];
    const bytes = readFileSync(at(...journal));
    let kills = 0;
    for (let line = 0, next = 0; next >= 0; line = next + 1) {
      next = bytes.indexOf(10, line);
      for (const cut of [line, line + 17]) {
        const name = `killed-${kills++}.jsonl`;
        cpSync(at('whole.jsonl.work'), at(`${name}.work`), { recursive: true });
        truncateSync(at(`${name}.work`, 'rank-0', 'pictures.jsonl'), Math.min(cut, bytes.length));
        await annotate(options(name, own));
        assert.deepEqual(readFileSync(at(name)), whole, `cut at ${cut}`);
      }
    }
    // At each of 24 lines, within it, and behind the last.
    assert.equal(kills, 2 * 25);
  });

  it('a stopped run writes nothing and goes on; another is refused with each difference', async () => {
    const job = annotate(
      options('stopped.jsonl', {
        ahead: 1,
        model: annotatingStub((calls) => calls === 3 && job.stop()),
      }),
    );
    const { missing, outputs } = await job;
    assert.ok(missing > 0 && outputs.length === 0 && !existsSync(at('stopped.jsonl')));
    await assert.rejects(
      async () => annotate(options('stopped.jsonl', { faces: { which: 'each', margin: 0.5 } })),
      (error: FaceLlmError) =>
        error.code === 'FACELLM_RUN_INVALID' && error.details[0]?.startsWith('faces:') === true,
    );
    const path = at('stopped.jsonl.work', 'run.json');
    const kept = readFileSync(path, 'utf8');
    writeFileSync(path, JSON.stringify({ ...JSON.parse(kept), calibration: 'some' }));
    await assert.rejects(
      async () => annotate(options('stopped.jsonl')),
      /calibration: begun with "some", now nothing/,
    );
    writeFileSync(path, kept);
    await annotate(options('stopped.jsonl'));
    assert.deepEqual(readFileSync(at('stopped.jsonl')), readFileSync(at('out.jsonl')));
  });

  it('failed pictures are asked again where that is wished, answers are kept', async () => {
    const broken = annotatingStub((calls) => {
      if (calls < 3) throw new FaceLlmError('FACELLM_PROMPT_TOO_LONG', 'too long');
    });
    const first = await annotate(options('retried.jsonl', { model: broken }));
    assert.equal(first.statuses['model-error'], 2);
    const second = await annotate(options('retried.jsonl', { retryFailed: true }));
    assert.equal(second.statuses['model-error'], undefined);
    assert.deepEqual(readFileSync(at('retried.jsonl')), readFileSync(at('out.jsonl')));
    const gone = annotatingStub(() => {
      throw new FaceLlmError('FACELLM_DISPOSED', 'gone');
    });
    await assert.rejects(async () => annotate(options('gone.jsonl', { model: gone })), {
      code: 'FACELLM_DISPOSED',
    });
  });

  it('of the failed ones only those of the statuses named are asked again', async () => {
    const rowsBy = (status: string): AnnotationRow[] =>
      rowsOf(at('named.jsonl')).filter((row) => row.status === status);
    const isBroken = (calls: number): void => {
      if (calls < 3) throw new FaceLlmError('FACELLM_PROMPT_TOO_LONG', 'too long');
    };
    const first = await annotate(options('named.jsonl', { model: annotatingStub(isBroken) }));
    assert.equal(first.statuses['model-error'], 2);
    const unreadable = rowsBy('unreadable');
    let asked = 0;
    const model = annotatingStub((calls) => (asked = calls));
    // Found again as they were: a detector that finds nothing writes none of these rows.
    const again = { model, retryFailed: ['unreadable', 'no-face'] as const };
    const same = await annotate(options('named.jsonl', again));
    assert.deepEqual([asked, same.statuses], [0, first.statuses]);
    assert.deepEqual(rowsBy('unreadable'), unreadable);
    const last = await annotate(options('named.jsonl', { retryFailed: ['model-error'] }));
    assert.equal(last.statuses['model-error'], undefined);
    assert.deepEqual(readFileSync(at('named.jsonl')), readFileSync(at('out.jsonl')));
    await assert.rejects(
      async () => annotate(options('named.jsonl', { retryFailed: ['broken', 'ok'] as never })),
      (error: FaceLlmError) =>
        error.code === 'FACELLM_INVALID_ARGUMENT' &&
        ['"broken"', '"ok"'].every((name) => error.details.join().includes(name)),
    );
  });

  it('an export has the rows of the run that asked again', async () => {
    mkdirSync(at('worse'));
    const picture = { width: 64, height: 64, channels: 3 as const, background: 'black' };
    const bytes = await sharp({ create: picture }).png().toBuffer();
    writeFileSync(at('worse', 'black.png'), bytes);
    const own = { input: at('worse') };
    const first = await annotate(options('worse.jsonl', own));
    assert.deepEqual(first.statuses, { 'no-face': 1 });
    writeFileSync(at('worse', 'black.png'), 'words');
    const retryFailed = ['no-face'] as const;
    const again = await annotate(options('worse.jsonl', { ...own, retryFailed }));
    const rows = rowsOf(at('worse.jsonl'));
    const exported = await exportAnnotation({
      ...{ ...own, output: at('worse.jsonl'), questions: QUESTIONS },
    });
    assert.deepEqual(exported.statuses, again.statuses);
    assert.deepEqual(rowsOf(at('worse.jsonl')), rows);
    assert.equal(rows[0]?.status, 'no-face', 'what was found out stays');
  });

  it("chips are known as our own to a FaceLlm alone: another's model may write to them", async () => {
    for (const isFaceLlm of [false, true]) {
      const keys: (string | undefined)[] = [];
      const stub = annotatingStub();
      const spy = {
        ...{ fingerprint: 'stub', faces: undefined, contentHash: undefined },
        choose: (request: Parameters<typeof stub.choose>[0]) => {
          keys.push(keyOfOwn(request.image));
          return stub.choose(request);
        },
      };
      const model = Object.create(
        isFaceLlm ? FaceLlm.prototype : Object.prototype,
        Object.getOwnPropertyDescriptors(spy),
      ) as AnnotateOptions['model'];
      await annotate(options(`chips-${isFaceLlm}.jsonl`, { model }));
      assert.ok(keys.length > 3);
      assert.ok(keys.every((key) => (key !== undefined) === isFaceLlm));
    }
  });

  it('1, 2 and 3 processes write the same', async () => {
    mkdirSync(at('many'));
    for (let i = 0; i < 700; i++) {
      const data = {
        width: 1,
        height: 1,
        channels: 3 as const,
        background: { r: i % 256, g: i >> 8, b: 0 },
      };
      writeFileSync(at('many', `${i}.png`), await sharp({ create: data }).png().toBuffer());
    }
    const whole = { input: at('many'), faces: 'off' as const };
    await annotate(options('one.csv', whole));
    for (const size of [2, 3]) {
      const ranks = Array.from({ length: size }, (_, rank) =>
        annotate(
          options(`of-${size}.csv`, {
            ...whole,
            environment: { RANK: String(rank), WORLD_SIZE: String(size) },
          }),
        ),
      );
      const results = await Promise.all(ranks);
      assert.ok(results.some(({ outputs }) => outputs.length === 1));
      assert.deepEqual(readFileSync(at(`of-${size}.csv`)), readFileSync(at('one.csv')));
    }
  });

  it('asking again in two processes: what the other has not asked yet is missing, not failed', async () => {
    const isBroken = (): never => {
      throw new FaceLlmError('FACELLM_PROMPT_TOO_LONG', 'too long');
    };
    const whole = { input: at('many'), faces: 'off' as const };
    await annotate(options('again.csv', { ...whole, model: annotatingStub(isBroken) }));
    const again = (rank: number, retryId: string, model = annotatingStub()) =>
      annotate(
        options('again.csv', {
          ...{ ...whole, model, retryId, retryFailed: true },
          environment: { RANK: String(rank), WORLD_SIZE: '2' },
        }),
      );
    const first = await again(0, 'first');
    assert.deepEqual([first.missing, first.outputs], [256, []]);
    const second = await again(1, 'first', annotatingStub(isBroken));
    assert.deepEqual(second.statuses, { ok: 444, 'model-error': 256 });
    const idle = await again(0, 'second');
    assert.equal(idle.missing, 256);
    assert.deepEqual((await again(1, 'second')).statuses, { ok: 700 });
    assert.deepEqual(readFileSync(at('again.csv')), readFileSync(at('one.csv')));
  });

  it('options: unknown and wrong ones at once, before anything is written', async () => {
    const wrong = { ...options('wrong.jsonl'), limit: -1, ahead: 0, retryfailed: true } as never;
    await assert.rejects(
      async () => annotate(wrong),
      (error: FaceLlmError) =>
        error.code === 'FACELLM_INVALID_ARGUMENT' &&
        ['limit', 'ahead', 'retryFailed'].every((one) => error.details.join().includes(one)),
    );
    await assert.rejects(
      async () => annotate(options('wrong.jsonl', { faces: { wich: 'each' } as never })),
      {
        code: 'FACELLM_INVALID_ARGUMENT',
      },
    );
    assert.ok(!existsSync(at('wrong.jsonl.work')));
  });

  it('a list with the line ends of another system', async () => {
    writeFileSync(at('pictures', 'list.txt'), 'A000014.jpg\r\nA000109.jpg\r\n');
    const more = { input: at('pictures', 'list.txt') };
    const { statuses } = await annotate(options('listed.jsonl', more));
    assert.deepEqual(statuses, { ok: 2 });
    rmSync(at('pictures', 'list.txt'));
  });

  it('questions: everything that is wrong at once', () => {
    const wrong = [
      { name: 'a b', question: '', choices: ['one'] },
      { name: 'score', question: 'x', choices: ['a', 'b'], values: [1] },
      { name: 'x', question: 'x', choices: ['A', 'a'] },
    ];
    assert.throws(
      () => checkQuestions(wrong),
      (error: FaceLlmError) =>
        error.code === 'FACELLM_QUESTIONS_INVALID' && error.details.length >= 4,
    );
    assert.throws(
      () => checkQuestions([{ name: 'x', question: 'x', choices: ['A', 'a'] }]),
      /two columns would be named x_p_a/,
    );
  });
});
