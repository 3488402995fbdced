/** Quantised files of other tools: read exactly, kept as they are where the processor's layout is theirs, refused by name. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { NativeTensor } from '../../lib/binding/native.js';
import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { exportModel, FaceLlm, FaceLlmError } from '../../lib/index.js';
import { keptForm, type WeightForm } from '../../lib/model/index.js';
import { weightsOf } from '../../lib/model/load.js';
import { weightBytes } from '../../lib/model/weight-bytes.js';
import * as golden from '../support/golden.js';
import {
  fp8Value,
  GROUP,
  packRows,
  quantisationConfig,
  SCHEMES,
  transposed,
  writeQuantisedCheckpoint,
} from '../support/quantised-checkpoint.js';
import { readRaw, writeSafetensors } from '../support/original-layout.js';
import { readSafetensors } from '../support/safetensors.js';
import { writeWideCheckpoint } from '../support/wide-checkpoint.js';

const DIRECTORY = join(golden.GOLDEN, 'ckpt-300m');
const FIXTURE = join(import.meta.dirname, '..', 'fixtures', 'quantised', 'words.json');
const ONE = golden.goldenCases('300m').find(({ dtype }) => dtype === 'fp32');

interface Fixture {
  readonly packed: readonly {
    readonly bits: number;
    readonly shape: readonly [number, number];
    readonly dimension: number;
    readonly codes: readonly number[];
    readonly words: readonly number[];
  }[];
  readonly fp8: { readonly values: readonly number[]; readonly codes: readonly number[] };
}

async function stagesOf(
  directory: string,
  weights?: WeightForm,
): Promise<Map<string, NativeTensor>> {
  assert.ok(ONE);
  const model = await golden.loadNative(directory, {
    dtype: 'fp32',
    device: golden.TEST_DEVICE,
    ...(weights !== undefined && { weights: { text: weights } }),
  });
  try {
    const stages = await model.trace(await golden.goldenPrompt(ONE), []).promise;
    return new Map(stages.map((one) => [one.name, one]));
  } finally {
    await model.dispose().promise;
  }
}

describe('quantised files', () => {
  let root: string;
  /** Of columns that blocks of 64 divide, as bitsandbytes' files must be. */
  let wide: string;
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'facellm-quantised-'));
    wide = join(root, 'wide');
    writeWideCheckpoint(wide);
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  it("the tests' own packing is compressed-tensors', and its fp8 is torch's", () => {
    const { packed, fp8 } = JSON.parse(readFileSync(FIXTURE, 'utf8')) as Fixture;
    for (const { bits, shape, dimension, codes, words } of packed) {
      const rows = Array.from({ length: shape[0] }, (_, n) =>
        codes.slice(n * shape[1], (n + 1) * shape[1]).map((code) => code + 2 ** (bits - 1)),
      );
      const found =
        dimension === 1 ? packRows(rows, bits) : transposed(packRows(transposed(rows), bits));
      assert.deepEqual(found.flat(), words);
    }
    fp8.values.forEach((value, i) => {
      const code = fp8.codes[i] ?? 0;
      // No neighbour of the code is nearer.
      for (const near of [code - 1, code + 1]) {
        if ((near & 0x7f) === 0x7f || near < 0 || near > 255) continue;
        assert.ok(Math.abs(fp8Value(code) - value) <= Math.abs(fp8Value(near) - value));
      }
    });
  });

  for (const scheme of SCHEMES) {
    it(`${scheme}: every weight is what its codes stand for, bit for bit; answers are theirs`, async () => {
      const from = join(root, scheme.replaceAll(' ', '-'));
      const dense = `${from}-dense`;
      const source = scheme.startsWith('nf4') ? wide : DIRECTORY;
      const expected = writeQuantisedCheckpoint(source, from, scheme);
      const whole = await exportModel({ model: from, output: dense, dtype: 'fp32' });
      assert.ok(whole.tensors > expected.size && expected.size === 14);
      const written = readSafetensors(join(dense, 'model.safetensors'));
      const original = readSafetensors(join(source, 'model.safetensors'));
      assert.deepEqual([...written.keys()].sort(), [...original.keys()].sort());
      for (const [name, { data }] of written) {
        assert.deepEqual(data, expected.get(name) ?? original.get(name)?.data, name);
      }
      const config = JSON.parse(readFileSync(join(dense, 'config.json'), 'utf8')) as object;
      assert.ok(!('quantization_config' in config));

      const [own, theirs] = [await stagesOf(from), await stagesOf(dense)];
      const { quantisation } = (await readCheckpointConfig(from)).model;
      const isKept = keptForm(quantisation) !== undefined;
      // Kept codes are multiplied with x in 14 bits: 2^-14 of a row's largest for each product, through two layers.
      const tolerance = isKept ? 2 ** -10 : 0;
      for (const [name, stage] of theirs) {
        if (name === 'logits.argmax') continue;
        const ours = own.get(name);
        assert.ok(ours, name);
        const error = golden.relativeError(ours, { dtype: 'F32', ...stage });
        assert.ok(error <= tolerance, `${name}: off by ${error.toExponential(2)}`);
      }
      const kept = ['int4', 'int8', 'int8 packed', 'fp8', 'gptq', 'nf4', 'nf4 double'];
      assert.equal(isKept, kept.includes(scheme));
    });
  }

  it('nf4-double rounds magnitudes that the files have whole, and those of doubly quantised files no second time', async () => {
    const stages = async (scheme: 'nf4' | 'nf4 double', weights?: 'nf4-double') => {
      const directory = join(root, `asked-${scheme.replaceAll(' ', '-')}-${weights ?? 'stored'}`);
      writeQuantisedCheckpoint(wide, directory, scheme);
      const found = await stagesOf(directory, weights);
      assert.ok(found.has('text.layers.0'));
      return [...found].map(([name, { data }]) => ({ name, data }));
    };
    assert.deepEqual(await stages('nf4 double', 'nf4-double'), await stages('nf4 double'));
    assert.notDeepEqual(await stages('nf4', 'nf4-double'), await stages('nf4'));
  });

  it('what is kept and what it takes is planned, told, and so in memory', async () => {
    const [int4, awq] = [join(root, 'int4'), join(root, 'awq')];
    for (const [directory, form] of [
      [int4, 'int4'],
      [awq, 'stored'],
    ] as const) {
      await using model = await FaceLlm.load(directory, { device: golden.TEST_DEVICE, dtype: 'fp32' });
      const { weights, parameterBytes } = model.info;
      assert.equal(weights.text, form);
      const config = await readCheckpointConfig(directory);
      const planned = weightBytes(config.model, 4, weightsOf(config, undefined));
      // Norms, biases and the like are not planned.
      assert.ok(parameterBytes >= planned && parameterBytes < planned * 1.05);
    }
    await using requantised = await FaceLlm.load(awq, { device: golden.TEST_DEVICE, weights: 'int8' });
    assert.equal(requantised.info.weights.text, 'int8');
    assert.equal(requantised.info.dtype, 'bf16');
  });

  it('rows whose zero points fill no whole words are refused, and nothing behind them is read', async () => {
    const directory = join(root, 'gptq-rows');
    writeQuantisedCheckpoint(DIRECTORY, directory, 'gptq_v2');
    const path = join(directory, 'model.safetensors');
    const stored = readRaw(directory);
    const module = [...stored.keys()].find((name) => name.endsWith('.qweight'))?.slice(0, -8);
    const tensors = [...stored].map(([name, { dtype, shape, bytes }]) => {
      const [height = 0, width = 0] = shape;
      const isOurs = [`${module}.qweight`, `${module}.scales`, `${module}.qzeros`].includes(name);
      if (!isOurs) return [name, { dtype, shape, bytes }] as const;
      // Four rows of the weight fewer, and with them half a word of zero points.
      const kept = name.endsWith('.qzeros') ? width - 1 : width - 4;
      const size = bytes.length / (height * width);
      const rows = Array.from({ length: height }, (_, r) =>
        bytes.subarray(r * width * size, (r * width + kept) * size),
      );
      return [name, { dtype, shape: [height, kept], bytes: Buffer.concat(rows) }] as const;
    });
    writeSafetensors(path, new Map(tensors));
    await assert.rejects(FaceLlm.load(directory, { device: golden.TEST_DEVICE }), (error: unknown) => {
      assert.ok(error instanceof FaceLlmError);
      assert.match(error.details.join('\n'), /\.qweight is of \d+ rows, expected a multiple of 8/);
      return true;
    });
  });

  it('a field that is not understood is refused by name, as is another method or version', async () => {
    const change = async (
      edit: (config: Record<string, never>) => unknown,
      scheme: (typeof SCHEMES)[number] = 'int4',
    ): Promise<readonly string[]> => {
      const directory = mkdtempSync(join(root, 'bad-'));
      mkdirSync(directory, { recursive: true });
      writeQuantisedCheckpoint(DIRECTORY, directory, scheme);
      const path = join(directory, 'config.json');
      const config = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
      const own = quantisationConfig(scheme) as Record<string, never>;
      writeFileSync(path, JSON.stringify({ ...config, quantization_config: edit(own) }));
      try {
        await (await FaceLlm.load(directory, { device: golden.TEST_DEVICE })).dispose();
        return [];
      } catch (error) {
        assert.ok(error instanceof FaceLlmError, String(error));
        return [error.message, ...error.details];
      }
    };
    const says = async (pattern: RegExp, ...how: Parameters<typeof change>): Promise<void> => {
      const lines = await change(...how);
      assert.ok(lines.some((line) => pattern.test(line)), `${pattern}: ${lines.join('\n')}`);
    };
    await says(/rotation: is not understood/, (own) => ({ ...own, rotation: 'hadamard' }));
    await says(/weights\.codebook: is not understood/, (own) => {
      const { config_groups } = own as unknown as { config_groups: { group_0: { weights: object } } };
      Object.assign(config_groups.group_0.weights, { codebook: [1] });
      return own;
    });
    await says(/quant_method: .*"bitnet"/, () => ({ quant_method: 'bitnet' }));
    const nf4 = { quant_method: 'bitsandbytes', load_in_4bit: true, bnb_4bit_quant_type: 'nf4' };
    await says(/load_in_8bit: .*true/, () => ({ ...nf4, load_in_8bit: true }));
    await says(/bnb_4bit_quant_type: .*fp4/, () => ({ ...nf4, bnb_4bit_quant_type: 'fp4' }));
    await says(/format: .*marlin-24/, (own) => ({ ...own, format: 'marlin-24' }));
    await says(/version: .*gemv/, (own) => ({ ...own, version: 'gemv' }), 'awq');
    await says(/bits: .*3/, (own) => ({ ...own, bits: 3 }), 'gptq');
    // The tensors are of another group than the file says.
    await says(/weight_scale has shape/, (own) => {
      const { config_groups } = own as unknown as {
        config_groups: { group_0: { weights: { group_size: number } } };
      };
      config_groups.group_0.weights.group_size = GROUP / 2;
      return own;
    });
    await says(/which config\.json's quantization_config denies/, (own) => ({ ...own, sym: true }), 'gptq_v2');
    // Codes that no file explains.
    await says(/unsupported dtype I32/, () => null);
  });
});
