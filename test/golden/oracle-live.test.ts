/**
 * A checkpoint of another seed and other sizes, made and run by the oracle on the spot. Optional:
 * FACELLM_ORACLE names the oracle's folder and FACELLM_ORACLE_PYTHON a Python with its packages.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { decodeImage } from '../../lib/image/index.js';
import * as golden from '../support/golden.js';
import { readSafetensors } from '../support/safetensors.js';
import { NEEDS_ORACLE, skip } from '../support/skip.js';

const ORACLE = process.env['FACELLM_ORACLE'];
const PYTHON = process.env['FACELLM_ORACLE_PYTHON'];

const SIZES =
  '--seed 77 --vision-layers 3 --vision-hidden 96 --vision-heads 3 --vision-mlp 160 --image-size 84 ' +
  '--text-layers 3 --text-hidden 80 --text-heads 5 --text-kv-heads 1 --text-mlp 112';

describe(`oracle, live`, () => {
  for (const style of ['300m', '6b']) {
    it(`another seed and other sizes, ${style}`, async function () {
      if (ORACLE === undefined || PYTHON === undefined) return skip(this, NEEDS_ORACLE);
      const folder = mkdtempSync(join(tmpdir(), 'facellm-oracle-'));
      try {
        const run = (script: string, args: readonly string[]): void => {
          const result = spawnSync(PYTHON, [join(ORACLE, script), ...args], { encoding: 'utf8' });
          assert.equal(result.status, 0, result.stderr);
        };
        const checkpoint = join(folder, 'checkpoint');
        const image = { kind: 'face', width: 200, height: 90, seed: 9 };
        const one = { name: 'live', images: [image], prompt: 'Who is this?', max_new_tokens: 4 };
        writeFileSync(join(folder, 'cases.json'), JSON.stringify({ cases: [one] }));
        run('make_checkpoint.py', ['--out', checkpoint, '--vision-style', style, ...SIZES.split(' '),
          '--tokenizer', join(golden.GOLDEN, 'ckpt-300m')]);
        run('golden.py', ['--checkpoint', checkpoint, '--cases', join(folder, 'cases.json'), '--out', join(folder, 'out'), '--dtypes', 'fp32']);
        const info = JSON.parse(readFileSync(join(folder, 'out', 'live.fp32.json'), 'utf8')) as golden.GoldenCase;
        const picture = await decodeImage(join(folder, 'out', 'images', 'live_0.png'));
        const tiles = info.tiles[0] ?? 0;
        const grid = (await import('../../lib/binding/load.js')).loadAddon().chooseTileGrid(picture.width, picture.height, 84, 1, 12);
        const input = { ...picture, ...grid, hasThumbnail: tiles > 1 };
        const model = await golden.loadNative(checkpoint, { dtype: 'fp32' });
        const traced = await model.trace({ ids: Int32Array.from(info.input_ids), images: [input] }, []).promise;
        await model.dispose().promise;
        let compared = 0;
        for (const [name, want] of readSafetensors(join(folder, 'out', 'live.fp32.safetensors'))) {
          const actual = traced.find((stage) => stage.name === name);
          if (actual === undefined) continue;
          const error = golden.relativeError(actual, want);
          assert.ok(error <= 1e-4, `${name}: off by ${error.toExponential(2)}`);
          compared++;
        }
        assert.ok(compared >= 10, `${compared} stages compared`);
      } finally {
        rmSync(folder, { recursive: true });
      }
    }).timeout(300_000);
  }
});
