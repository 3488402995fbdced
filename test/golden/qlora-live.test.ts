/**
 * Training upon nf4 beside PEFT and bitsandbytes, on the spot. Optional: FACELLM_ORACLE names the oracle's folder and
 * FACELLM_ORACLE_PYTHON a Python with its packages and bitsandbytes.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { exportModel, FaceLlm, type RecipeBase } from '../../lib/index.js';
import { readSafetensors } from '../support/safetensors.js';
import { NEEDS_ORACLE, skip } from '../support/skip.js';
import { checkRun, DATASET, goldenRecipe, goldenRun } from '../support/training.js';
import { writeWideCheckpoint } from '../support/wide-checkpoint.js';

const ORACLE = process.env['FACELLM_ORACLE'];
const PYTHON = process.env['FACELLM_ORACLE_PYTHON'];
const SCRIPT = join(import.meta.dirname, '..', '..', 'scripts', 'qlora-reference.py');

const FILES = join(SCRIPT, '..', 'nf4-files-reference.py');

const STEPS = 20;
/** All of them in each step: their order within one is free. */
const RECORDS = 4;
const VARIANTS: readonly { readonly base: RecipeBase; readonly usesDora: boolean }[] = [
  { base: 'nf4', usesDora: false },
  { base: 'nf4-double', usesDora: false },
  { base: 'nf4', usesDora: true },
];

describe(`golden training upon nf4, live`, function () {
  this.timeout(600_000);
  let root = '';
  let model = '';
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'facellm-qlora-'));
    model = join(root, 'model');
    writeWideCheckpoint(model);
  });
  after(() => rmSync(root, { recursive: true }));

  for (const { base, usesDora } of VARIANTS) {
    it(`${STEPS} steps upon ${base}${usesDora ? ' with DoRA' : ''}`, async function () {
      if (ORACLE === undefined || PYTHON === undefined) return skip(this, NEEDS_ORACLE);
      if (spawnSync(PYTHON, ['-c', 'import bitsandbytes']).status !== 0) {
        return skip(this, "needs bitsandbytes in the oracle's Python: pip install bitsandbytes");
      }
      const folder = join(root, `${base}-${usesDora}`);
      const args = [
        ...[SCRIPT, ORACLE, base, '--checkpoint', model, '--samples', DATASET],
        ...['--out', join(folder, 'oracle'), '--steps', String(STEPS), '--random-b', '0.02'],
        ...['--batch-size', String(RECORDS)],
        ...(usesDora ? ['--dora'] : []),
      ];
      // Compiling small functions takes longer than they do.
      const env = { ...process.env, TORCHDYNAMO_DISABLE: '1' };
      const ran = spawnSync(PYTHON, args, { encoding: 'utf8', env });
      assert.equal(ran.status, 0, ran.stderr);
      const run = goldenRun('oracle', folder);
      const golden = goldenRecipe(run);
      assert.ok(golden.lora);
      const output = join(folder, 'ours');
      // Codes and magnitudes are the same bits, so that the run is held as closely as one upon plain weights.
      await checkRun({
        ...{ run, output, model, adapter: join(folder, 'oracle', 'adapter_init') },
        recipe: { ...golden, base, lora: { ...golden.lora, usesDora } },
      });
      const ours = readSafetensors(join(output, 'adapter_model.safetensors'));
      const path = join(folder, 'oracle', 'adapter_final', 'adapter_model.safetensors');
      for (const [key, { data }] of readSafetensors(path)) {
        const own = ours.get(key)?.data ?? [];
        data.forEach((value, i) =>
          assert.ok(Math.abs(Number(own[i]) - Number(value)) <= 1e-4, `${key}[${i}]`),
        );
      }
    });
  }

  for (const form of ['nf4', 'nf4-double']) {
    it(`files of transformers and bitsandbytes, ${form}: every weight, bit for bit; kept as nf4`, async function () {
      if (PYTHON === undefined) return skip(this, NEEDS_ORACLE);
      if (spawnSync(PYTHON, ['-c', 'import bitsandbytes']).status !== 0) {
        return skip(this, "needs bitsandbytes in the oracle's Python: pip install bitsandbytes");
      }
      const folder = join(root, `files-${form}`);
      mkdirSync(folder);
      const env = { ...process.env, TORCHDYNAMO_DISABLE: '1' };
      const ran = spawnSync(PYTHON, [FILES, model, form, folder], { encoding: 'utf8', env });
      assert.equal(ran.status, 0, ran.stderr);
      const files = join(folder, 'files');
      await exportModel({ model: files, output: join(folder, 'ours'), dtype: 'fp32' });
      const ours = readSafetensors(join(folder, 'ours', 'model.safetensors'));
      const dense = readSafetensors(join(folder, 'dense.safetensors'));
      assert.equal(dense.size, 14);
      for (const [name, { data }] of dense) assert.deepEqual(ours.get(name)?.data, data, name);
      await using loaded = await FaceLlm.load(files, { device: 'cpu' });
      assert.equal(loaded.info.weights.text, 'nf4');
    });
  }
});
