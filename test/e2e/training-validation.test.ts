/** Validation while training: figures, groups, the best checkpoint, an early end, resumption, and data that overlap. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';

import {
  createModel,
  facellm1b,
  FaceLlm,
  nano,
  nanoShape,
  train,
  type TrainingEvent,
  type TrainingRecipe,
  type TrainOptions,
} from '../../lib/index.js';
import { readDataset } from '../../lib/data/index.js';
import { listCheckpoints } from '../../lib/training/checkpoint-folder.js';
import { splitRecords } from '../../lib/training/validation/split.js';
import { TEST_DEVICE } from '../support/golden.js';

const QUESTION = 'Which colour?';
const COLOURS = ['red', 'blue'] as const;
const PEOPLE = 24;

type ValidationEvent = Extract<TrainingEvent, { type: 'validation' }>;

describe('end to end: validation while training', function () {
  this.timeout(300_000);
  let folder: string;
  let model: string;
  const at = (...names: string[]): string => join(folder, ...names);

  function records(first = 0, count = PEOPLE) {
    return Array.from({ length: count }, (_, k) => {
      const i = first + k;
      const colour = COLOURS[i % 2] ?? 'red';
      const facts = { person: `p${i}`, gender: i % 4 < 2 ? 'Female' : 'Male' };
      const turns = (question: string, answer: string) => [
        { from: 'human', value: `<image>\n${question}` },
        { from: 'gpt', value: answer },
      ];
      return [
        { conversations: turns(QUESTION, colour), images: [`${i}.png`], ...facts },
        {
          conversations: turns('Describe it.', `it is ${colour} ${i % 7}`),
          images: [`${i}.png`],
          ...facts,
        },
      ];
    }).flat();
  }

  function write(name: string, list: unknown): string {
    writeFileSync(at(name), JSON.stringify(list));
    return at(name);
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-validation-'));
    for (let i = 0; i < PEOPLE + 4; i++) {
      const background = i % 2 === 0 ? { r: 200, g: 20, b: i } : { r: 20, g: i, b: 200 };
      const create = { width: 32, height: 32, channels: 3 as const, background };
      await sharp({ create })
        .png()
        .toFile(at(`${i}.png`));
    }
    write('data.json', records());
    model = at('model');
    const shape = {
      ...nanoShape(),
      ...{ imageSize: 32, patchSize: 8, visionLayers: 1, textLayers: 1 },
    };
    const texts = [`user\n${QUESTION} Describe it.`, 'assistant\nred blue it is 0 1 2 3 4 5 6'];
    await createModel({ output: model, texts, shape });
  });
  after(() => rmSync(folder, { recursive: true }));

  function options(output: string, recipe: Partial<TrainingRecipe> = {}): TrainOptions {
    return {
      ...{ model, data: at('data.json'), output: at(output), device: TEST_DEVICE },
      recipe: {
        ...nano(),
        ...{ learningRate: 2e-3, batchSize: 8, maxSteps: 12, saveEvery: 0, keepCheckpoints: 1 },
        ...{ validation: { share: 0.25, by: 'person' }, evaluateEvery: 3 },
        ...recipe,
      },
    };
  }

  async function validations(wanted: TrainOptions) {
    const run = train(wanted);
    const events: ValidationEvent[] = [];
    for await (const event of run) if (event.type === 'validation') events.push(event);
    return { events, result: await run };
  }

  it('tells losses, accuracy and groups every so many updates; the result is the best checkpoint', async () => {
    const { events, result } = await validations(options('run'));
    assert.deepEqual(
      events.map(({ step }) => step),
      [3, 6, 9, 12],
    );
    for (const { samples, closedSamples, loss, accuracy, groups } of events) {
      // A quarter of 24 people, two questions each, one of them closed.
      assert.deepEqual([samples, closedSamples], [12, 6]);
      assert.ok(loss > 0 && accuracy !== undefined);
      assert.deepEqual(
        groups.map(({ fact }) => fact),
        ['gender', 'gender'],
      );
    }
    const best = events.reduce((least, one) => (one.loss < least.loss ? one : least));
    assert.deepEqual(result.best, { step: best.step, metric: 'loss', value: best.loss });
    assert.ok((await listCheckpoints(at('run'))).includes(best.step));
    const weights = (...names: string[]): Buffer =>
      readFileSync(at('run', ...names, 'model.safetensors'));
    assert.ok(weights().equals(weights(`checkpoint-${best.step}`)));

    // The log has LLaMA-Factory's key, and what the events said.
    const log = readFileSync(at('run', 'trainer_log.jsonl'), 'utf8').trim().split('\n');
    const lines = log.map((line) => JSON.parse(line) as Record<string, unknown>);
    const logged = lines.filter((line) => 'eval_loss' in line);
    assert.deepEqual(
      logged.map((line) => [line['current_steps'], line['eval_accuracy']]),
      events.map(({ step, accuracy }) => [step, accuracy]),
    );
  });

  it('accuracy is what choose() says of the same pictures', async () => {
    const held: string[] = [];
    const { recipe, data } = options('choose', { maxSteps: 6 });
    const { records: all } = await readDataset(data);
    const { validation: examined } = splitRecords(all, { share: 0.25, by: 'person' }, recipe.seed);
    const { events } = await validations({
      ...options('choose', { maxSteps: 6 }),
      async validate({ directory }) {
        // The folder is a whole model while the promise is pending.
        await using tuned = await FaceLlm.load(directory, { device: TEST_DEVICE });
        let right = 0;
        const asked = examined.filter(({ turns }) => turns[0]?.user.endsWith(QUESTION));
        for (const { images, turns } of asked) {
          const [image] = images;
          const { best } = await tuned.choose({ image, question: QUESTION, choices: COLOURS });
          if (best.text === turns[0]?.assistant) right++;
        }
        held.push(directory);
        return { chosen: right / asked.length };
      },
    });
    assert.ok(held.every((directory) => !existsSync(directory)));
    assert.deepEqual(
      events.map(({ own }) => own['chosen']),
      events.map(({ accuracy }) => accuracy),
    );
  });

  it('last: validation only tells; the result is the last weights, and the card says that nothing was chosen', async () => {
    const { events, result } = await validations(
      options('last', { bestMetric: 'last', keepCheckpoints: 4 }),
    );
    assert.deepEqual(
      events.map(({ step, isBest }) => [step, isBest]),
      [3, 6, 9, 12].map((step) => [step, false]),
    );
    assert.equal(result.best, undefined);
    // Nothing is saved for being the best.
    assert.deepEqual(await listCheckpoints(at('last')), [12]);
    const weights = (...names: string[]): Buffer =>
      readFileSync(at('last', ...names, 'model.safetensors'));
    assert.ok(weights().equals(weights('checkpoint-12')));
    const card = readFileSync(at('last', 'README.md'), 'utf8');
    const loss = (events.at(-1)?.loss ?? 0).toFixed(3);
    assert.match(
      card,
      new RegExp(`update 12, the last\\): loss ${loss}.*Nothing was chosen by them`),
    );
    assert.throws(() => train(options('no', { bestMetric: 'last', patience: 2 })), {
      code: 'FACELLM_INVALID_ARGUMENT',
      message: /recipe\.patience: expected a bestMetric to wait for; last names none/,
    });
  });

  it("ends by itself where nothing becomes better, and a figure of one's own may decide", async () => {
    const figures = [0.1, 0.5, 0.4, 0.3];
    const { events, result } = await validations({
      ...options('early', { bestMetric: 'mine', patience: 2, maxSteps: 30 }),
      validate: ({ step }) => Promise.resolve({ mine: figures[step / 3 - 1] ?? 1 }),
    });
    assert.equal(events.length, 4);
    assert.deepEqual(result.best, { step: 6, metric: 'mine', value: 0.5 });
    assert.deepEqual([result.isComplete, result.stoppedEarly, result.steps], [true, true, 12]);
    // Asked again it has nothing to do.
    const again = await validations({
      ...options('early', { bestMetric: 'mine', patience: 2, maxSteps: 30 }),
      validate: () => Promise.reject(new Error('nothing is validated')),
    });
    assert.deepEqual([again.events.length, again.result.best], [0, result.best]);
  });

  it('or lets its rate fall to zero first, in so many updates as it would have at its end', async () => {
    const figures = [0.1, 0.5, 0.4, 0.3, 0.45, 0.6];
    const recipe = { schedule: 'constant' as const, cooldown: 0.2, warmupSteps: 0, warmupRatio: 0 };
    const run = train({
      ...options('cooled', { ...recipe, bestMetric: 'mine', patience: 2, maxSteps: 30 }),
      validate: ({ step }) => Promise.resolve({ mine: figures[step / 3 - 1] ?? 0 }),
    });
    const totals: number[] = [];
    const rates: number[] = [];
    for await (const event of run) {
      if (event.type !== 'step') continue;
      totals.push(event.totalSteps);
      rates.push(event.learningRate / 2e-3);
    }
    const { steps, totalSteps, isComplete, stoppedEarly, best } = await run;
    assert.deepEqual([steps, totalSteps, isComplete, stoppedEarly], [18, 30, true, true]);
    assert.deepEqual(best, { step: 18, metric: 'mine', value: 0.6 });
    // Waiting ended after update 12, which was told as one of 30.
    assert.deepEqual([totals[11], totals[12], totals[17]], [30, 18, 18]);
    const falling = [6, 5, 4, 3, 2, 1].map((left) => left / 6);
    for (const [i, rate] of [...Array.from({ length: 12 }, () => 1), ...falling].entries()) {
      assert.ok(Math.abs((rates[i] ?? 0) - rate) < 1e-9, `update ${i}: ${rates[i]}`);
    }
  });

  it('resumed from any checkpoint it is the unbroken run, ended early or with a rate that falls', async () => {
    await isUnbroken({ patience: 3 });
    // Waiting ends after the second validation; four updates are left then.
    const falling = { schedule: 'constant', cooldown: 0.25, maxSteps: 16, patience: 1 } as const;
    const { steps } = await isUnbroken({ ...falling, bestMetric: 'mine' }, ({ step }) =>
      Promise.resolve({ mine: -step }),
    );
    assert.equal(steps, 10);
  });

  async function isUnbroken(changes: Partial<TrainingRecipe>, validate?: TrainOptions['validate']) {
    const own = (output: string): TrainOptions => ({
      ...options(output, { saveEvery: 2, keepCheckpoints: 0, ...changes }),
      ...(validate === undefined ? {} : { validate }),
    });
    const { events, result } = await validations(own('whole'));
    const steps = await listCheckpoints(at('whole'));
    for (const last of steps.slice(0, -1)) {
      cpSync(at('whole'), at('part'), { recursive: true });
      for (const step of steps) {
        if (step > last) rmSync(at('part', `checkpoint-${step}`), { recursive: true });
      }
      rmSync(at('part', 'model.safetensors'));
      const resumed = await validations(own('part'));
      assert.deepEqual(
        resumed.events.map(({ step, loss, isBest }) => [step, loss, isBest]),
        events
          .filter(({ step }) => step > last)
          .map(({ step, loss, isBest }) => [step, loss, isBest]),
        `after ${last}`,
      );
      assert.deepEqual(resumed.result.best, result.best);
      const weights = (run: string): Buffer => readFileSync(at(run, 'model.safetensors'));
      assert.ok(weights('part').equals(weights('whole')), `after ${last}`);
      rmSync(at('part'), { recursive: true });
    }
    rmSync(at('whole'), { recursive: true });
    return result;
  }

  it('without validation nothing changes: the same updates, the same weights', async () => {
    const off = { validation: null, evaluateEvery: 0 };
    const only = write('kept.json', records(0, 8));
    const plain = { ...options('plain', off), data: only };
    await train(plain);
    const own = { validation: { data: write('others.json', records(PEOPLE, 4)) }, patience: 0 };
    const { events } = await validations({ ...options('beside', own), data: only });
    assert.equal(events[0]?.samples, 8);
    const weights = (...names: string[]): Buffer => readFileSync(at(...names, 'model.safetensors'));
    assert.ok(weights('plain').equals(weights('beside', 'checkpoint-12')));
  });

  it('data of their own are told by what they hold: their file may move, and other records are another run', async () => {
    const only = write('learnt.json', records(0, 8));
    const run = (data: string) =>
      train({ ...options('own-data', { validation: { data }, maxSteps: 6 }), data: only });
    const first = await run(write('held.json', records(PEOPLE, 4)));
    const moved = await run(write('moved.json', records(PEOPLE, 4)));
    assert.deepEqual([moved.steps, moved.best], [first.steps, first.best]);
    await assert.rejects(async () => run(write('fewer.json', records(PEOPLE, 3))), {
      code: 'FACELLM_RUN_INVALID',
      message: /to validate with/,
    });
  });

  it('a picture that cannot be decoded is an error, or its record is left out and told once', async () => {
    const whole = readFileSync(at(`${PEOPLE}.png`));
    writeFileSync(at('cut.png'), whole.subarray(0, whole.length - 20));
    const others = records(PEOPLE, 4);
    const data = write('with-cut.json', [
      { ...others[0], images: ['cut.png'] },
      ...others.slice(2),
    ]);
    const own = { validation: { data }, maxSteps: 6 };
    await assert.rejects(async () => train(options('cut', own)), {
      code: 'FACELLM_IMAGE_INVALID',
      message: /record 0: .*cut\.png/,
    });
    const run = train({ ...options('without', own), onInvalid: 'skip' });
    const skips: string[] = [];
    const counts: number[] = [];
    for await (const event of run) {
      if (event.type === 'skip') skips.push(`${event.record}: ${event.problems.join()}`);
      if (event.type === 'validation') counts.push(event.samples);
    }
    assert.deepEqual(counts, [6, 6]);
    assert.equal(skips.length, 1);
    assert.match(skips[0] ?? '', /^0: not validated with: .*cut\.png/);
  });

  it('people or pictures on both sides, and metrics that cannot be, are refused before weights are read', async () => {
    const shared = { validation: { data: write('shared.json', records(0, 2)) } };
    await assert.rejects(async () => train(options('no', shared)), {
      code: 'FACELLM_DATA_INVALID',
      message: /shares pictures or people/,
      details: [0, 1, 2, 3].flatMap((index) => [
        `record ${index}: the picture ${at(`${Math.floor(index / 2)}.png`)} is learnt from, too`,
        `record ${index}: pictures of the person p${Math.floor(index / 2)} are learnt from, too`,
      ]),
    });
    // What else these data cannot give is told with it.
    const more = { ...shared, bestMetric: 'acuracy', balancesGroups: ['race'] as const };
    await assert.rejects(
      async () => train(options('no', more)),
      (error: { code: string; message: string; details: string[] }) => {
        assert.equal(error.code, 'FACELLM_DATA_INVALID');
        assert.match(error.message, /shares pictures or people.*; and the recipe asks for/);
        assert.match(error.details.join('\n'), /acuracy is none of[^]*key race[^]*person p1/);
        return error.details.length === 2 + 8;
      },
    );
    const open = records().filter((_, i) => i % 2 === 1);
    for (const [i, one] of open.entries())
      one.conversations[1] = { from: 'gpt', value: `it is ${i}` };
    const data = write(
      'open.json',
      open.map(({ conversations, images, person }) => ({ conversations, images, person })),
    );
    await assert.rejects(
      async () => train({ ...options('no', { bestMetric: 'worstGroupAccuracy' }), data }),
      { code: 'FACELLM_INVALID_ARGUMENT', message: /groups that its data cannot give/ },
    );
    // All at once, and nothing is begun.
    const wanted = { bestMetric: 'acuracy', balancesGroups: ['race', 'gender'] as const };
    const updates: number[] = [];
    const run = train({ ...options('nothing', wanted), data });
    await assert.rejects(
      async () => {
        for await (const event of run) if (event.type === 'step') updates.push(event.step);
        await run;
      },
      (error: { details: string[] }) => {
        assert.match(error.details.join('\n'), /acuracy is none of .*did you mean accuracy\?[^]*key race[^]*key gender/); // prettier-ignore
        return error.details.length === 3;
      },
    );
    assert.deepEqual([updates, existsSync(at('nothing', 'checkpoint-3'))], [[], false]);
    // Data that are not there hide nothing of what is wrong with the recipe, nor one file another.
    const { lora } = facellm1b();
    const absent = {
      ...{ lora, parts: [], learningRates: { vision: 1e-4 }, bestMetric: 'acuracy' },
      validation: { data: at('no-validation.json') },
    };
    await assert.rejects(
      async () => train({ ...options('no', absent), data: at('no-data.json') }),
      (error: { code: string; message: string; details: string[] }) => {
        assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
        const told = [error.message, ...error.details].join('\n');
        for (const one of [
          /no-data\.json/,
          /no-validation\.json/,
          /acuracy is none of/,
          /learningRates\.vision/,
        ])
          assert.match(told, one);
        return error.details.length === 2;
      },
    );
    assert.throws(
      () => train(options('no', { patience: 2, evaluateEvery: 0 })),
      /recipe\.patience: expected evaluateEvery above 0/,
    );
    assert.throws(() => train(options('no', { validation: null, patience: 2, bestMetric: 'x' })), {
      details: ['evaluateEvery', 'patience', 'bestMetric'].map(
        (key) => `recipe.${key}: expected validation, without which nothing is evaluated`,
      ),
    });
    await assert.rejects(async () => train(options('no', { bestMetric: 'acuracy' })), {
      code: 'FACELLM_INVALID_ARGUMENT',
      message: /acuracy is none of loss, accuracy/,
    });
  });
});
