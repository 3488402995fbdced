/** The whole loop by its commands, without network and GPU: data, training from nothing, scoring, a merged model. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { TEST_DEVICE } from '../support/golden.js';
import { LabelledFaces } from '../support/labelled-faces.js';
import { BASE } from '../support/training.js';

const ROOT = join(import.meta.dirname, '..', '..');
const MAIN = join(ROOT, 'dist', 'cli', 'main.js');

describe('e2e: the whole loop', function () {
  this.timeout(180_000);
  let faces: LabelledFaces;
  before(async () => (faces = await LabelledFaces.create(12)));
  after(() => faces.remove());

  function facellm(...args: readonly string[]): string {
    const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    return stdout;
  }

  it('generate, train the nano recipe, evaluate base and tuned', () => {
    const { labels, folder } = faces;
    const [data, run, scores] = ['data', 'run', 'scores'].map((name) => faces.output(name)) as [
      string,
      string,
      string,
    ];
    facellm(
      ...['generate', '--labels', labels, '--images', folder, '--teacher', 'labels'],
      ...['--prompts', 'attributes', '--questions', 'gender', '--output', data],
    );
    const records = JSON.parse(readFileSync(join(data, 'dataset.json'), 'utf8')) as {
      conversations: { value: string }[];
    }[];
    assert.deepEqual(
      [...new Set(records.map(({ conversations }) => conversations[1]?.value))].sort(),
      ['Female', 'Male'],
    );
    facellm(
      ...['train', '--recipe', 'nano', '--model', BASE, '--data', join(data, 'dataset.json')],
      ...['--output', run, '--device', TEST_DEVICE, '--set', 'maxSteps=8', 'batchSize=8'],
    );
    const { summary } = JSON.parse(
      facellm(
        ...['evaluate', '--benchmark', 'attributes', '--data', folder, '--labels', labels],
        ...['--attributes', 'gender', '--model', BASE, '--tuned', run, '--output', scores],
        ...['--device', TEST_DEVICE, '--max-new-tokens', '8', '--json'],
      ),
    ) as { summary: { models: { name: string; figures: Record<string, number> }[] } };
    assert.deepEqual(
      summary.models.map(({ name }) => name),
      ['base', 'tuned'],
    );
    for (const { figures } of summary.models) {
      const accuracy = figures['gender.balancedAccuracy.probability'] ?? NaN;
      assert.ok(accuracy >= 0 && accuracy <= 1);
    }
    const asked = readFileSync(join(scores, 'questions-tuned.jsonl'), 'utf8').trim().split('\n');
    assert.equal(asked.length, 12);
    for (const file of ['fairness.html', 'fairness.md', 'fairness.csv', 'fairness.json']) {
      assert.ok(existsSync(join(scores, 'report', file)), file);
    }
  });
});
