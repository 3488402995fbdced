/** What is generated is trained on unchanged: labels to answers to weights, without a network. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { generateDataset, labelsTeacher, nano, train } from '../../lib/index.js';
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
});
