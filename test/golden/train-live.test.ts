/**
 * Training in ways that the stored golden runs do not cover, made by the oracle (transformers + PEFT) on the
 * spot. Optional: FACELLM_ORACLE names the oracle's folder and FACELLM_ORACLE_PYTHON a Python with its packages.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { RecipeLora, TrainingRecipe } from '../../lib/index.js';
import { readSafetensors } from '../support/safetensors.js';
import { NEEDS_ORACLE, skip } from '../support/skip.js';
import { BASE, checkRun, DATASET, goldenRecipe, goldenRun } from '../support/training.js';

const ORACLE = process.env['FACELLM_ORACLE'];
const PYTHON = process.env['FACELLM_ORACLE_PYTHON'];

interface Variant {
  readonly name: string;
  readonly args: readonly string[];
  readonly lora?: Partial<RecipeLora>;
  readonly recipe?: Partial<TrainingRecipe>;
}

const VARIANTS: readonly Variant[] = [
  { name: 'DoRA', args: ['--dora', '--random-b', '0.02'], lora: { usesDora: true } },
  { name: 'rsLoRA of rank 4', args: ['--rslora', '--rank', '4'], lora: { usesRsLora: true, rank: 4 } },
  { name: 'pictures in tiles', args: ['--crop'], recipe: { maxTiles: 12 } },
  {
    name: 'the image side alone',
    args: ['--mode', 'full', '--parts', 'vision_tower', 'multi_modal_projector'],
    recipe: { lora: null, parts: ['vision', 'projector'] },
  },
  {
    name: 'decay, warm-up, accumulation and clipping of a full run',
    args: [
      ...['--mode', 'full', '--parts', 'language_model', '--batch-size', '1', '--grad-accum', '2'],
      ...['--weight-decay', '0.05', '--warmup-steps', '2', '--max-grad-norm', '0.5'],
    ],
    recipe: { lora: null, parts: ['text', 'head'] },
  },
];

describe(`golden training, live`, function () {
  this.timeout(300_000);
  for (const { name, args, lora, recipe } of VARIANTS) {
    it(name, async function () {
      if (ORACLE === undefined || PYTHON === undefined) return skip(this, NEEDS_ORACLE);
      const folder = mkdtempSync(join(tmpdir(), 'facellm-oracle-'));
      try {
        const oracle = spawnSync(
          PYTHON,
          [
            ...[join(ORACLE, 'golden_train.py'), '--checkpoint', BASE, '--samples', DATASET],
            ...['--out', join(folder, 'oracle'), ...args],
          ],
          { encoding: 'utf8' },
        );
        assert.equal(oracle.status, 0, oracle.stderr);
        const run = goldenRun('oracle', folder);
        const golden = goldenRecipe(run);
        const output = join(folder, 'ours');
        const isLora = recipe?.lora !== null;
        await checkRun({
          run,
          output,
          recipe: {
            ...golden,
            ...(golden.lora === null ? {} : { lora: { ...golden.lora, ...lora } }),
            ...recipe,
          },
          ...(isLora ? { adapter: join(folder, 'oracle', 'adapter_init') } : {}),
        });
        if (!isLora) return;
        const ours = readSafetensors(join(output, 'adapter_model.safetensors'));
        const path = join(folder, 'oracle', 'adapter_final', 'adapter_model.safetensors');
        for (const [key, { data }] of readSafetensors(path)) {
          const own = ours.get(key)?.data ?? [];
          data.forEach((value, i) =>
            assert.ok(Math.abs(Number(own[i]) - Number(value)) <= 1e-4, `${key}[${i}]`),
          );
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});
