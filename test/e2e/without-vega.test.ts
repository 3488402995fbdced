/** The package as installed for inference alone, without vega: what is refused before work, what goes on without plots. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import * as golden from '../support/golden.js';
import { LabelledFaces } from '../support/labelled-faces.js';
import { PackageWithout } from '../support/package-without.js';

const MODEL = join(golden.GOLDEN, 'ckpt-300m');

describe('e2e: without vega', () => {
  let installed: PackageWithout;
  let folder: string;
  let faces: LabelledFaces;
  before(async () => {
    installed = new PackageWithout(/^vega/);
    ({ folder } = installed);
    faces = await LabelledFaces.create(2);
  });
  after(() => {
    installed.remove();
    faces.remove();
  });

  function evaluate(benchmark: string, model: string, ...more: readonly string[]) {
    const own = ['--benchmark', benchmark, '--data', faces.folder, '--model', model];
    return installed.run('evaluate', ...own, '--output', join(folder, 'scores'), ...more);
  }

  it('a report with charts is refused before anything else is looked at', () => {
    const { status, stderr } = evaluate('attributes', '/nowhere');
    assert.equal(status, 1);
    assert.match(stderr, /npm install vega vega-lite, or leave charts out .*--no-charts/);
    assert.match(stderr, /FACELLM_PACKAGE_MISSING/);
    assert.ok(!existsSync(join(folder, 'scores')));
  });

  it('goes without, if so told', () => {
    const flags = ['--no-charts', '--attributes', 'gender', '--dtype', 'fp32', '--tiles', 'off'];
    const { status, stderr } = evaluate('attributes', MODEL, ...flags, '--max-new-tokens', '2');
    assert.equal(status, 0, stderr);
    const report = join(folder, 'scores', 'report');
    assert.deepEqual(readdirSync(report).filter((name) => name !== 'run.lock').sort(), [
      ...['fairness.csv', 'fairness.html', 'fairness.json', 'fairness.md', 'gallery.html'],
    ]); // prettier-ignore
    assert.ok(!/<figure>|\.svg/.test(readFileSync(join(report, 'fairness.html'), 'utf8')));
  });

  it('a training run keeps its logs and draws no plot', () => {
    const script = join(folder, 'plot.mjs');
    const record = `{ step: 1, totalSteps: 1, epoch: 1, loss: 2, learningRate: 1, gradNorm: 1, elapsedSeconds: 1,
      samplesPerSecond: 1, computedShare: 1, tokensPerSecond: 1, totalTokens: 1, peakBytes: 0 }`;
    writeFileSync(
      script,
      `import { RunFiles } from './dist/training/run-files.js';
       const files = await RunFiles.open(process.argv[2], 'title', 0);
       await files.log(${record});
       await files.plot();
       await files[Symbol.asyncDispose]();`,
    );
    const run = join(folder, 'run');
    mkdirSync(run);
    const { status, stderr } = installed.node(script, run);
    assert.equal(status, 0, stderr);
    const names = readdirSync(run);
    assert.ok(names.includes('trainer_log.jsonl'));
    assert.ok(!names.some((name) => name.startsWith('training_loss')), names.join());
  });
});
