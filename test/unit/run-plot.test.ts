/** The plots of a run: smoothing, thinning, and both files. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';

import sharp from 'sharp';

import { writeRunPlot } from '../../lib/training/run/run-plot.js';
import { type CurvePoint, smooth, thin } from '../../lib/training/run/curve-series.js';
import { errorOf, TestFolder } from './checkpoint-folder.js';

function lossesOf(count: number): CurvePoint[] {
  return Array.from({ length: count }, (_, i) => ({
    step: i + 1,
    value: 0.5 + 2 * Math.exp((-4 * i) / count) + 0.2 * Math.sin(i * 12.9898),
  }));
}

/** Numbers of points in each line of an SVG, by the label that Vega gives it. */
function linesOf(svg: string): Record<string, number> {
  const lines = [...svg.matchAll(/<path aria-label="([^"]*)"[^>]* d="(M[^"]*)"/g)];
  return Object.fromEntries(
    lines.map(([, label = '', path = '']) => [
      /curve: (\w+)/.exec(label)?.[1] ?? label,
      path.split(/[ML]/).length - 1,
    ]),
  );
}

describe('loss curves', () => {
  it('smooths as LLaMA-Factory does', () => {
    const weight = 1.8 * (1 / (1 + Math.exp(-0.05 * 3)) - 0.5);
    const second = weight * 4 + (1 - weight) * 2;
    assert.deepEqual(smooth([4, 2, 1]), [4, second, weight * second + (1 - weight)]);
    assert.deepEqual(smooth([]), []);
    // Of a long series, a tenth of each value counts.
    const long = smooth([1, ...new Array<number>(999).fill(0)]);
    assert.ok(Math.abs((long[1] ?? 0) - 0.9) < 1e-9);
  });

  it('thins in order, keeps every extreme, leaves short series alone', () => {
    const points = lossesOf(100_000);
    points[54_321] = { step: 54_322, value: 99 };
    const thinned = thin(points, 1000);
    assert.ok(thinned.length <= 1000 && thinned.length > 900);
    assert.ok(thinned.some(({ value }) => value === 99));
    for (const [i, { step }] of thinned.entries()) {
      assert.ok(i === 0 || step > (thinned[i - 1]?.step ?? 0));
    }
    assert.equal(thin(points.slice(0, 1000), 1000).length, 1000);
  });
});

describe('writeRunPlot', () => {
  let folder: TestFolder;
  beforeEach(async () => {
    folder = await TestFolder.create();
  });
  afterEach(async () => {
    await folder.remove();
  });

  for (const count of [1, 2, 300, 100_000]) {
    it(`draws ${count} point(s)`, async () => {
      const title = 'training loss of <run> & "co"';
      const files = await writeRunPlot({
        folder: folder.path,
        quantity: 'loss',
        points: lossesOf(count),
        title,
      });
      assert.deepEqual((await readdir(folder.path)).sort(), [
        'training_loss.png',
        'training_loss.svg',
      ]);
      const svg = await readFile(files.svgPath, 'utf8');
      const lines = linesOf(svg);
      assert.deepEqual(Object.keys(lines).sort().slice(0, 2), ['original', 'smoothed']);
      const drawn = (lines['original'] ?? 0) + (lines['smoothed'] ?? 0);
      assert.ok(drawn >= Math.min(2 * count, 1000) && drawn <= 2000, String(drawn));
      for (const text of ['step', 'loss', 'original', 'smoothed', 'training loss of &lt;run&gt;']) {
        assert.ok(svg.includes(`>${text}`), text);
      }
      const png = await readFile(files.pngPath);
      assert.equal(png.toString('latin1', 0, 8), '\x89PNG\r\n\x1a\n');
      const { width, height } = await sharp(png).metadata();
      assert.deepEqual([width, height], [1280, 960]);
      const { channels } = await sharp(png).stats();
      assert.ok(
        channels.some(({ stdev }) => stdev > 1),
        'the picture is blank',
      );
    });
  }

  it('draws norms of gradients into files of their own', async () => {
    const points = lossesOf(20);
    await writeRunPlot({ folder: folder.path, quantity: 'grad_norm', points, title: 'x' });
    assert.deepEqual((await readdir(folder.path)).sort(), [
      'training_grad_norm.png',
      'training_grad_norm.svg',
    ]);
    const svg = await readFile(folder.at('training_grad_norm.svg'), 'utf8');
    assert.ok(svg.includes('>norm of the gradients before clipping'));
    assert.deepEqual(Object.keys(linesOf(svg)).sort().slice(0, 2), ['original', 'smoothed']);
  });

  it('leaves out losses that are not finite, and refuses to draw nothing', async () => {
    const points = [
      { step: 1, value: NaN },
      { step: 2, value: 1.5 },
    ];
    const { svgPath } = await writeRunPlot({
      folder: folder.path,
      quantity: 'loss',
      points,
      title: 'x',
    });
    const svg = await readFile(svgPath, 'utf8');
    assert.ok(!svg.includes('NaN'));
    assert.match(svg, /mark-symbol/);
    for (const empty of [[], [{ step: 1, value: NaN }]]) {
      const error = await errorOf(
        writeRunPlot({ folder: folder.path, quantity: 'loss', points: empty, title: 'x' }),
      );
      assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
    }
  });
});
