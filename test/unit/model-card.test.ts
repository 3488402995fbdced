/** Cards of weights: what hub pages read, what is told, equal bytes, and that nobody's README is lost. */
import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';

import { parse } from 'yaml';

import {
  type CardFacts,
  modelCard,
  readCardFacts,
  readFrontMatter,
  updateCard,
  writeCard,
} from '../../lib/card/index.js';
import { facellm1b } from '../../lib/index.js';
import { errorOf, TestFolder } from './checkpoint-folder.js';

const HASH = 'a'.repeat(64);
const FACTS: CardFacts = {
  kind: 'adapter',
  base: { name: 'OpenGVLab/InternVL3-1B-hf', isHubId: true, weights: HASH, license: 'apache-2.0' },
  merged: [],
  files: [{ name: 'adapter_model.safetensors', sha256: HASH }],
  dtype: 'bf16',
  trainings: [
    {
      recipe: { ...facellm1b() },
      data: { name: 'dataset.json', sha256: HASH, records: 40, license: 'cc-by-4.0' },
      ...{ fingerprint: HASH, steps: 30, totalSteps: 60, trainSamples: 36 },
      validation: {
        ...{ samples: 4, metric: 'loss', step: 20, loss: 0.5, accuracy: 0.75 },
        groups: [
          { fact: 'gender', value: 'Female | x', samples: 2, loss: 0.6, accuracy: 0.5 },
          { fact: 'gender', value: 'Male', samples: 2, loss: 0.4, accuracy: 1 },
        ],
      },
    },
  ],
};
const SCORES: NonNullable<CardFacts['scores']> = {
  ...{
    benchmark: 'attributes',
    notes: ['two pictures left out'],
    isPartial: false,
    smallGroup: 10,
  },
  attributes: [
    {
      ...{ name: 'smile', reading: 'probability', count: 36 },
      accuracy: { value: 0.861, low: 0.74, high: 0.97 },
      ece: { value: 0.05 },
      groups: [
        { by: 'gender', group: 'Female', count: 6, isSmall: true, accuracy: { value: 0.8 } },
      ],
    },
  ],
};

/** As any reader of the hub's form does. */
function front(text: string): Record<string, unknown> {
  const [, yaml = ''] = /^---\n([^]*?)\n---\n/.exec(text) ?? [];
  return parse(yaml) as Record<string, unknown>;
}

