/** Which settings a request gets, and what counts as another setting than in training. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { DEFAULT_SYSTEM } from '../../lib/chat/index.js';
import type { CheckpointConfig } from '../../lib/checkpoint/index.js';
import { resolveAskedFaces } from '../../lib/faces/index.js';
import type { PromptOptions } from '../../lib/model/index.js';
import {
  readServingSettings,
  resolvePromptOptions,
  type ServingSettings,
  settingDifferences,
} from '../../lib/model/serving-settings.js';

const TRAINED: ServingSettings = {
  template: 'training',
  system: DEFAULT_SYSTEM,
  tiling: 'off',
  limitsImageArea: true,
  applyExif: false,
  faces: 'off',
};
const CONFIG = { minTiles: 1, maxTiles: 12, useThumbnail: true } as CheckpointConfig;
const EVERYTHING = { hasImages: true, hasText: true, hasOwnSystem: false };

describe('serving settings', () => {
  it('are the record where the caller leaves them open, and then nothing differs', () => {
    const used = resolvePromptOptions({}, TRAINED, 'hf');
    assert.deepEqual(used, TRAINED);
    assert.deepEqual(settingDifferences(used, TRAINED, CONFIG, EVERYTHING), []);
  });

  it('are the form without a record', () => {
    assert.deepEqual(resolvePromptOptions({}, undefined, 'hf'), {
      template: 'hub',
      tiling: undefined,
      limitsImageArea: false,
      applyExif: true,
      faces: 'off',
    });
    assert.deepEqual(resolvePromptOptions({ template: 'training' }, undefined, 'hf'), {
      template: 'training',
      tiling: 'off',
      limitsImageArea: true,
      applyExif: true,
      faces: 'off',
    });
  });

  it("the original layout is asked in InternVL's own chat form", () => {
    assert.deepEqual(resolvePromptOptions({}, undefined, 'original'), {
      template: 'original',
      tiling: undefined,
      limitsImageArea: false,
      applyExif: true,
      faces: 'off',
    });
    const used = resolvePromptOptions({ template: 'hub' }, undefined, 'original');
    assert.equal(used.template, 'hub');
    assert.equal(resolvePromptOptions({}, TRAINED, 'original').template, 'training');
  });

  it('single options win over the record, and are named as differences', () => {
    const used = resolvePromptOptions({ system: '', tiling: { maxTiles: 6 } }, TRAINED, 'hf');
    assert.equal(used.template, 'training');
    assert.equal(used.limitsImageArea, true);
    const lines = settingDifferences(used, TRAINED, CONFIG, EVERYTHING);
    assert.equal(lines.length, 2);
    assert.match(lines[0] ?? '', /^system: trained with "你是/);
    assert.equal(lines[1], 'tiles: trained with 1..1, now 1..6 and a thumbnail');
  });

  it("faces are cut as recorded, which face is the question's affair, and chips are not cut again", () => {
    const faces = resolveAskedFaces({ margin: 0.6 });
    const trained = { ...TRAINED, faces };
    const differences = (options: PromptOptions): string[] =>
      settingDifferences(resolvePromptOptions(options, trained, 'hf'), trained, CONFIG, EVERYTHING);
    assert.deepEqual(resolvePromptOptions({}, trained, 'hf').faces, faces);
    for (const quiet of [undefined, 'cropped', { which: 2 }, { onNoFace: 'whole' }] as const) {
      assert.deepEqual(differences({ faces: quiet }), []);
    }
    assert.deepEqual(resolvePromptOptions({ faces: { which: 2 } }, trained, 'hf').faces, {
      ...faces,
      which: 2,
    });
    assert.deepEqual(differences({ faces: 'off' }), [
      'faces: trained with margin 0.6, 448 pixels, upright, blazeface, now off',
    ]);
    assert.match(differences({ faces: { margin: 0.25 } })[0] ?? '', /now margin 0.25, 448/);
    const off = settingDifferences(
      resolvePromptOptions({ faces: {} }, TRAINED, 'hf'),
      TRAINED,
      CONFIG,
      EVERYTHING,
    );
    assert.match(off[0] ?? '', /^faces: trained with off, now margin 0.25/);
  });

  it('another form brings its own defaults, not half of the record', () => {
    const used = resolvePromptOptions({ template: 'hub' }, TRAINED, 'hf');
    assert.equal(used.system, undefined);
    assert.equal(used.tiling, undefined);
    const lines = settingDifferences(used, TRAINED, CONFIG, EVERYTHING);
    assert.deepEqual(
      lines.map((line) => line.split(':')[0]),
      ['template', 'system', 'tiles', 'limitsImageArea', 'applyExif'],
    );
  });

  it('only what touches the request counts', () => {
    const used = resolvePromptOptions({ tiling: {}, system: 'You know faces.' }, TRAINED, 'hf');
    const count = (facts: Partial<typeof EVERYTHING>): number =>
      settingDifferences(used, TRAINED, CONFIG, { ...EVERYTHING, ...facts }).length;
    assert.equal(count({}), 2);
    assert.equal(count({ hasImages: false }), 1);
    assert.equal(count({ hasOwnSystem: true }), 1);
    assert.equal(count({ hasText: false }), 1);
    // The same cut in other words is no difference.
    const one = resolvePromptOptions({ tiling: { minTiles: 1, maxTiles: 1 } }, TRAINED, 'hf');
    assert.deepEqual(settingDifferences(one, TRAINED, CONFIG, EVERYTHING), []);
  });

  it('are read from the file that training writes; a wrong file lists every problem', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'facellm-settings-'));
    const file = join(folder, 'facellm_training.json');
    try {
      assert.equal(await readServingSettings(folder, 'FACELLM_ADAPTER_INVALID'), undefined);
      const { tiling: tiles, ...rest } = TRAINED;
      writeFileSync(file, JSON.stringify({ ...rest, tiles, dtype: 'bf16' }));
      assert.deepEqual(await readServingSettings(folder, 'FACELLM_ADAPTER_INVALID'), TRAINED);
      writeFileSync(file, JSON.stringify({ template: 'x', tiles: 3, limitsImageArea: 'yes' }));
      await assert.rejects(readServingSettings(folder, 'FACELLM_ADAPTER_INVALID'), (error) => {
        const { code, details } = error as { code: string; details: string[] };
        assert.equal(code, 'FACELLM_ADAPTER_INVALID');
        assert.equal(details.length, 4);
        return true;
      });
      writeFileSync(file, '{');
      await assert.rejects(readServingSettings(folder, 'FACELLM_CONFIG_INVALID'), {
        code: 'FACELLM_CONFIG_INVALID',
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
