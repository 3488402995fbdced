/** `facellm evaluate --calibration`: calibrated probabilities in the report, of the models and questions that a file is for alone. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  calibrate,
  type CalibrationFile,
  evaluate,
  type EvaluateOptions,
  loadCalibration,
} from '../../lib/index.js';
import { sharesAt } from '../../lib/calibration/temperature.js';
import { calibration as errorOf } from '../../lib/evaluation/metrics/calibration.js';
import type { ItemOutcome, UsedCalibration } from '../../lib/evaluation/types.js';
import { sha256 } from '../../lib/files/index.js';
import * as golden from '../support/golden.js';
import { LabelledFaces } from '../support/labelled-faces.js';
import { CHECKPOINT } from '../support/server.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const ADAPTER = join(golden.GOLDEN, 'train-lora', 'adapter_final');
const MODEL = ['--model', CHECKPOINT, '--dtype', 'fp32', '--threads', '1', '--tiles', 'off'];

const outcomesOf = (output: string, model = 'base'): ItemOutcome[] =>
  readFileSync(join(output, `questions-${model}.jsonl`), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ItemOutcome);

const first = (shares: readonly number[] = []): number => shares.indexOf(Math.max(...shares));

describe('evaluate with a calibration', () => {
  let fitted: LabelledFaces;
  let others: LabelledFaces;
  let path: string;
  let shared: Omit<EvaluateOptions & { readonly benchmark: 'attributes' }, 'data' | 'output'>;
  before(async () => {
    fitted = await LabelledFaces.create(40);
    others = await LabelledFaces.create(34);
    shared = {
      ...{ benchmark: 'attributes', attributes: ['gender'], charts: false, gallery: 0 },
      ...{ dtype: 'fp32', threads: 1, device: 'cpu', model: CHECKPOINT },
      prompt: { tiling: 'off' },
    };
    const options = { ...shared, data: fitted.folder, output: fitted.output('fit') };
    path = (await calibrate(options)).file ?? '';
  });
  after(() => {
    fitted.remove();
    others.remove();
  });

  const facellm = (...args: string[]) =>
    spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
  const command = (output: string, ...more: string[]) =>
    facellm(
      ...['evaluate', '--benchmark', 'attributes', '--attributes', 'gender', '--no-charts'],
      ...[
        '--data',
        others.folder,
        '--output',
        output,
        '--reading',
        'probability',
        ...MODEL,
        ...more,
      ],
    );

  it('tells ECE before and after beside each other, overall and by group, and changes no answer', () => {
    const plain = others.output('plain');
    const output = others.output('scaled');
    assert.equal(command(plain).status, 0);
    const run = command(output, '--adapter', ADAPTER, '--calibration', path);
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stdout, /ECE +calibrated ECE/);
    const text = (folder: string, name: string): string =>
      readFileSync(join(folder, 'report', name), 'utf8');
    // Without a file nothing is called so.
    for (const name of ['fairness.md', 'fairness.json', 'fairness.csv']) {
      assert.doesNotMatch(text(plain, name), /calibrated/i);
    }

    // What the questions' log says is what the file's temperature makes of the model's own.
    const { temperature = NaN } =
      (JSON.parse(readFileSync(path, 'utf8')) as CalibrationFile).questions[0] ?? {};
    const own = outcomesOf(plain);
    const scaled = outcomesOf(output);
    own.forEach(({ probabilities = [] }, i) => {
      assert.deepEqual(scaled[i]?.probabilities, probabilities);
      assert.deepEqual(scaled[i]?.calibrated, sharesAt(probabilities.map(Math.log), temperature));
      assert.equal(first(scaled[i]?.calibrated), first(probabilities));
    });
    assert.ok(outcomesOf(output, 'tuned').every(({ calibrated }) => calibrated === undefined));
    assert.doesNotMatch(
      readFileSync(join(output, 'rank-0', 'base.jsonl'), 'utf8'),
      /calibrated/,
      'the journal holds what the model said',
    );

    // Men have odd numbers.
    const isRight = (id: string, shares: readonly number[] = []): boolean =>
      first(shares) === (Number(/(\d+)\.jpg/.exec(id)?.[1]) % 2 === 1 ? 0 : 1);
    const eceOf = (some: readonly ItemOutcome[]): number | undefined =>
      errorOf(
        some.map(({ id, calibrated = [] }) => ({
          confidence: Math.max(...calibrated),
          isCorrect: isRight(id, calibrated),
        })),
      ).ece;
    const figuresOf = (folder: string): Record<string, number> => {
      const summary = JSON.parse(readFileSync(join(folder, 'summary.json'), 'utf8')) as {
        readonly models: readonly { readonly figures: Record<string, number> }[];
      };
      return summary.models[0]?.figures ?? {};
    };
    const { 'gender.calibratedEce.probability': after = NaN, ...rest } = figuresOf(output);
    assert.equal(after.toFixed(9), eceOf(scaled)?.toFixed(9));
    assert.deepEqual(rest, figuresOf(plain), 'every other figure is the same');
    const report = JSON.parse(text(output, 'fairness.json')) as {
      readonly calibrations: readonly UsedCalibration[];
      readonly attributes: readonly {
        readonly scores: readonly {
          readonly model: string;
          readonly overall: { readonly calibratedEce?: object };
          readonly groupings: readonly {
            readonly by: readonly string[];
            readonly groups: readonly {
              readonly name: string;
              readonly figures: { readonly calibratedEce?: { readonly value: number } };
            }[];
          }[];
        }[];
      }[];
    };
    const [ofBase, ofTuned] = report.attributes[0]?.scores ?? [];
    assert.equal(ofTuned?.model, 'tuned');
    assert.equal(ofTuned.overall.calibratedEce, undefined);
    const [grouping] = ofBase?.groupings.filter(({ by }) => by.join() === 'gender') ?? [];
    const women = scaled.filter(({ id }) => Number(/(\d+)\.jpg/.exec(id)?.[1]) % 2 === 0);
    const told = grouping?.groups.find(({ name }) => name === 'Female')?.figures.calibratedEce;
    assert.equal(told?.value.toPrecision(5), eceOf(women)?.toPrecision(5));
    assert.match(text(output, 'fairness.csv'), /^gender,probability,base,race,.*,calibratedEce,/m);

    // By name and hash, and what it was fitted on.
    const [used] = report.calibrations;
    const hash = sha256(readFileSync(path));
    assert.deepEqual(
      [used?.model, used?.file, used?.sha256, used?.fittedOn.pictures, used?.isOwnData],
      ['base', 'calibration.json', hash, 40, false],
    );
    const page = text(output, 'fairness.md');
    assert.match(page, new RegExp(`base: calibration\\.json, sha256 ${hash}, .* 40 pictures`));
    assert.match(page, /never its first answer/);
    assert.match(page, /tuned: no file was given for it, so it is not calibrated/);
    assert.doesNotMatch(page, /fitted on these very pictures/);
  });

  it('goes on with the same file only', () => {
    const output = others.output('again');
    assert.equal(command(output, '--calibration', path).status, 0);
    const same = others.output('calibration-elsewhere.json');
    copyFileSync(path, same);
    assert.equal(command(output, '--calibration', same).status, 0);
    const file = JSON.parse(readFileSync(path, 'utf8')) as CalibrationFile;
    const [question] = file.questions;
    const changed = others.output('changed.json');
    writeFileSync(
      changed,
      JSON.stringify({ ...file, questions: [{ ...question, temperature: 3 }] }),
    );
    for (const more of [['--calibration', changed], []]) {
      const run = command(output, ...more);
      assert.equal(run.status, 1);
      assert.match(run.stderr, /benchmarkOptions\.calibration: .* now, .* then/);
    }
  });

  it('refuses by name what a file is not for, before anything is asked', async () => {
    const calibration = await loadCalibration(path);
    const output = others.output('refused');
    const options = { ...shared, data: others.folder, output, calibration };
    const refused = (more: object, message: RegExp): Promise<void> =>
      assert.rejects(async () => evaluate({ ...options, ...more }), {
        code: 'FACELLM_CALIBRATION_MISMATCH',
        message,
      });
    await refused(
      { dtype: 'bf16' },
      /no model of the run.*base: dtype: fitted with fp32, now bf16/s,
    );
    await refused({ prompt: { tiling: { maxTiles: 2 } } }, /tiles: fitted with "1\.\.1", now/);
    await refused({ attributes: ['gender', 'race'] }, /not in it, which has "/);
    assert.ok(!existsSync(join(output, 'run.json')));
    const twice = { ...options, calibration: [calibration, calibration] };
    await assert.rejects(async () => evaluate(twice), /are both for base/);
    const wrong: readonly (readonly [object, RegExp])[] = [
      [
        { benchmark: 'pairs', attributes: undefined },
        /calibration: expected nothing but of attrib/,
      ],
      [{ reading: 'text' }, /calibration: expected nothing where answers are read as text alone/],
      [{ calibration: path }, /calibration: expected what loadCalibration\(\) gives/],
    ];
    for (const [more, message] of wrong) {
      assert.throws(
        () => evaluate({ ...options, ...more }),
        (error: { readonly details: readonly string[] }) => message.test(error.details.join('\n')),
      );
    }
    const flags = ['evaluate', '--benchmark', 'facexbench', '--data', others.folder, ...MODEL];
    const run = facellm(...flags, '--output', output, '--calibration', path);
    assert.equal(run.status, 2);
    assert.match(run.stderr, /--calibration: not of --benchmark facexbench/);
  });

  it('says so where a file was fitted on the pictures that are evaluated', async () => {
    const output = fitted.output('own');
    const calibration = await loadCalibration(path);
    await evaluate({ ...shared, data: fitted.folder, output, reading: 'probability', calibration });
    assert.match(
      readFileSync(join(output, 'report', 'fairness.md'), 'utf8'),
      /\*\*calibration\.json was fitted on these very pictures and labels/,
    );
  });
});