describe('model cards', () => {
  let folder: TestFolder;
  beforeEach(async () => (folder = await TestFolder.create()));
  afterEach(() => folder.remove());
  const read = (name: string): Promise<string> => readFile(folder.at(name), 'utf8');

  it('have the front matter that hub pages expect', () => {
    assert.deepEqual(front(modelCard({ ...FACTS, license: 'mit' }, 'mine')), {
      library_name: 'peft',
      pipeline_tag: 'image-text-to-text',
      base_model: 'OpenGVLab/InternVL3-1B-hf',
      base_model_relation: 'adapter',
      license: 'mit',
      tags: ['facellm', 'internvl', 'face-analysis', 'lora', 'supervised-fine-tuning'],
    });
    const merged = { name: 'one', sha256: HASH };
    const model = front(modelCard({ ...FACTS, kind: 'model', merged: [merged] }, 'm'));
    assert.equal(model['library_name'], 'transformers');
    assert.equal(model['base_model_relation'], 'finetune');
    // A folder's name is no repository, and a licence that nobody stated is none.
    const local = front(modelCard({ ...FACTS, base: { ...FACTS.base, name: 'x', isHubId: false } }, 'm')); // prettier-ignore
    assert.ok(!('base_model' in local) && !('license' in local));
    const { 'model-index': index } = front(modelCard({ ...FACTS, scores: SCORES }, 'm'));
    const [{ results: [result] = [] } = {}] = index as { results?: Record<string, unknown>[] }[];
    assert.deepEqual(result?.['metrics'], [
      { type: 'accuracy', value: 0.861 },
      { type: 'expected_calibration_error', value: 0.05 },
    ]);
  });

  it('of quantised weights say in how many bits they are, and of which model', () => {
    const plain: CardFacts = { ...FACTS, kind: 'model', files: [], trainings: [] };
    const quantisation = { format: 'pack-quantized', bits: 4, group: 128 };
    const quantised = modelCard({ ...plain, quantisation }, 'm');
    assert.equal(front(quantised)['base_model_relation'], 'quantized');
    assert.match(quantised, /projections in 4 bits \(pack-quantized, a scale a group of 128 columns\), everything else in bf16\./); // prettier-ignore
    const rows = modelCard({ ...plain, quantisation: { ...quantisation, group: 0 } }, 'm');
    assert.match(rows, /a scale a row\)/);
    // A tuned model in fewer bits is not its base in fewer bits.
    const tuned = modelCard({ ...plain, quantisation, trainings: FACTS.trainings }, 'm');
    assert.equal(front(tuned)['base_model_relation'], 'finetune');
    assert.match(tuned, /A model trained from .*, the text layers' projections in 4 bits/);
    const decoded = modelCard({ ...plain, decodedFrom: quantisation }, 'm');
    assert.match(decoded, /written anew, in bf16, decoded from projections in 4 bits/);
    assert.ok(!('base_model' in front(decoded)));
  });

  it('name what was learnt by, as tags and in words', () => {
    const [training] = FACTS.trainings;
    assert.ok(training);
    const taught = (...recipes: readonly object[]): string => {
      const trainings = recipes.map((more) => ({
        ...training,
        recipe: { ...training.recipe, ...more },
      }));
      return modelCard({ ...FACTS, trainings }, 'm');
    };
    const tags = (card: string): unknown => (front(card)['tags'] as string[]).slice(4);
    assert.deepEqual(tags(taught({})), ['supervised-fine-tuning']);
    assert.match(taught({}), /\| learnt by \| likelihood of the answers \|/);
    const alone = taught({ preference: { beta: 0.1, supervised: 0 } });
    assert.deepEqual(tags(alone), ['dpo']);
    assert.match(alone, /\| learnt by \| direct preference optimisation, beta 0\.1 \|/);
    const reward = taught({}, { expectedReward: { supervised: 0.5, ordered: [] } });
    assert.deepEqual(tags(reward), ['supervised-fine-tuning', 'expected-reward']);
    assert.match(
      reward,
      /a reward, of closed questions; likelihood of the answers, counted 0\.5 \|/,
    );
  });

  it('tell data, recipe, hashes, scores of groups, calibration, limits and licences', () => {
    const calibration = [{ name: 'smile', count: 36, temperature: 2, eceBefore: 0.2, eceAfter: 0.05 }]; // prettier-ignore
    const card = modelCard({ ...FACTS, scores: SCORES, calibration }, 'm');
    for (const part of [
      /\| data \| dataset\.json \|/,
      /\| updates \| 30 of 60, ended early/,
      /learningRate: 0\.00001/,
      /\| gender Female \\\| x \| 2 \| 0\.500 \| 0\.600 \|/,
      /\| smile \| probability \| 36 \| 0\.861 \(0\.740–0\.970\) \|/,
      /\| smile \| probability \| gender Female \* \| 6 \| 0\.800 \|/,
      /\| smile \| 36 \| 2\.000 \| 0\.200 \| 0\.050 \|/,
      /must not be used to identify/,
      /\| adapter_model\.safetensors \| a{64} \|/,
      /- Training data: cc-by-4\.0\./,
      /- These weights: not stated; whoever publishes them must\./,
    ]) {
      assert.match(card, part);
    }
    assert.match(modelCard(FACTS, 'm'), /None were measured[^]*None was fitted/);
  });

  it('are equal for equal facts, and what is kept of them is what is read', async () => {
    const one = await writeCard(folder.path, { ...FACTS, scores: SCORES }, 'm');
    const [card, facts] = [await read('README.md'), await read('facellm_card.yaml')];
    assert.deepEqual(await readCardFacts(folder.path), { ...FACTS, scores: SCORES });
    const again = await readCardFacts(folder.path);
    assert.ok(again !== undefined);
    const two = await writeCard(folder.path, again, 'm');
    assert.deepEqual([await read('README.md'), await read('facellm_card.yaml')], [card, facts]);
    assert.deepEqual([one.keptReadme, two.keptReadme], [false, false]);
  });

  it("leave somebody's own README as it is, also one that was ours", async () => {
    await writeFile(folder.at('README.md'), '# Mine\n');
    const kept = await writeCard(folder.path, FACTS, 'm');
    assert.ok(kept.keptReadme && kept.path.endsWith('README.facellm.md'));
    assert.equal(await read('README.md'), '# Mine\n');
    assert.match(await read('README.facellm.md'), /^---\nlibrary_name: peft/);
    await folder.write('README.md', '');
    await rm(folder.at('README.md'));
    assert.equal((await writeCard(folder.path, FACTS, 'm')).keptReadme, false);
    await assert.rejects(read('README.facellm.md'), /ENOENT/);
    const changed = (await read('README.md')).replace('## Limits', '## My limits');
    await writeFile(folder.at('README.md'), changed);
    assert.ok((await updateCard(folder.path, { license: 'mit' })).keptReadme);
    assert.equal(await read('README.md'), changed);
    assert.equal(readFrontMatter(await read('README.facellm.md'))['license'], 'mit');
  });

  it('stand beside a README that cannot be read, which ends nothing', async () => {
    await writeFile(folder.at('README.md'), Buffer.from([0x4d, 0xfc, 0x6c, 0x6c, 0x65, 0x72]));
    assert.ok((await writeCard(folder.path, FACTS, 'm')).keptReadme);
    assert.equal((await readFile(folder.at('README.md'))).length, 6);
    await rm(folder.at('README.md'));
    await mkdir(folder.at('README.md'));
    assert.ok((await writeCard(folder.path, FACTS, 'm')).keptReadme);
    assert.match(await read('README.facellm.md'), /^---\nlibrary_name: peft/);
  });

  it('say what is wrong with facts of another form, and where there are none', async () => {
    const none = await errorOf(updateCard(folder.path, {}));
    assert.match(`${none.code} ${none.message}`, /DATA_NOT_FOUND .* expected the result of facellm train/); // prettier-ignore
    await writeFile(folder.at('facellm_card.yaml'), 'format: facellm-card-1\nkind: bird\n');
    const wrong = await errorOf(updateCard(folder.path, {}));
    assert.equal(wrong.code, 'FACELLM_DATA_INVALID');
    assert.ok(wrong.details.length > 3, wrong.details.join('\n'));
  });

  it('read front matter of any README, and take none for a fault', () => {
    assert.deepEqual(readFrontMatter('---\r\nlicense: mit\r\n---\r\ntext'), { license: 'mit' });
    for (const text of ['', '# No rules', '---\n[1]\n---\n', '---\na: [\n---\n', '---\nopen']) {
      assert.deepEqual(readFrontMatter(text), {}, text);
    }
  });
});
