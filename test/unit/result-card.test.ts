/** The card beside a run's result, where what lies there already is damaged: the training is done, so it is told and ends nothing. */
import assert from 'node:assert/strict';
import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { readCardFacts } from '../../lib/card/index.js';
import { facellm1b } from '../../lib/index.js';
import { writeResultCard } from '../../lib/training/result-card.js';
import { GOLDEN, TestFolder } from './checkpoint-folder.js';

describe('result cards', () => {
  it('say which older facts could not be read', async () => {
    const folder = await TestFolder.create();
    try {
      const base = folder.at('base');
      const output = folder.at('run');
      await cp(join(GOLDEN, 'ckpt-300m'), base, { recursive: true });
      await cp(join(GOLDEN, 'train-lora', 'adapter_final'), output, { recursive: true });
      await folder.write('run/facellm_card.yaml', 'license: [mit\n');
      await mkdir(folder.at('run', 'README.md'));
      const setup = {
        dataset: { file: folder.at('data.json'), sha256: 'd'.repeat(64), records: [] },
        ...{ samples: { samples: [] }, directory: base, inputs: {}, validation: undefined },
      };
      const state = { step: 1, totalSteps: 1, validation: { best: null } };
      const [options, recipe] = [{ model: base, output }, facellm1b()];
      const card = await writeResultCard(options as never, recipe, setup as never, state as never);
      assert.ok(card.keptReadme);
      assert.equal(card.unread.length, 1);
      assert.match(
        card.unread[0] ?? '',
        /facellm_card\.yaml is none that this version has written/,
      );
      assert.equal((await readCardFacts(output))?.trainings.length, 1);
      await writeResultCard(options as never, recipe, setup as never, state as never).then(
        ({ unread }) => assert.deepEqual(unread, []),
      );
    } finally {
      await folder.remove();
    }
  });
});
