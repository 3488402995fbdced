/** `quantizeModel()` and `facellm quantize`: what is written, read back by formulas alone, by the engine, and by transformers. */
import assert from 'node:assert/strict';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { NativeTensor } from '../../lib/binding/native.js';
import { exportModel, type QuantizedForm, quantizeModel } from '../../lib/index.js';
import * as golden from '../support/golden.js';
import { fp8Value } from '../support/quantised-checkpoint.js';
import { readSafetensors, type StoredTensor } from '../support/safetensors.js';
import { NEEDS_ORACLE, skip } from '../support/skip.js';

const DIRECTORY = join(golden.GOLDEN, 'ckpt-300m');
const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const PYTHON = process.env['FACELLM_ORACLE_PYTHON'];
const SCRIPTS = join(import.meta.dirname, '..', '..', 'scripts');
const FORMS: readonly QuantizedForm[] = ['int4', 'int8', 'fp8'];
const PROJECTION = /^language_model\.model\.layers\.\d+\..*_proj$/;

type Tensors = Map<string, StoredTensor>;

/** What a written weight stands for, by the formula of its form alone; and how far a number may be from its code. */
function readBack(
  tensors: Tensors,
  module: string,
  form: QuantizedForm,
): { readonly values: Float32Array; readonly bound: (value: number, scale: number) => number; readonly scaleOf: (at: number) => number } {
  const of = (suffix: string): StoredTensor => {
    const found = tensors.get(`${module}.${suffix}`);
    assert.ok(found, `${module}.${suffix}`);
    return found;
  };
  const scales = of('weight_scale').data as Float32Array;
  const [rows = 0, groups = 0] = of('weight_scale').shape;
  if (form === 'int4') {
    const [, columns = 0] = [...(of('weight_shape').data as BigInt64Array)].map(Number);
    const words = of('weight_packed').data as Int32Array;
    const scaleOf = (at: number): number =>
      scales[Math.floor(at / columns) * groups + Math.floor(((at % columns) * groups) / columns)] ?? NaN;
    const values = new Float32Array(rows * columns).map((_, at) => {
      const word = words[Math.floor(at / 8)] ?? 0;
      return (((word >>> (4 * (at % 8))) & 15) - 8) * scaleOf(at);
    });
    // Half a step, or what lies beyond the levels of a narrowed scale: at most 0.7 of the widest.
    return { values, scaleOf, bound: (value, scale) => Math.max(scale / 2, Math.abs(value) - 7 * scale) };
  }
  const columns = of('weight').shape[1] ?? 0;
  const bytes = of('weight').data as Uint8Array;
  const scaleOf = (at: number): number => scales[Math.floor(at / columns)] ?? NaN;
  const values = new Float32Array(bytes.length).map((_, at) => {
    const byte = bytes[at] ?? 0;
    return (form === 'fp8' ? fp8Value(byte) : (byte << 24) >> 24) * scaleOf(at);
  });
  // A scale in bf16 may be 2^-9 too small for the row's largest.
  const cut = (value: number): number => Math.abs(value) * 2 ** -8;
  return {
    ...{ values, scaleOf },
    bound: (value, scale) =>
      form === 'int8'
        ? scale / 2 + cut(value)
        : Math.max(Math.abs(value) * 2 ** -4, scale * 2 ** -10) + cut(value),
  };
}

