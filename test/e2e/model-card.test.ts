/** `facellm card`: scores and a calibration of a merged model go onto its card, those of other weights do not. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { parse } from 'yaml';

import {
  calibrate,
  evaluate,
  exportModel,
  mergeAdapter,
  updateModelCard,
} from '../../lib/index.js';
import * as golden from '../support/golden.js';
import { LabelledFaces } from '../support/labelled-faces.js';
import { CHECKPOINT } from '../support/server.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const ADAPTER = join(golden.GOLDEN, 'train-lora', 'adapter_final');

describe('end to end: a card with what was measured', function () {
  this.timeout(300_000);
  let faces: LabelledFaces;
  let model: string;
  let file: string;
  before(async () => {
    faces = await LabelledFaces.create(40);
    model = faces.output('merged');
    await mergeAdapter({ model: CHECKPOINT, adapters: [ADAPTER], output: model });
    const asked = {
      ...{
        benchmark: 'attributes' as const,
        attributes: ['gender' as const],
        charts: false,
        model,
      },
      ...{ data: faces.folder, device: 'cpu', threads: 1, prompt: { tiling: 'off' as const } },
    };
    await evaluate({ ...asked, output: faces.output('scores'), reading: 'probability' });
    const calibrated = await calibrate({ ...asked, output: faces.output('calibration') });
    file = calibrated.file ?? '';
  });
  after(() => faces.remove());

  const card = (folder: string): string => readFileSync(join(folder, 'README.md'), 'utf8');

  it('the command puts them there, again to the same bytes; the model stays what it was', () => {
    const run = () =>
      spawnSync(
        process.execPath,
        [
          ...[MAIN, 'card', model, '--scores', faces.output('scores')],
          ...['--calibration', file, '--license', 'apache-2.0'],
        ],
        { encoding: 'utf8' },
      );
    assert.match(card(model), /None were measured[^]*None was fitted/);
    const { status, stdout, stderr } = run();
    assert.equal(status, 0, stderr);
    assert.equal(stdout.trim(), join(model, 'README.md'));
    const first = card(model);
    const front = parse(/^---\n([^]*?)\n---/.exec(first)?.[1] ?? '') as Record<string, unknown>;
    assert.equal(front['license'], 'apache-2.0');
    const [index] = front['model-index'] as { results: { metrics: { type: string }[] }[] }[];
    assert.deepEqual(
      index?.results[0]?.metrics.map(({ type }) => type),
      ['accuracy', 'balanced_accuracy', 'expected_calibration_error'],
    );
    assert.match(first, /\| gender \| probability \| gender Female \* \| 20 \| \d\.\d{3} \(/);
    assert.match(first, /\| gender \| 40 \| \d+\.\d{3} \| \d\.\d{3} \| \d\.\d{3} \|/);
    assert.match(first, /adapter_final, folded in/);
    // Hashed by its JSON files, the model is the same as before: both still fit.
    assert.equal(run().status, 0);
    assert.equal(card(model), first);
  });

  it('what was measured on other weights is refused, by name', async () => {
    const other = faces.output('other');
    await exportModel({ model: CHECKPOINT, output: other });
    await assert.rejects(updateModelCard({ directory: other, scores: faces.output('scores') }), {
      code: 'FACELLM_DATA_INVALID',
      message: /holds no answers of the model in/,
    });
    await assert.rejects(updateModelCard({ directory: other, calibration: file }), {
      code: 'FACELLM_CALIBRATION_MISMATCH',
    });
    await assert.rejects(updateModelCard({ directory: other, scores: faces.folder }), {
      code: 'FACELLM_DATA_NOT_FOUND',
    });
    await assert.rejects(updateModelCard({ directory: faces.folder }), {
      code: 'FACELLM_DATA_NOT_FOUND',
      message: /expected the result of facellm train or facellm merge/,
    });
    await assert.rejects(updateModelCard({ directory: '', license: 1 } as never), {
      code: 'FACELLM_INVALID_ARGUMENT',
    });
    // Another form of the merged model says what it was made from, and no scores of the first.
    const again = faces.output('again');
    await exportModel({ model, output: again, dtype: 'bf16' });
    assert.match(card(again), /adapter_final, folded in[^]*/);
    assert.match(card(again), /None were measured/);
  });
});
