/** Wrong load options come all at once, before the checkpoint is looked for. */
import assert from 'node:assert/strict';

import { FaceLlm, type FaceLlmError, type LoadOptions } from '../../lib/index.js';

describe('load options', () => {
  it('every wrong one is named in one error', async () => {
    const wrong = {
      device: 'tpu',
      dtype: 'int8',
      threads: 0,
      mmap: 'no',
      imageCacheBytes: -1,
      prefixCacheBytes: 0.5,
    } as unknown as LoadOptions;
    await assert.rejects(FaceLlm.load('/nowhere', wrong), (error: FaceLlmError) => {
      assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
      const named = error.details.map((line) => line.slice(0, line.indexOf(':')));
      assert.deepEqual(named, Object.keys(wrong));
      return true;
    });
  });
});
