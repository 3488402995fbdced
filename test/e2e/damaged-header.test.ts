/** A file of weights whose header is damaged is an error of the load, and of nothing else that read it meanwhile. */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { FaceLlm, type FaceLlmError } from '../../lib/index.js';
import { GOLDEN, TEST_DEVICE } from '../support/golden.js';

describe('a damaged header', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-header-'));
    const from = join(GOLDEN, 'ckpt-300m');
    for (const name of readdirSync(from)) copyFileSync(join(from, name), join(folder, name));
    const weights = readdirSync(folder).find((name) => name.endsWith('.safetensors')) ?? '';
    const bytes = readFileSync(join(folder, weights));
    bytes[8] = 'x'.charCodeAt(0);
    writeFileSync(join(folder, weights), bytes);
  });
  after(() => rmSync(folder, { recursive: true }));

  it('is told once, and no promise is left that nobody awaits', async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): number => unhandled.push(error);
    process.on('unhandledRejection', note);
    try {
      await assert.rejects(FaceLlm.load(folder, { device: TEST_DEVICE }), (error) => {
        assert.equal((error as FaceLlmError).code, 'FACELLM_CHECKPOINT_INVALID');
        return true;
      });
      // Rejections are told when the queue of microtasks is empty.
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.deepEqual(unhandled, []);
    } finally {
      process.off('unhandledRejection', note);
    }
  });
});