describe('quantised files of our own', () => {
  let root: string;
  before(() => (root = mkdtempSync(join(tmpdir(), 'facellm-quantize-'))));
  after(() => rmSync(root, { recursive: true, force: true }));

  const original = (): Tensors => readSafetensors(join(DIRECTORY, 'model.safetensors'));

  for (const form of FORMS) {
    it(`${form}: near the weights, and exact to read`, async () => {
      const output = join(root, form);
      const { files } = await quantizeModel({ model: DIRECTORY, output, weights: form });
      assert.deepEqual(files, ['model.safetensors']);
      const tensors = readSafetensors(join(output, 'model.safetensors'));
      const dense = join(root, `${form}-dense`);
      await exportModel({ model: output, output: dense, dtype: 'fp32' });
      const back = readSafetensors(join(dense, 'model.safetensors'));
      let [count, squares, lost] = [0, 0, 0];
      for (const [name, { data }] of original()) {
        const module = name.replace(/\.weight$/, '');
        if (!PROJECTION.test(module)) {
          assert.deepEqual(tensors.get(name)?.data, data, name);
          continue;
        }
        const { values, bound, scaleOf } = readBack(tensors, module, form);
        assert.deepEqual(back.get(name)?.data, values, name);
        values.forEach((value, at) => {
          const wanted = Number(data[at]);
          const error = Math.abs(value - wanted);
          assert.ok(error <= bound(wanted, scaleOf(at)) + 1e-9, `${name}[${at}]: ${wanted} became ${value}`);
          squares += wanted ** 2;
          lost += error ** 2;
        });
        count++;
      }
      assert.equal(count, 14);
      // Of weights drawn from a normal distribution: a step of a sixteenth, a 254th and a sixteenth of each number.
      const share = Math.sqrt(lost / squares);
      assert.ok(share < { int4: 0.11, int8: 0.009, fp8: 0.03 }[form] && share > 0, String(share));
    });
  }

  it('the engine keeps all forms as they are, and computes what their plain weights give', async () => {
    const one = golden.goldenCases('300m').find(({ dtype }) => dtype === 'fp32');
    assert.ok(one);
    const stages = async (directory: string, form: string): Promise<readonly NativeTensor[]> => {
      const model = await golden.loadNative(directory, { dtype: 'fp32', device: 'cpu' });
      try {
        assert.equal(model.info().weights.text, form);
        return await model.trace(await golden.goldenPrompt(one), []).promise;
      } finally {
        await model.dispose().promise;
      }
    };
    for (const form of FORMS) {
      const own = await stages(join(root, form), form);
      for (const [i, stage] of (await stages(join(root, `${form}-dense`), 'stored')).entries()) {
        const ours = own[i];
        assert.ok(ours?.name === stage.name);
        if (stage.name === 'logits.argmax') continue;
        // Whole numbers are multiplied with x in 14 bits: 2^-14 of a row's largest for each product, through two layers.
        const error = golden.relativeError(ours, { dtype: 'F32', ...stage });
        assert.ok(error <= 2 ** -10, `${form} ${stage.name}: off by ${error}`);
      }
    }
  });

  it('a group that does not fit, a full folder and a scale of a row with a group are refused; nothing is left', async () => {
    const output = join(root, 'refused');
    const quantize = (more: object) =>
      quantizeModel({ model: DIRECTORY, output, weights: 'int4', ...more });
    await assert.rejects(quantize({ group: 128 }), /group/);
    await assert.rejects(quantize({ weights: 'int8', group: 32 }), /group/);
    await assert.rejects(quantize({ output: join(root, 'int4') }), /not empty/);
    const stopped = AbortSignal.abort(new Error('enough'));
    await assert.rejects(quantize({ signal: stopped }), /enough/);
    assert.ok(!existsSync(output));
    assert.ok(readdirSync(root).every((name) => !name.includes('partial')));
  });

  it('the command writes the same, and what it is called in config.json', () => {
    const output = join(root, 'command');
    const args = ['quantize', '--model', DIRECTORY, '--weights', 'int4', '--output', output];
    const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /int4, hf layout.*\n.*facellm compare/);
    const [ours, other] = [output, join(root, 'int4')].map((folder) =>
      readFileSync(join(folder, 'model.safetensors')),
    );
    assert.ok(other && ours?.equals(other));
    const config = JSON.parse(readFileSync(join(output, 'config.json'), 'utf8')) as {
      quantization_config: { quant_method: string; format: string };
    };
    const { quant_method, format } = config.quantization_config;
    assert.deepEqual([quant_method, format], ['compressed-tensors', 'pack-quantized']);
  });

  it('transformers loads them, to the same weights', function () {
    this.timeout(300_000);
    if (PYTHON === undefined) return skip(this, NEEDS_ORACLE);
    const env = { ...process.env, PYTHONPATH: SCRIPTS };
    const has = spawnSync(PYTHON, ['-c', 'import known_torchvision, compressed_tensors'], { env });
    if (has.status !== 0) {
      return skip(this, "needs compressed-tensors in the oracle's Python: pip install compressed-tensors");
    }
    const script = `
import sys, torch, known_torchvision
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, CompressedTensorsConfig
folder, dense = sys.argv[1:]
model, info = AutoModelForImageTextToText.from_pretrained(
    folder, output_loading_info=True, dtype=torch.float32, quantization_config=CompressedTensorsConfig(run_compressed=False))
assert not info["missing_keys"] and not info["unexpected_keys"], info
wanted = load_file(dense + "/model.safetensors")
state = model.state_dict()
for name, value in wanted.items():
    if not name.endswith("_proj.weight") or "language_model" not in name: continue
    own = state[name.replace("language_model.model.", "model.language_model.")].float()
    assert torch.allclose(own, value, rtol=2**-8, atol=0), name
print("same")
`;
    for (const form of FORMS) {
      const folders = [join(root, form), join(root, `${form}-dense`)];
      const ran: SpawnSyncReturns<string> = spawnSync(PYTHON, ['-c', script, ...folders], {
        ...{ encoding: 'utf8', env },
      });
      assert.equal(ran.stdout.trim().split('\n').at(-1), 'same', `${form}: ${ran.stderr}`);
    }
  });
});
