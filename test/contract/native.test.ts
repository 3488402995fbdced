/** The addon and native.ts say the same. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { loadAddon } from '../../lib/binding/load.js';
import * as golden from '../support/golden.js';

const ROOT = join(import.meta.dirname, '..', '..');

/** Method names of an interface of the contract. */
function methodsOf(name: string): string[] {
  const text = ['native.ts', 'native-model.ts', 'native-training.ts']
    .map((file) => readFileSync(join(ROOT, 'lib/binding', file), 'utf8'))
    .join('\n');
  const body = new RegExp(`export interface ${name} \\{(.*?)\\n\\}`, 's').exec(text)?.[1] ?? '';
  return [...body.matchAll(/^ {2}(\w+)\(/gm)].map((match) => match[1] ?? '').sort();
}

describe('contract: addon and native.ts', () => {
  it('exports exactly the functions of NativeAddon', () => {
    assert.deepEqual(Object.keys(loadAddon()).sort(), methodsOf('NativeAddon'));
  });

  it('gives models exactly the methods of NativeModel', async () => {
    const model = await golden.loadNative(join(golden.GOLDEN, 'ckpt-300m'), { dtype: 'fp32' });
    const names = Object.getOwnPropertyNames(Object.getPrototypeOf(model));
    assert.deepEqual(
      names.filter((name) => name !== 'constructor').sort(),
      methodsOf('NativeModel'),
    );
    await model.dispose().promise;
  });

  it('rejects wrong fields with a list, and never throws for them', async () => {
    const model = await golden.loadNative(join(golden.GOLDEN, 'ckpt-300m'), { dtype: 'fp32' });
    const wrong = { ids: [1, 2], images: 'none' } as never;
    await assert.rejects(model.trace(wrong, []).promise, (error: unknown) => {
      const { code, details } = error as { code: string; details: string[] };
      assert.equal(code, 'FACELLM_INVALID_ARGUMENT');
      assert.equal(details.length, 2);
      return true;
    });
    await assert.rejects(model.generate(undefined as never, () => {}).promise, {
      code: 'FACELLM_INVALID_ARGUMENT',
    });
    await model.dispose().promise;
  });
});
