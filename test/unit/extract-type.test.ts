/** An answer as a zod type reads it: functions of the type that fail or take their time are told as what they are. */
import assert from 'node:assert/strict';

import { z } from 'zod';

import { FaceLlmError } from '../../lib/errors.js';
import { parsed } from '../../lib/model/extract-options.js';

describe('a type of an answer', () => {
  const fails = (type: z.ZodType, detail: RegExp): Promise<void> =>
    assert.rejects(parsed(type, 'a'), (error) => {
      assert.ok(error instanceof FaceLlmError);
      assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
      assert.match(error.details.join(), detail);
      return true;
    });

  it('reads it, at once or later', async () => {
    assert.equal(
      await parsed(
        z.string().transform((text) => text.length),
        'a',
      ),
      1,
    );
    assert.equal(
      await parsed(
        z.string().refine(() => Promise.resolve(true)),
        'a',
      ),
      'a',
    );
    assert.equal(await parsed({ type: 'string' }, 'a'), 'a');
  });

  it('what its own functions throw, and what it refuses, is one error with its reason', async () => {
    const throws = (): never => {
      throw new RangeError('no such code');
    };
    await fails(z.string().transform(throws), /schema: no such code/);
    await fails(
      z.string().refine(() => Promise.reject(new Error('no network'))),
      /schema: no network/,
    );
    await fails(
      z.string().refine(() => Promise.resolve(false), 'never'),
      /\/: never/,
    );
  });
});
