/** A judge over generated answers: what is asked, what is dropped or marked, of whom, what a second call asks, and the sheet. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { parquetReadObjects } from 'hyparquet';

import { readDataset } from '../../lib/data/index.js';
import { decodeImage } from '../../lib/image/index.js';
import {
  type ChoosingModel,
  createModel,
  type GenerateOptions,
  generateDataset,
  type GenerationResult,
  type JudgeOptions,
  labelsTeacher,
  nanoShape,
} from '../../lib/index.js';
import { launchChromium, SHOTS } from '../support/chromium.js';
import { LabelledFaces } from '../support/labelled-faces.js';
import { type SeenFace, seeingJudge } from '../support/seeing-judge.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const COUNT = 6;

describe('e2e: a judge of generated data', function () {
  this.timeout(120_000);
  let faces: LabelledFaces;
  /** As labelled, but for val/2.jpg, whom the judge takes for a man. */
  let seen: SeenFace[];
  before(async () => {
    faces = await LabelledFaces.create(COUNT);
    const rows = readFileSync(faces.labels, 'utf8').trim().split('\n').slice(1);
    seen = rows.map((row) => {
      const [file = '', age = '', gender = '', race = ''] = row.split(',');
      const told = file === 'val/2.jpg' ? 'Male' : gender;
      return { file, answers: [age, told, race.replace('Latino_Hispanic', 'Latino or Hispanic')] };
    });
  });
  after(() => faces.remove());

  const judgeOf = (more: Partial<JudgeOptions> = {}): JudgeOptions => ({
    model: seeingJudge(faces.folder, seen),
    ...more,
  });
  const make = (
    name: string,
    judge: JudgeOptions | undefined,
    more: Partial<GenerateOptions> = {},
  ): Promise<GenerationResult> =>
    generateDataset({
      ...{ labels: faces.labels, images: faces.folder, output: faces.output(name) },
      ...{ teacher: labelsTeacher(), prompts: 'attributes', judge, ...more },
    }).then((result) => result);
  const lines = (...names: string[]): Record<string, unknown>[] =>
    readFileSync(faces.output(join(...names)), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const ids = (name: string): unknown[] =>
    (JSON.parse(readFileSync(faces.output(join(name, 'dataset.json')), 'utf8')) as { id: unknown }[]).map(({ id }) => id); // prettier-ignore

  it('drops what it does not see, keeps the rest, and says of whom', async () => {
    const { judgement, answered, statistics, files } = await make('drop', judgeOf());
    assert.ok(judgement !== undefined);
    assert.deepEqual([answered, judgement.judged, judgement.doubtful], [18, 18, 1]);
    assert.equal(statistics.pairs, 17);
    assert.ok(!ids('drop').includes('val/2.jpg#gender'));
    const aside = lines('drop', 'set_aside.jsonl').filter(({ reason }) => reason === 'judge');
    assert.deepEqual(aside, [{ id: 'val/2.jpg#gender', reason: 'judge', detail: 'Female 0.1' }]);
    // Three women, one of them doubted, of three answers each.
    const groups = judgement.groups.filter(({ by }) => by === 'gender');
    assert.deepEqual(groups, [
      { by: 'gender', group: 'Male', judged: 9, doubtful: 0 },
      { by: 'gender', group: 'Female', judged: 9, doubtful: 1 },
    ]);
    assert.deepEqual(judgement.byQuestion['gender'], { judged: 6, doubtful: 1 });
    assert.ok(files.includes('judge.html'));
    const card = readFileSync(faces.output('drop/README.md'), 'utf8');
    assert.match(card, /## Judge[^]*\| gender Female \| 9 \| 1 \| 11\.1 % \|/);
    assert.match(card, /^17 question-answer pairs/m);
  });

  it('marks instead, for readers of records and of the table', async () => {
    const { statistics } = await make('mark', judgeOf({ action: 'mark' }));
    assert.equal(statistics.pairs, 18);
    const path = faces.output('mark/dataset.json');
    const records = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>[];
    const doubted = records.filter((one) => one['judge_doubtful'] === true);
    assert.deepEqual(
      doubted.map(({ id, judge_support }) => [id, judge_support]),
      [['val/2.jpg#gender', 0.1]],
    );
    const file = readFileSync(faces.output('mark/dataset.parquet'));
    const buffer = file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength);
    const rows = (await parquetReadObjects({ file: buffer })) as Record<string, unknown>[];
    assert.deepEqual(
      rows.map((row) => [row['id'], Boolean(row['judge_doubtful'])]),
      records.map((one) => [one['id'], one['judge_doubtful']]),
    );
    assert.equal((await readDataset(faces.output('mark'))).records.length, 18);
  });

  it('asks nothing again, whatever the threshold; another judge is asked anew', async () => {
    const asked: string[] = [];
    const onAsk = (file: string): void => void asked.push(file);
    const model = seeingJudge(faces.folder, seen, { onAsk });
    const dropped = readFileSync(faces.output('drop/dataset.json'), 'utf8');
    const same = await make('drop', { model });
    assert.deepEqual([asked, same.judgement?.doubtful], [[], 1]);
    assert.equal(readFileSync(faces.output('drop/dataset.json'), 'utf8'), dropped);
    const strict = await make('drop', { model, threshold: 0.95, action: 'mark' });
    // Of ages the neighbours count, too, which the stub gives an eighth of a tenth each.
    assert.deepEqual(asked, []);
    assert.ok((strict.judgement?.doubtful ?? 0) >= 12, JSON.stringify(strict.judgement));
    const other = seeingJudge(faces.folder, seen, { name: 'other', onAsk });
    await make('drop', { model: other });
    assert.equal(asked.length, COUNT);
    const journals = readdirSync(faces.output('drop')).filter((one) => one.startsWith('judge-'));
    assert.equal(journals.length, 2);
  });

  it('stopped and failing in the middle it goes on where it was, and ends in the same bytes', async () => {
    await make('whole', judgeOf());
    let calls = 0;
    const run = generateDataset({
      ...{ labels: faces.labels, images: faces.folder, output: faces.output('part') },
      ...{ teacher: labelsTeacher(), prompts: 'attributes' },
      judge: judgeOf({
        model: seeingJudge(faces.folder, seen, {
          onAsk: () => {
            if (++calls === 2) run.stop();
          },
        }),
      }),
    });
    const stopped = await run;
    assert.equal(stopped.end, 'stopped');
    assert.ok((stopped.judgement?.open ?? 0) > 0);
    // What is not judged yet is not in the dataset, and said so.
    const open = lines('part', 'set_aside.jsonl').filter(({ reason }) => reason === 'judge_open');
    assert.equal(open.length, stopped.judgement?.open);
    assert.equal(stopped.statistics.pairs + open.length + (stopped.judgement?.doubtful ?? 0), 18);
    const failing = seeingJudge(faces.folder, seen, { onAsk: (file) => assert.notEqual(file, 'val/6.jpg', 'gone') }); // prettier-ignore
    await assert.rejects(make('part', judgeOf({ model: failing })), /gone/);
    const end = await make('part', judgeOf());
    assert.equal(end.end, 'complete');
    for (const name of ['dataset.json', 'set_aside.jsonl', 'judge.html']) {
      const [part, whole] = ['part', 'whole'].map((one) => readFileSync(faces.output(join(one, name)), 'utf8')); // prettier-ignore
      assert.equal(part, whole, name);
    }
  });

  it('open answers claim the labels that they may speak of; others claim nothing and stay', async () => {
    const { judgement, statistics } = await make('open', judgeOf(), { prompts: 'fairfacegpt' });
    assert.ok(judgement !== undefined);
    // Of eight questions `demographic_attributes` and `detail` speak of gender, age and race.
    assert.deepEqual([judgement.judged, judgement.noClaim], [2 * COUNT, 6 * COUNT]);
    assert.deepEqual([judgement.doubtful, statistics.pairs], [2, 8 * COUNT - 2]);
    const html = readFileSync(faces.output('open/judge.html'), 'utf8');
    assert.match(html, /gender: claims Female[^]*age: claims[^]*race: claims/);
  });

  it('a picture that cannot be shown to the judge keeps its answers, counted', async () => {
    const path = join(faces.folder, 'val', '3.jpg');
    const bytes = readFileSync(path);
    try {
      const model = seeingJudge(faces.folder, seen);
      writeFileSync(path, 'words');
      const decoding: ChoosingModel = {
        ...model,
        choose: async (options) => {
          await decodeImage(options.image as Uint8Array);
          return model.choose(options);
        },
      };
      // Labels are checked by name alone; the picture is met when it is shown.
      const { judgement, statistics } = await make('unseen', judgeOf({ model: decoding }));
      assert.deepEqual([judgement?.unjudged, judgement?.judged, statistics.pairs], [3, 15, 17]);
    } finally {
      writeFileSync(path, bytes);
    }
  });

  it('a picture that could not be read is asked about by the next call, a changed one again', async () => {
    const path = join(faces.folder, 'val', '3.jpg');
    const bytes = readFileSync(path);
    const asked: string[] = [];
    const onAsk = (file: string): void => void asked.push(file);
    const model = seeingJudge(faces.folder, seen, { onAsk });
    try {
      // Gone while the teacher writes, after the labels were checked.
      const teacher = labelsTeacher();
      const answer = teacher.answer.bind(teacher);
      teacher.answer = (request, signal) => {
        rmSync(path, { force: true });
        return answer(request, signal);
      };
      const unread = await make('passing', { model }, { teacher });
      assert.deepEqual([unread.judgement?.unjudged, asked.length], [3, COUNT - 1]);
      writeFileSync(path, bytes);
      asked.length = 0;
      const read = await make('passing', { model });
      assert.deepEqual([read.judgement?.unjudged, asked], [0, ['val/3.jpg']]);
      // Another picture under the name: what was said of the first says nothing of it.
      writeFileSync(path, readFileSync(join(faces.folder, 'val', '2.jpg')));
      asked.length = 0;
      await make('passing', { model });
      assert.deepEqual(asked, ['val/2.jpg']);
    } finally {
      writeFileSync(path, bytes);
    }
  });

  it('wrong options are refused at once, all of them', async () => {
    const wrong = { model: {}, threshold: 2, action: 'burn', sheetRows: -1, other: 1 };
    await assert.rejects(
      make('wrong', wrong as unknown as JudgeOptions),
      (error: { details: string[] }) => {
        assert.equal(error.details.length, 5, error.details.join('\n'));
        return error.details.every((detail) => detail.includes('judge'));
      },
    );
    assert.ok(!existsSync(faces.output('wrong')));
  });

  it('the command loads the judge, judges, and tells of whom it doubts', async () => {
    const model = faces.output('model');
    const shape = { ...nanoShape(), ...{ imageSize: 32, visionLayers: 1, textLayers: 1 } };
    const texts = ['What is the gender of the person in this picture? Answer Male or Female.'];
    await createModel({ output: model, texts, shape });
    const generate = (name: string, ...args: string[]) =>
      spawnSync(
        process.execPath,
        [
          ...[MAIN, 'generate', '--labels', faces.labels, '--images', faces.folder],
          ...['--teacher', 'labels', '--prompts', 'attributes', '--questions', 'gender'],
          ...['--output', faces.output(name), ...args],
        ],
        { encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' } },
      );
    const own = ['--judge', model, '--device', 'cpu', '--threads', '1'];
    const all = generate('cli', ...own, '--judge-threshold', '1', '--judge-action', 'mark');
    assert.equal(all.status, 0, all.stderr);
    assert.match(all.stdout, /judged 6 answers: 6 \(100\.0 %\) below 1 marked; \w+ /);
    // Random weights: what was said is kept, and nothing is asked again.
    const none = generate('cli', ...own, '--judge-threshold', '0', '--json');
    assert.equal(none.status, 0, none.stderr);
    const { judgement, statistics } = JSON.parse(none.stdout) as GenerationResult;
    assert.deepEqual([judgement?.judged, judgement?.doubtful, statistics.pairs], [6, 0, 6]);
    assert.equal(lines('cli', readdirSync(faces.output('cli')).find((one) => one.startsWith('judge-')) ?? '').length, COUNT); // prettier-ignore
    const alone = generate('alone', '--judge-threshold', '0.5');
    assert.deepEqual([alone.status, existsSync(faces.output('alone'))], [2, false]);
    assert.match(alone.stderr, /need --judge MODEL/);
  });

  it('the sheet holds the least supported first, escaped, and fits any width, light and dark', async function () {
    await make('sheet', judgeOf({ sheetRows: 5 }));
    const path = faces.output('sheet/judge.html');
    const html = readFileSync(path, 'utf8');
    assert.equal(html.match(/<article>/g)?.length, 5);
    assert.match(html, /5 of 18 judged answers[^]*1 are below 0\.2 and dropped/);
    const [, first = ''] = html.split('<article>');
    assert.match(first, /val\/2\.jpg[^]*mark bad">dropped[^]*claims Female/);
    assert.doesNotMatch(html, /<script|https?:|url\(/);
    rmSync(path);
    await make('sheet', judgeOf({ sheetRows: 0 }));
    assert.ok(!existsSync(path));
    await make('sheet', judgeOf({ action: 'mark' }));
    const browser = await launchChromium(this);
    try {
      for (const width of [400, 1200]) {
        for (const colorScheme of ['light', 'dark'] as const) {
          const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
          await page.goto(pathToFileURL(path).href);
          const wide = await page.evaluate<number>('document.documentElement.scrollWidth');
          const broken = await page.evaluate<number>('[...document.images].filter((one) => one.complete && one.naturalWidth === 0).length'); // prettier-ignore
          assert.deepEqual([wide <= width, broken], [true, 0]);
          if (SHOTS !== undefined) {
            await page.screenshot({ path: join(SHOTS, `judge-${width}-${colorScheme}.png`) });
          }
          await page.close();
        }
      }
    } finally {
      await browser.close();
    }
  });
});
