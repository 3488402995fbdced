/**
 * A small model learns what is in the pictures, and nothing where pictures and people do not belong together: training
 * from random weights on real portraits at reduced size, examined on people it has never seen.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { parse } from 'csv-parse/sync';

import { createModel, FaceLlm, nano, nanoShape, train } from '../../lib/index.js';
import { permutation, randomNumbers } from '../../lib/training/order.js';
import { TEST_DEVICE } from '../support/golden.js';

const FACES = join(import.meta.dirname, '..', '..', 'examples', 'faces');
const QUESTION = 'Male or Female?';
const CHOICES = ['Male', 'Female'];
const SHAPE = {
  ...nanoShape(),
  ...{ imageSize: 32, patchSize: 8, visionLayers: 2, textLayers: 1 },
};

interface Portrait {
  readonly file: string;
  readonly split: string;
  readonly gender: string;
}

const portraits = parse<Portrait>(readFileSync(join(FACES, 'labels.csv')), { columns: true });
const taught = portraits.filter(({ split }) => split === 'train');
const examined = portraits.filter(({ split }) => split === 'test');

describe('end to end: learning from pictures', function () {
  this.timeout(300_000);
  let folder: string;
  let model: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-small-data-'));
    const texts = [`user\n${QUESTION}`, ...CHOICES.map((choice) => `assistant\n${choice}`)];
    model = join(folder, 'model');
    await createModel({ output: model, texts, shape: SHAPE });
  });
  after(() => rmSync(folder, { recursive: true }));

  /** Balanced accuracy on people of the other split, by the more probable choice. */
  async function learn(name: string, pictures: readonly string[]): Promise<number> {
    const data = join(folder, `${name}.json`);
    const records = taught.map(({ gender }, i) => ({
      conversations: [
        { from: 'human', value: `<image>\n${QUESTION}` },
        { from: 'gpt', value: gender },
      ],
      images: [join(FACES, pictures[i] ?? '')],
    }));
    writeFileSync(data, JSON.stringify(records));
    const output = join(folder, name);
    const recipe = { ...nano(), learningRate: 1e-3, epochs: 10, saveEvery: 0 };
    await train({ recipe, model, data, output, device: TEST_DEVICE });
    await using tuned = await FaceLlm.load(output, { device: TEST_DEVICE });
    const right: Record<string, number> = {};
    for (const { file, gender } of examined) {
      const image = join(FACES, file);
      const { best } = await tuned.choose({ image, question: QUESTION, choices: CHOICES });
      if (best.text === gender) right[gender] = (right[gender] ?? 0) + 1;
    }
    const rates = CHOICES.map(
      (choice) => (right[choice] ?? 0) / examined.filter(({ gender }) => gender === choice).length,
    );
    return rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  }

  // Balanced accuracy of guesses on 48 and 48 people has a standard deviation of 0.051.
  const SPREAD = Math.sqrt(0.25 / examined.length);

  it('pictures of the people themselves: far better than chance', async () => {
    const score = await learn(
      'own',
      taught.map(({ file }) => file),
    );
    assert.ok(score > 0.5 + 5 * SPREAD, `${score}`);
  });

  it('pictures shuffled between people: chance', async () => {
    const order = permutation(taught.length, randomNumbers(1, 0));
    const score = await learn(
      'shuffled',
      order.map((i) => taught[i]?.file ?? ''),
    );
    assert.ok(score < 0.5 + 3 * SPREAD, `${score}`);
  });
});
