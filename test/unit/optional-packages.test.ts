/** Packages that are not installed with this one: named with the line that installs them, and nothing else hidden. */
import assert from 'node:assert/strict';

import { FaceLlmError } from '../../lib/errors.js';
import { loadOptional } from '../../lib/packages/optional.js';

/** As node throws it. */
function absent(name: string): Error {
  const message = `Cannot find package '${name}' imported from /somewhere/file.js`;
  return Object.assign(new Error(message), { code: 'ERR_MODULE_NOT_FOUND' });
}

describe('optional packages', () => {
  const plots = { purpose: 'charts', otherwise: 'leave them out' };

  it('give what they hold', async () => {
    assert.equal(await loadOptional(['one'], plots, () => Promise.resolve(7)), 7);
  });

  it('that are absent are named, with the remedy', async () => {
    await assert.rejects(
      loadOptional(['one', 'two'], plots, () => Promise.reject(absent('two'))),
      (error) => {
        assert.ok(error instanceof FaceLlmError && error.code === 'FACELLM_PACKAGE_MISSING');
        assert.match(
          error.message,
          /^charts: expected one and two .*npm install one two, or leave/,
        );
        assert.deepEqual(error.details, ['npm install one two']);
        return true;
      },
    );
  });

  it('that are there and fail say so themselves', async () => {
    for (const cause of [absent('their-own-dependency'), new SyntaxError("'one' is odd")]) {
      await assert.rejects(
        loadOptional(['one'], plots, () => Promise.reject(cause)),
        (error) => error === cause,
      );
    }
  });
});
