/** bitsandbytes' nf4 files that are damaged: refused by name, everything at once (that whole ones are read: quantised-files.test.ts). */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type ErrorCode, exportModel, FaceLlm, FaceLlmError } from '../../lib/index.js';
import { type RawTensor, readRaw, writeSafetensors } from '../support/original-layout.js';
import { writeQuantisedCheckpoint } from '../support/quantised-checkpoint.js';
import { writeWideCheckpoint } from '../support/wide-checkpoint.js';

/** Of one of a weight's tensors, whose name ends so; undefined: it is gone. */
interface Damage {
  readonly suffix: string;
  readonly edit: (tensor: RawTensor) => RawTensor | undefined;
  readonly told: RegExp;
}

const STATE = '.quant_state.bitsandbytes__nf4';
const SIDES = ['.absmax', '.quant_map', '.nested_absmax', '.nested_quant_map'];

function inState(old: string | RegExp, now: string, told = /: expected nf4 in blocks of 64/): Damage {
  const edit = (tensor: RawTensor): RawTensor => {
    const before = tensor.bytes.toString();
    const bytes = Buffer.from(before.replace(old, now));
    assert.notEqual(bytes.toString(), before);
    return { ...tensor, shape: [bytes.length], bytes };
  };
  return { suffix: STATE, edit, told };
}

function number(suffix: string, index: number, value: number, told: RegExp): Damage {
  const edit = (tensor: RawTensor): RawTensor => {
    const bytes = Buffer.from(tensor.bytes);
    bytes.writeFloatLE(value, 4 * index);
    return { ...tensor, bytes };
  };
  return { suffix, edit, told };
}

function shorter(tensor: RawTensor): RawTensor {
  const [count = 0, ...rest] = tensor.shape;
  const bytes = tensor.bytes.subarray(tensor.bytes.length / count);
  return { ...tensor, shape: [count - 1, ...rest], bytes };
}

describe('damaged nf4 files', () => {
  let root: string;
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'facellm-nf4-'));
    writeWideCheckpoint(join(root, 'wide'));
    writeQuantisedCheckpoint(join(root, 'wide'), join(root, 'nf4'), 'nf4');
    writeQuantisedCheckpoint(join(root, 'wide'), join(root, 'nf4 double'), 'nf4 double');
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  /** Each of another weight. */
  async function refuses(
    scheme: 'nf4' | 'nf4 double',
    damages: readonly Damage[],
    code: ErrorCode = 'FACELLM_CHECKPOINT_INVALID',
  ): Promise<void> {
    const directory = join(root, scheme);
    const tensors = readRaw(directory);
    const whole = new Map(tensors);
    const weights = [...whole.keys()].filter((name) => name.endsWith(STATE)).sort();
    assert.ok(damages.length <= weights.length);
    const expected = damages.map(({ suffix, edit, told }, i) => {
      const module = weights[i]?.slice(0, -`.weight${STATE}`.length) ?? '';
      const name = `${module}.weight${suffix}`;
      const tensor = tensors.get(name);
      assert.ok(tensor, name);
      const edited = edit(tensor);
      if (edited === undefined) tensors.delete(name);
      else tensors.set(name, edited);
      return { module, told };
    });
    const path = join(directory, 'model.safetensors');
    const works = [
      async () => (await FaceLlm.load(directory, { device: 'cpu' })).dispose(),
      () => exportModel({ model: directory, output: join(root, 'out'), dtype: 'fp32' }),
    ];
    rmSync(path);
    writeSafetensors(path, tensors);
    for (const work of works.slice(0, code === 'FACELLM_NON_FINITE' ? 1 : 2)) {
      await assert.rejects(work, (error: unknown) => {
        assert.ok(error instanceof FaceLlmError, String(error));
        assert.equal(error.code, code, error.message);
        const lines = [error.message, ...error.details];
        for (const { module, told } of expected) {
          const isTold = lines.some((line) => line.includes(module) && told.test(line));
          assert.ok(isTold, `${module} ${told}: ${lines.join('\n')}`);
        }
        return true;
      });
    }
    rmSync(path);
    writeSafetensors(path, whole);
  }

  it('a tensor that is missing, a state that is none or of another scheme', () =>
    refuses('nf4 double', [
      ...[...SIDES, STATE].map((suffix) => ({ suffix, edit: () => undefined, told: /missing tensor/ })),
      inState(/}$/, '', /is no JSON text/),
      inState('"nf4"', '"fp4"'),
      inState('"blocksize":64', '"blocksize":128'),
      inState('_blocksize":256', '_blocksize":64'),
      inState(/,"nested_offset":[^,}]*/, ''),
      inState(/("nested_offset":)[^,}]*/, '$11e999', /finite nested_offset/),
      inState(/("nested_offset":)[^,}]*/, '$1"0.1"', /finite nested_offset/),
      inState(/("nested_offset":)[^,}]*/, '$1NaN', /finite nested_offset|is no JSON text/),
      inState(/"shape":\[[^\]]*\]/, '"shape":[64]'),
    ]));

  it('tensors of other counts', async () => {
    const told = / holds \d+ of .*, expected \d+ of/;
    await refuses('nf4 double', ['', ...SIDES].map((suffix) => ({ suffix, edit: shorter, told })));
    await refuses('nf4', ['', ...SIDES.slice(0, 2)].map((suffix) => ({ suffix, edit: shorter, told })));
  });

  it('a table that is not nf4\'s', () =>
    refuses('nf4', [number('.quant_map', 1, -0.5, /\.quant_map is not nf4's table/)]));

  it('magnitudes that are no numbers', async () => {
    const told = /holds NaN or infinite values/;
    await refuses('nf4', [number('.absmax', 1, NaN, told)], 'FACELLM_NON_FINITE');
    await refuses('nf4', [number('.absmax', 0, Infinity, told)], 'FACELLM_NON_FINITE');
    await refuses('nf4 double', [number('.nested_absmax', 0, NaN, told)], 'FACELLM_NON_FINITE');
  });
});
