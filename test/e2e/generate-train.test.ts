/** What is generated is trained on unchanged: labels to answers to weights to a card, without a network. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { parse } from 'yaml';

import {
  generateDataset,
  labelsTeacher,
  mergeAdapter,
  nano,
  readDataset,
  train,
  type TrainingEvent,
  updateModelCard,
} from '../../lib/index.js';
import * as golden from '../support/golden.js';
import { LabelledFaces } from '../support/labelled-faces.js';

describe('e2e: generate, then train', () => {
  it('train() takes the output folder as it is', async () => {
    const faces = await LabelledFaces.create(2);
    try {
      const { answered, output } = await generateDataset({
        ...{ labels: faces.labels, images: faces.folder, output: faces.output('data') },
        ...{ teacher: labelsTeacher(), prompts: 'attributes' },
      });
      // Two faces with gender, age and race.
      assert.equal(answered, 6);
      const result = await train({
        recipe: { ...nano(), epochs: 1, batchSize: 2, cutoffLength: 1024 },
        model: join(golden.GOLDEN, 'ckpt-300m'),
        data: output,
        output: faces.output('run'),
      });
      assert.deepEqual([result.isComplete, result.steps], [true, 3]);
      assert.ok(Number.isFinite(result.loss));
    } finally {
      faces.remove();
    }
  });

  it('people and labels of the CSV reach the records, validation by person, and the card', async () => {
    const faces = await LabelledFaces.create(8);
    try {
      const [head = '', ...rows] = readFileSync(faces.labels, 'utf8').trim().split('\n');
      const labels = faces.output('people.csv');
      // Two pictures a person; of the last one nobody knows whose they are.
      const people = rows.map((row, i) => `${row},${i < 6 ? `p${i >> 1}` : ''}`);
      writeFileSync(labels, `${[`${head},who`, ...people].join('\n')}\n`);
      const make = (name: string, where?: Record<string, string>) =>
        generateDataset({
          ...{ labels, images: faces.folder, output: faces.output(name), where },
          ...{ teacher: labelsTeacher(), prompts: 'attributes', license: 'cc-by-4.0' },
          ...{ questions: ['gender', 'race'], columns: { person: 'who' } },
        });
      const { output } = await make('data');
      const { records } = await readDataset(output);
      assert.deepEqual(records[0]?.facts, { person: 'p0', gender: 'Male', age: '3-9', race: 'Black' }); // prettier-ignore
      assert.deepEqual(Object.keys(records.at(-1)?.facts ?? {}), ['gender', 'age', 'race']);
      for (const { turns } of records) assert.doesNotMatch(turns[0]?.user ?? '', /p\d|3-9/);

      const recipe = {
        ...nano(),
        ...{ epochs: 1, batchSize: 2, cutoffLength: 1024, parts: [], dtype: 'bf16' as const },
        lora: {
          ...{ rank: 2, alpha: 4, dropout: 0, targets: 'all' as const, rankPattern: {} },
          ...{
            alphaPattern: {},
            usesRsLora: false,
            usesDora: false,
            vision: null,
            projector: null,
          },
        },
        validation: { share: 0.3, by: 'person' as const },
      };
      const model = join(golden.GOLDEN, 'ckpt-300m');
      const options = { recipe, model, output: faces.output('run') };
      // Whose pictures these are must be known of all.
      await assert.rejects(async () => train({ ...options, data: output }), /4 of 16 record\(s\) have no person/); // prettier-ignore
      const known = faces.output('known.json');
      const all = JSON.parse(readFileSync(join(output, 'dataset.json'), 'utf8')) as { person?: string; images: string[] }[]; // prettier-ignore
      const named = all.filter(({ person }) => person !== undefined);
      const placed = named.map((one) => ({ ...one, images: one.images.map((path) => join(output, path)) })); // prettier-ignore
      writeFileSync(known, JSON.stringify(placed));
      writeFileSync(faces.output('README.md'), '---\nlicense: cc-by-4.0\n---\n');
      const run = train({ ...options, data: known });
      const events: TrainingEvent[] = [];
      for await (const event of run) events.push(event);
      const validation = events.find((event) => event.type === 'validation');
      assert.equal(validation?.samples, 4);
      assert.ok(validation.groups.some(({ fact }) => fact === 'race'));

      const card = (name: string): string =>
        readFileSync(faces.output(join(name, 'README.md')), 'utf8');
      const first = card('run');
      const front = parse(/^---\n([^]*?)\n---/.exec(first)?.[1] ?? '') as Record<string, unknown>;
      assert.equal(front['library_name'], 'peft');
      assert.match(first, /learnt from 8[^]*Of 4 samples that were never learnt from/);
      assert.match(first, /licence of the data \| cc-by-4\.0/);
      assert.ok(!first.includes(faces.folder), 'no path of this machine');
      // The same run once more writes the same card; somebody's own is left.
      await train({ ...options, data: known });
      assert.equal(card('run'), first);
      await updateModelCard({ directory: faces.output('run'), license: 'mit' });
      assert.match(card('run'), /^license: mit$/m);
      writeFileSync(faces.output('run/README.md'), 'mine');
      const again = train({ ...options, data: known });
      const kept: boolean[] = [];
      for await (const event of again) if (event.type === 'card') kept.push(event.keptReadme);
      assert.deepEqual([kept, card('run')], [[true], 'mine']);

      const merged = { model, adapters: [faces.output('run')] };
      for (const name of ['merged-a', 'merged-b']) await mergeAdapter({ ...merged, output: faces.output(name) }); // prettier-ignore
      assert.match(
        card('merged-a'),
        /library_name: transformers[^]*an adapter folded in \(`run`\)/,
      );
      // Nobody has given one for what the two are together.
      assert.doesNotMatch(card('merged-a'), /^license:/m);
      assert.equal(card('merged-a').replace(/facellm card \w+/, '').replaceAll('merged-a', 'merged-b'), card('merged-b').replace(/facellm card \w+/, '')); // prettier-ignore
    } finally {
      faces.remove();
    }
  });
});
