/**
 * Training in ways that the stored golden runs do not cover, made by the oracle (transformers + PEFT) on the
 * spot. Optional: FACELLM_ORACLE names the oracle's folder and FACELLM_ORACLE_PYTHON a Python with its packages.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { mapBounded } from '../../lib/jobs/index.js';
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
  let all = '';
  /** What the oracle said of each variant that it could not train, by name. */
  const failures = new Map<string, string>();

  before(async () => {
    if (ORACLE === undefined || PYTHON === undefined) return;
    all = mkdtempSync(join(tmpdir(), 'facellm-oracle-'));
    // Two at a time: most of it is importing torch and transformers, which takes a core.
    await mapBounded(VARIANTS, 2, async ({ name, args }) => {
      const oracle = spawn(PYTHON, [
        ...[join(ORACLE, 'golden_train.py'), '--checkpoint', BASE, '--samples', DATASET],
        ...['--out', join(all, name, 'oracle'), ...args],
      ]);
      let told = '';
      oracle.stderr.on('data', (piece: Buffer) => (told += piece.toString()));
      oracle.stdout.resume();
      const [code] = (await once(oracle, 'close')) as [number | null];
      if (code !== 0) failures.set(name, told);
    });
  });
  after(() => {
    if (all !== '') rmSync(all, { recursive: true });
  });

  for (const { name, lora, recipe } of VARIANTS) {
    it(name, async function () {
      if (all === '') return skip(this, NEEDS_ORACLE);
      assert.equal(failures.get(name), undefined);
      const folder = join(all, name);
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
    });
  }
});
