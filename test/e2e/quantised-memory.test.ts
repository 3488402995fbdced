/** Loading quantised weights takes the packed model and one matrix above it, whether the files are quantised or become so. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createModel, nanoShape, quantizeModel } from '../../lib/index.js';

const ROOT = join(import.meta.dirname, '..', '..');
const [WIDTH, INNER, LAYERS] = [768, 4096, 6] as const;
/** The largest matrix, gates and ups of a layer, in fp32: what stands beside the packed model at most. */
const MATRIX = 2 * WIDTH * INNER * 4;
/** Buffers of the threads, what the allocator keeps, and above all the garbage of JavaScript, which comes and goes by itself. */
const SLACK = 64 * 2 ** 20;

/** Of a process of its own: bytes that loading added at its most, and those of the weights. */
function peakOf(
  model: string,
  weights: string,
): { readonly added: number; readonly bytes: number } {
  const script = `
    import { readFileSync } from 'node:fs';
    const { FaceLlm } = await import('./lib/index.ts');
    const small = await FaceLlm.load('test/fixtures/golden/ckpt-300m', { device: 'cpu', dtype: 'bf16', threads: 2 });
    const read = (name) => 1024 * Number(new RegExp(name + ':\\\\s+(\\\\d+)').exec(readFileSync('/proc/self/status', 'utf8'))[1]);
    const before = read('VmRSS');
    const options = { device: 'cpu', dtype: 'bf16', mmap: false, threads: 2, maxContext: 64 };
    const model = await FaceLlm.load(${JSON.stringify(model)}, { ...options, weights: ${JSON.stringify(weights)} });
    console.log(JSON.stringify({ added: read('VmHWM') - before, bytes: model.info.parameterBytes }));
    await model.dispose();
    await small.dispose();`;
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--import=./test/support/tsx.mjs', '--input-type=module', '--eval', script],
    { encoding: 'utf8', cwd: ROOT },
  );
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as { added: number; bytes: number };
}

describe('memory of loading quantised weights', function () {
  this.timeout(300_000);
  let root: string;
  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'facellm-peak-'));
    const shape = { ...nanoShape(), textWidth: WIDTH, textHeads: 12, textKeyValueHeads: 2 };
    await createModel({
      shape: { ...shape, textIntermediate: INNER, textLayers: LAYERS },
      texts: ['user\nWho is this?'],
      output: join(root, 'plain'),
    });
    await quantizeModel({
      model: join(root, 'plain'),
      output: join(root, 'int4'),
      weights: 'int4',
    });
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  it('files that are quantised', () => {
    const { added, bytes } = peakOf(join(root, 'int4'), 'stored');
    const dense = LAYERS * (3 * WIDTH * INNER + 2 * WIDTH * WIDTH) * 4;
    assert.ok(bytes + MATRIX + SLACK < dense, 'the test could not fail');
    assert.ok(added <= bytes + MATRIX + SLACK, `${added} bytes for ${bytes}`);
  });

  for (const form of ['int8', 'int4']) {
    it(`files in fp32 that become ${form} while they are read`, () => {
      const { added, bytes } = peakOf(join(root, 'plain'), form);
      assert.ok(added <= bytes + MATRIX + SLACK, `${added} bytes for ${bytes}`);
    });
  }
});
