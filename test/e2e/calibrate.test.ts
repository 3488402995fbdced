/** `facellm calibrate` on labelled pictures, whole, stopped and refused; its file in choose, extract, annotate and the server. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  annotate,
  calibrate,
  type CalibrateOptions,
  type CalibrationFile,
  evaluate,
  FaceLlm,
  loadCalibration,
} from '../../lib/index.js';
import { sharesAt } from '../../lib/calibration/temperature.js';
import * as golden from '../support/golden.js';
import { LabelledFaces } from '../support/labelled-faces.js';
import { CHECKPOINT, dataUrl, post, serveTiny } from '../support/server.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const ADAPTER = join(golden.GOLDEN, 'train-lora', 'adapter_final');
const LOAD = { dtype: 'fp32', threads: 1, device: 'cpu', deterministic: true } as const;
const GENDER = { question: 'Is the person male or female?', choices: ['Male', 'Female'] };

const read = (path: string): CalibrationFile =>
  JSON.parse(readFileSync(path, 'utf8')) as CalibrationFile;

describe('calibrate', () => {
  let faces: LabelledFaces;
  let options: CalibrateOptions;
  let path: string;
  let file: CalibrationFile;
  let question: { readonly question: string; readonly choices: readonly string[] };
  before(async () => {
    faces = await LabelledFaces.create(40);
    options = {
      ...LOAD,
      ...{ benchmark: 'attributes', attributes: ['gender'], data: faces.folder, charts: false },
      ...{ model: CHECKPOINT, output: faces.output('calibration') },
      prompt: { tiling: 'off' },
    };
    const result = await calibrate(options);
    path = result.file ?? '';
    file = read(path);
    const { question: text, choices } = file.questions[0] ?? GENDER;
    question = { question: text, choices };
  });
  after(() => faces.remove());

  const photo = (): string => join(faces.folder, 'val', '3.jpg');
  const load = (more: object = {}): Promise<FaceLlm> =>
    FaceLlm.load(CHECKPOINT, { ...LOAD, ...more });
  const asked = () => ({ image: photo(), ...question, tiling: 'off' as const });

  it('writes figures of what evaluate finds, before and after, over all pictures and by group', async () => {
    const output = faces.output('evaluation');
    const run = await evaluate({ ...options, output, reading: 'probability' });
    const figures = run.summary?.models[0]?.figures ?? {};
    const [gender] = file.questions;
    assert.ok(gender !== undefined && gender.temperature > 0);
    assert.equal(gender.ece.before.toFixed(9), figures['gender.ece.probability']?.toFixed(9));
    assert.equal(gender.accuracy, figures['gender.accuracy.probability']);
    assert.notEqual(gender.nll.after, gender.nll.before);
    const groups = gender.groups.filter(({ by }) => by === 'gender');
    assert.deepEqual(
      groups.map(({ group, count }) => [group, count]),
      [
        ['Female', 20],
        ['Male', 20],
      ],
    );
    const [{ group } = { group: '' }] = gender.groups.filter(({ by }) => by === 'age');
    assert.equal(group, '0-2', 'ages stand in their order');
    const report = readFileSync(join(options.output, 'report', 'calibration.md'), 'utf8');
    assert.match(report, /ECE before.*ECE after/);
    assert.match(report, /gender by race/);
    const csv = readFileSync(join(options.output, 'report', 'calibration.csv'), 'utf8');
    assert.match(csv, /^gender,race,/m);
  });

  it('makes the same file again, asking nothing, and goes on after a stop', async () => {
    const bytes = readFileSync(path, 'utf8');
    await calibrate(options);
    assert.equal(readFileSync(path, 'utf8'), bytes);
    const other = { ...options, output: faces.output('stopped'), batchSize: 1 };
    const run = calibrate(other);
    for await (const event of run) {
      if (event.type === 'batch' && event.done >= 5) run.stop();
    }
    const stopped = await run;
    assert.ok(stopped.missing > 0 && stopped.file === undefined);
    const whole = await calibrate(other);
    assert.deepEqual(read(whole.file ?? '').questions, file.questions);
  });

  it('scales what choose tells, and leaves that as it was', async () => {
    const calibration = await loadCalibration(path);
    await using model = await load();
    const plain = await model.choose(asked());
    const result = await model.choose({ ...asked(), calibration });
    assert.deepEqual(result.choices, plain.choices);
    assert.equal(plain.calibrated, undefined);
    const temperature = file.questions[0]?.temperature ?? NaN;
    const logProbs = plain.choices.map(({ logProb }) => logProb);
    assert.deepEqual(result.calibrated, {
      probabilities: sharesAt(logProbs, temperature),
      temperature,
    });
    const [item] = await model.choose({
      ...{ image: photo(), tiling: 'off', calibration },
      items: [{ ...question, choices: [...question.choices].reverse() }],
    });
    const turned = [...(item?.calibrated?.probabilities ?? [])].reverse();
    turned.forEach((share, i) => {
      assert.ok(Math.abs(share - (result.calibrated?.probabilities[i] ?? NaN)) < 1e-6);
    });
  });

  it('is refused by name for another model, form or question, before anything is computed', async () => {
    const calibration = await loadCalibration(path);
    await using model = await load();
    const refused = (more: object, message: RegExp): Promise<void> =>
      assert.rejects(model.choose({ ...asked(), calibration, ...more }), message);
    await refused({ question: 'Old?' }, /"Old\?": not in it/);
    await refused({ tiling: { maxTiles: 2 } }, /tiles: fitted with "1\.\.1", now/);
    await refused({ system: 'Hm.' }, /system: fitted with "", now "Hm\."/);
    await refused({ includeEnd: false }, /includeEnd: expected true beside a calibration/);
    const adapter = await model.loadAdapter(ADAPTER);
    await refused({ adapters: adapter }, /adapters: fitted with none, now adapter_final/);
    await using other = await load({ dtype: 'bf16' });
    await assert.rejects(
      other.choose({ ...asked(), calibration }),
      /dtype: fitted with fp32, now bf16/,
    );
  });

  it('of an adapter is for that adapter, at the scale it was fitted with', async () => {
    const output = faces.output('adapted');
    const { file: adapted = '' } = await calibrate({ ...options, output, adapter: ADAPTER });
    const calibration = await loadCalibration(adapted);
    assert.equal(calibration.file.model.adapters[0]?.name, 'adapter_final');
    await using model = await load({ adapter: ADAPTER });
    assert.ok((await model.choose({ ...asked(), calibration })).calibrated);
    const half = await model.loadAdapter(ADAPTER, { scale: 0.5, name: 'half' });
    await assert.rejects(
      model.choose({ ...asked(), adapters: half, calibration }),
      /adapters: fitted with adapter_final/,
    );
  });

  it('of a schema scales its fields in extract, and nothing of another schema', async () => {
    const gender = { enum: ['Male', 'Female'] };
    const schema = {
      type: 'object',
      properties: { gender, hair: { enum: ['dark', 'fair'] } },
      required: ['gender', 'hair'],
      additionalProperties: false,
    };
    const extract = { question: 'Describe this face.', schema };
    const output = faces.output('fields');
    const { file: fields = '' } = await calibrate({ ...options, output, extract });
    const [fitted] = read(fields).questions;
    assert.equal(fitted?.field?.path, '/gender');
    const calibration = await loadCalibration(fields);
    await using model = await load();
    const request = { image: photo(), ...extract, tiling: 'off' as const };
    const plain = await model.extract(request);
    // Titles are no part of what is held to.
    const titled = { ...schema, title: 'A face' };
    const result = await model.extract({ ...request, schema: titled, calibration });
    assert.deepEqual(result.value, plain.value);
    const [own, hair] = result.fields;
    assert.equal(hair?.calibratedProbability, undefined);
    const all = own === undefined ? [] : [own, ...own.alternatives];
    assert.deepEqual(
      all.map(({ calibratedProbability }) => calibratedProbability),
      sharesAt(
        all.map(({ logProb }) => logProb),
        fitted.temperature,
      ),
    );
    const wider = { ...schema, properties: { gender, hair: { enum: ['dark', 'fair', 'none'] } } };
    await assert.rejects(
      model.extract({ ...request, schema: wider, calibration }),
      /"Describe this face\." with this schema: no field of it is in it/,
    );
    const wrong = {
      ...options,
      output: faces.output('none'),
      extract: {
        ...extract,
        schema: {
          type: 'object',
          properties: { gender: { type: 'string' } },
          required: ['gender'],
        },
      },
    };
    await assert.rejects(
      async () => calibrate(wrong),
      /gender: expected an enum of \["Male","Female"\]/,
    );
    const cut = faces.output('cut');
    const short = { ...extract, maxNewTokens: 2 };
    await assert.rejects(async () => calibrate({ ...options, output: cut, extract: short }), {
      code: 'FACELLM_CALIBRATION_INVALID',
      message: /gender: 0 labelled answers/,
    });
    // 64 is what an evaluation records of its own replies.
    for (const maxNewTokens of [undefined, 64]) {
      const again = { ...options, output: cut, extract: { ...extract, maxNewTokens } };
      await assert.rejects(async () => calibrate(again), /maxNewTokens/);
    }
    const [journal = ''] = readdirSync(cut).filter((name) => name.endsWith('.jsonl'));
    assert.match(readFileSync(join(cut, journal), 'utf8'), /give it more \(maxNewTokens/);
    await using server = await serveTiny(model, { calibration: [calibration] });
    const body = { images: [dataUrl(readFileSync(photo()), 'jpeg')], ...extract, tiles: 'off' };
    const reply = await post(server, '/v1/extract', body);
    const [sent] = reply.json['fields'] as { calibrated_probability?: number }[];
    assert.equal(sent?.calibrated_probability, own?.calibratedProbability);
  });

  it('is told by the server beside raw probabilities, of questions that it knows', async () => {
    const calibration = await loadCalibration(path);
    await using model = await load();
    await using server = await serveTiny(model, { calibration });
    const images = [dataUrl(readFileSync(photo()), 'jpeg')];
    const items = [question, { question: 'Old?', choices: ['Yes', 'No'] }];
    const reply = await post(server, '/v1/choose', { images, items, tiles: 'off' });
    const results = reply.json['results'] as { calibrated?: object }[];
    const own = await model.choose({ ...asked(), calibration });
    assert.deepEqual(results[0]?.calibrated, own.calibrated);
    assert.ok(results[1] !== undefined && !('calibrated' in results[1]));
    // Cut in tiles, it is another question.
    const tiled = await post(server, '/v1/choose', { images, items });
    assert.doesNotMatch(tiled.text, /calibrated/);
    await using other = await load({ dtype: 'bf16' });
    await assert.rejects(serveTiny(other, { calibration }), {
      code: 'FACELLM_CALIBRATION_MISMATCH',
      message: /calibration\.json: dtype: fitted with fp32, now bf16/,
    });
  });

  it('adds columns to annotate, and ends it for another question', async () => {
    const output = faces.output('whole');
    // annotate asks in the model's own form.
    const { file: whole = '' } = await calibrate({ ...options, output, prompt: {} });
    const calibration = await loadCalibration(whole);
    await using model = await load();
    const table = faces.output('table.csv');
    const questions = [{ name: 'gender', ...question }];
    const run = { input: faces.folder, model, faces: 'off', limit: 2 } as const;
    await annotate({ ...run, output: table, questions, calibration });
    const [titles = '', row = ''] = readFileSync(table, 'utf8').split(/\r?\n/);
    const cells = Object.fromEntries(titles.split(',').map((name, i) => [name, row.split(',')[i]]));
    const sum =
      Number(cells['gender_calibrated_p_male']) + Number(cells['gender_calibrated_p_female']);
    assert.ok(Math.abs(sum - 1) < 1e-6);
    assert.notEqual(cells['gender_calibrated_p'], cells['gender_p']);
    const others = [{ name: 'old', question: 'Old?', choices: ['Yes', 'No'] }];
    await assert.rejects(
      async () =>
        annotate({ ...run, output: faces.output('other.csv'), questions: others, calibration }),
      /"Old\?": not in it/,
    );
  });

  it('refuses too few labels and wrong options by name', async () => {
    const few = { ...options, output: faces.output('few'), limit: 8 };
    await assert.rejects(async () => calibrate(few), {
      code: 'FACELLM_CALIBRATION_INVALID',
      message: /gender: 8 labelled answers, expected at least 30/,
    });
    const wrong = { ...options, reading: 'text', folds: 1 } as unknown as CalibrateOptions;
    assert.throws(
      () => calibrate(wrong),
      (error: { readonly details: readonly string[] }) => {
        assert.match(error.details.join('\n'), /reading: there is no such field/);
        assert.match(error.details.join('\n'), /folds: expected a whole number of 2\.\.100/);
        return true;
      },
    );
  });

  it('runs as a command, and choose takes its file', () => {
    const facellm = (...args: string[]) =>
      spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
    const model = ['--model', CHECKPOINT, '--dtype', 'fp32', '--threads', '1', '--tiles', 'off'];
    const output = faces.output('command');
    const run = facellm(
      ...['calibrate', '--benchmark', 'attributes', '--attributes', 'gender', '--no-charts'],
      ...['--data', faces.folder, '--output', output, ...model],
    );
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stdout, /temperature +n +accuracy +ECE before +ECE after/);
    assert.match(run.stderr, /model: 40\/40/);
    const written = join(output, 'calibration.json');
    const { question: text, choices } = question;
    const chosen = facellm(
      ...['choose', photo(), text, '--choices', ...choices, ...model],
      ...['--calibration', written, '--json'],
    );
    assert.equal(chosen.status, 0, chosen.stderr);
    assert.match(chosen.stdout, /"calibratedProbability":0\.\d+.*"temperature":/);
    const damaged = faces.output('damaged.json');
    writeFileSync(damaged, '{}');
    const refused = facellm(
      ...['choose', photo(), text, '--choices', ...choices, ...model, '--calibration', damaged],
    );
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /is no calibration that `facellm calibrate` has written/);
    const half = facellm(
      ...['calibrate', '--benchmark', 'attributes', '--data', faces.folder, '--output', output],
      ...[...model, '--schema', damaged],
    );
    assert.equal(half.status, 2);
    assert.match(half.stderr, /--schema and --question belong together/);
    const most = facellm(
      ...['calibrate', '--benchmark', 'attributes', '--data', faces.folder, '--output', output],
      ...[...model, '--max-new-tokens', '9'],
    );
    assert.equal(most.status, 2);
    assert.match(most.stderr, /--max-new-tokens is of theirs/);
  });
});
