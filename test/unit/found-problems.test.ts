/** Checks that are told in one error. */
import assert from 'node:assert/strict';

import { createError, type ErrorCode, FaceLlmError } from '../../lib/errors.js';
import { FoundProblems } from '../../lib/training/found-problems.js';

const failing =
  (code: ErrorCode, details: readonly string[] = []) =>
  (): unknown => {
    throw createError(code, `text of ${code}`, { details });
  };

describe('FoundProblems', () => {
  it('tells nothing where nothing was found, and one problem as it is', async () => {
    const problems = new FoundProblems();
    assert.equal(await problems.try(() => 7), 7);
    problems.throwAll();
    assert.equal(await problems.try(failing('FACELLM_DATA_INVALID')), undefined);
    assert.throws(
      () => {
        problems.throwAll();
      },
      { code: 'FACELLM_DATA_INVALID', message: /^text of FACELLM_DATA_INVALID/ },
    );
  });

  it('tells several with the code of the first, all texts, details and causes', async () => {
    const problems = new FoundProblems();
    await problems.try(failing('FACELLM_ADAPTER_INVALID', ['a']));
    await problems.try(failing('FACELLM_DATA_INVALID', ['b', 'c']));
    assert.throws(
      () => {
        problems.throwAll();
      },
      (error: unknown) => {
        assert.ok(error instanceof FaceLlmError);
        assert.equal(error.code, 'FACELLM_ADAPTER_INVALID');
        assert.match(error.summary, /text of FACELLM_ADAPTER_INVALID; and text of FACELLM_DATA/);
        assert.deepEqual(error.details, ['a', 'b', 'c']);
        assert.ok(error.cause instanceof AggregateError && error.cause.errors.length === 2);
        return true;
      },
    );
  });

  it('keeps no end that was asked for, no fault of ours, no lack of memory', async () => {
    for (const code of [
      'FACELLM_CANCELLED',
      'FACELLM_INTERNAL',
      'FACELLM_OUT_OF_MEMORY',
      'FACELLM_DEVICE_LOST',
      'FACELLM_DISPOSED',
    ] as const) {
      await assert.rejects(new FoundProblems().try(failing(code)), { code });
    }
    await assert.rejects(
      new FoundProblems().try(() => {
        throw new TypeError('ours');
      }),
      TypeError,
    );
  });
});
