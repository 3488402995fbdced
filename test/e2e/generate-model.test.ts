/** One of our own models as the teacher, through the addon. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { generateDataset, modelTeacher } from '../../lib/data/index.js';
import * as golden from '../support/golden.js';
import { LabelledFaces } from '../support/labelled-faces.js';

const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');

describe('e2e: generate with our own model', () => {
  let faces: LabelledFaces;
  before(async () => (faces = await LabelledFaces.create(1)));
  after(() => faces.remove());

  it('asks it like any other teacher; its endless noise is set aside as truncated', async () => {
    await using teacher = await modelTeacher({ model: CHECKPOINT, maxTokens: 6 });
    const { labels, folder: images } = faces;
    const output = faces.output('model');
    const result = await generateDataset({ labels, images, output, teacher, maxAttempts: 2 });
    const aside = Object.values(result.setAside).reduce((sum, count) => sum + count, 0);
    assert.equal(result.answered + aside, 8);
    // Random weights end no answer within six tokens but by chance.
    assert.ok((result.setAside['truncated'] ?? 0) >= 6, JSON.stringify(result.setAside));
    assert.ok(result.spending.promptTokens > 8 * 256, 'a picture of one tile has 256 tokens');
    assert.equal(result.spending.cost, 0);
    const journal = readFileSync(join(output, 'journal.jsonl'), 'utf8').split('\n');
    const tries = journal
      .filter((line) => line.includes('"rejected"'))
      .map((line) => JSON.parse(line) as { id: string; text: string });
    const differ = tries.some(({ id, text }) =>
      tries.some((other) => other.id === id && other.text !== text),
    );
    assert.ok(differ, 'a second try is drawn, not the same again');
  });
});
