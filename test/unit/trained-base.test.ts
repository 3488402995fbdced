/** What an adapter stands on against what it is to work on: the numbers decide, not where their codes are kept. */
import assert from 'node:assert/strict';

import type { StoredQuantisation } from '../../lib/checkpoint/index.js';
import { FaceLlmError } from '../../lib/errors.js';
import type { TrainedBase, WeightForm } from '../../lib/model/index.js';
import {
  baseDifferences,
  baseWarning,
  type OfferedBase,
  refuseFolded,
  trainedBase,
} from '../../lib/model/trained-base.js';

const FILES = {
  awq: { method: 'awq', format: 'awq', bits: 4, group: 128, isSymmetric: false },
  gptq: { method: 'gptq', format: 'gptq', bits: 4, group: 128, isSymmetric: true },
  int8: {
    ...{ method: 'compressed-tensors', format: 'int-quantized', bits: 8 },
    group: 0,
    isSymmetric: true,
  },
  nf4: { method: 'bitsandbytes', format: 'nf4', bits: 4, group: 64, isSymmetric: true },
  double: {
    ...{ method: 'bitsandbytes', format: 'nf4', bits: 4, group: 64 },
    ...{ isSymmetric: true, isDouble: true },
  },
} as const satisfies Record<string, StoredQuantisation>;

type File = keyof typeof FILES | undefined;

const filesOf = (file: File): StoredQuantisation | undefined => file && FILES[file];

function trained(weightsHash: string, form: WeightForm, file?: File, group = 64): TrainedBase {
  return { weightsHash, form, group, quantisation: filesOf(file) };
}

function offered(weightsHash: string, text: WeightForm, file?: File, group = 64): OfferedBase {
  return { weightsHash, quantisation: filesOf(file), weights: { text, group } };
}

describe('the base that an adapter was trained upon', () => {
  const count = (of: TrainedBase | undefined, on: OfferedBase): number =>
    baseDifferences(of, on).length;

  it('of stored weights: any form of them, and quantised files whose original nobody knows', () => {
    const own = trained('a', 'stored');
    assert.equal(count(undefined, offered('b', 'int4')), 0);
    for (const text of ['stored', 'int8', 'int4', 'fp8', 'nf4'] as const) {
      assert.equal(count(own, offered('a', text)), 0);
      assert.equal(count(own, offered('b', text, 'gptq')), 0);
      assert.equal(count(own, offered('b', text)), 1);
    }
  });

  it('of quantised files: those alone, in the form that their codes are', () => {
    // Dequantised while it was trained: of other files, of plain weights and of another form it is told.
    assert.equal(count(trained('a', 'stored', 'awq'), offered('a', 'stored', 'awq')), 0);
    assert.deepEqual(
      baseDifferences(trained('a', 'stored', 'awq'), offered('b', 'int4', 'gptq', 128)),
      [
        'weights of the base: trained upon a…, this model has b…',
        'form of the base: trained upon the codes of awq files, 4 bits, groups of 128, this model keeps int4 in groups of 128',
      ],
    );
    assert.equal(count(trained('a', 'stored', 'int8'), offered('b', 'stored')), 2);
    assert.deepEqual(
      baseDifferences(trained('a', 'stored', 'int8'), offered('a', 'int4', 'int8')),
      ['form of the base: trained upon int8, this model keeps int4 in groups of 64'],
    );
    // A record from before it named the files' scheme: the same files are what they were.
    assert.equal(count(trained('a', 'stored'), offered('a', 'int4', 'int8')), 1);
    assert.equal(count(trained('a', 'stored'), offered('a', 'int8', 'int8')), 0);
  });

  it('codes are the same numbers where they are kept and where they are put back', () => {
    for (const was of ['stored', 'nf4'] as const) {
      for (const is of ['stored', 'nf4'] as const) {
        for (const file of ['nf4', undefined] as const) {
          assert.equal(count(trained('a', was, file), offered('a', is, 'nf4')), 0);
        }
        assert.equal(count(trained('a', was, 'nf4'), offered('b', is, 'nf4')), 1);
      }
      assert.equal(count(trained('a', was, 'nf4'), offered('a', 'nf4-double', 'nf4')), 1);
    }
    // Doubly quantised files are nf4-double already; weights that were put so while they were read are no other numbers there.
    assert.equal(count(trained('a', 'nf4-double', 'double'), offered('a', 'nf4', 'double')), 0);
    assert.equal(count(trained('a', 'nf4'), offered('a', 'nf4-double', 'double')), 0);
    assert.equal(count(trained('a', 'nf4-double'), offered('a', 'nf4')), 1);
    // Groups of a file are its own, whatever the model's default is.
    assert.equal(count(trained('a', 'int4', 'gptq', 128), offered('a', 'stored', 'gptq', 64)), 0);
    assert.equal(
      count(trained('a', 'int4', undefined, 128), offered('a', 'int4', undefined, 64)),
      1,
    );
    assert.equal(count(trained('a', 'nf4'), offered('a', 'stored')), 1);
  });

  it('AWQ is refused in both directions, its own adapters are not', () => {
    const refuses = (of: TrainedBase | undefined, on: OfferedBase): boolean => {
      try {
        refuseFolded('smile', of, on);
        return false;
      } catch (error) {
        assert.ok(error instanceof FaceLlmError && error.code === 'FACELLM_ADAPTER_INVALID');
        return true;
      }
    };
    assert.ok(refuses(trained('a', 'stored'), offered('b', 'stored', 'awq')));
    assert.ok(refuses(trained('a', 'stored', 'awq'), offered('b', 'stored')));
    assert.ok(refuses(trained('a', 'stored', 'awq'), offered('b', 'int4', 'gptq')));
    assert.ok(!refuses(trained('a', 'stored', 'awq'), offered('a', 'stored', 'awq')));
    assert.ok(!refuses(trained('a', 'stored', 'gptq'), offered('b', 'stored')));
    assert.ok(!refuses(undefined, offered('b', 'stored', 'awq')));
  });

  it('the remedy is of what is done with it', () => {
    const remedy = (form: WeightForm, use: Parameters<typeof baseWarning>[3]): string =>
      baseWarning('smile', trained('a', form), offered('b', 'stored'), use)?.remedy ?? '';
    assert.match(remedy('nf4', 'load'), /^load .*weights: nf4/);
    assert.match(remedy('nf4', 'merge'), /weights: nf4 .*beside it/);
    assert.match(remedy('nf4', 'train'), /^train upon .*base: nf4/);
    assert.match(remedy('stored', 'load'), /^load it into/);
    assert.match(remedy('stored', 'merge'), /^merge it into/);
    assert.match(remedy('stored', 'train'), /^train upon/);
    assert.equal(
      baseWarning('smile', trained('a', 'stored'), offered('a', 'int8'), 'load'),
      undefined,
    );
  });

  it('records are read with the scheme and without it, and a wrong one is not', () => {
    for (const own of [
      trained('a', 'stored', 'awq'),
      trained('a', 'stored', 'double'),
      { weightsHash: 'a', form: 'int4', group: 32 },
    ]) {
      assert.deepEqual(trainedBase.parse(JSON.parse(JSON.stringify(own))), own);
    }
    const wrong = { ...trained('a', 'stored'), quantisation: { ...FILES.awq, bits: 3 } };
    assert.ok(!trainedBase.safeParse(wrong).success);
  });
});
