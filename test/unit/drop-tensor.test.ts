/** Taking one tensor out of a safetensors file, wherever it lies. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { dropTensor } from '../../lib/checkpoint/index.js';
import { FaceLlmError } from '../../lib/errors.js';
import { GOLDEN } from '../support/golden.js';
import { readSafetensors } from '../support/safetensors.js';

describe('dropping a tensor', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-drop-'));
    cpSync(join(GOLDEN, 'ckpt-300m', 'model.safetensors'), join(folder, 'model.safetensors'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  for (const [place, at] of [
    ['first', 0],
    ['middle', 0.5],
    ['last', 1],
  ] as const) {
    it(`${place}: the others are as they were`, async () => {
      const file = join(folder, 'model.safetensors');
      const before = readSafetensors(file);
      const name = [...before.keys()][Math.round(at * (before.size - 1))] ?? '';
      await dropTensor(file, name);
      const after = readSafetensors(file);
      assert.equal(after.size, before.size - 1);
      assert.ok(!after.has(name));
      for (const [key, tensor] of after) assert.deepEqual(tensor, before.get(key), key);
      assert.deepEqual(readdirSync(folder), ['model.safetensors']);
    });
  }

  it('one that is not there is a fault of ours', async () => {
    await assert.rejects(
      dropTensor(join(folder, 'model.safetensors'), 'nothing'),
      (error: unknown) => error instanceof FaceLlmError && error.code === 'FACELLM_INTERNAL',
    );
  });
});
