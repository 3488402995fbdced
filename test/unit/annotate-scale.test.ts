/** Memory of long runs (RSS without the pages of libraries' files), each in a process of its own; and the order of a million names. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { parquetMetadata } from 'hyparquet';

import { byCodePoint } from '../../lib/annotate/pictures.js';
import type { AnnotationPlan, AnnotationResult } from '../../lib/index.js';

const ROOT = join(import.meta.dirname, '..', '..');
const MOST_BYTES = 400e6;

describe('annotate at length', function () {
  this.timeout(600_000);
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'facellm-annotate-scale-'))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const told = (
    what: string,
    heapMegabytes: number,
  ): { readonly peak: number; readonly result: unknown } => {
    // A heap that could hold everything is collected late on a busy machine, and would hide what is held.
    const args = [
      `--max-old-space-size=${heapMegabytes}`,
      '--import=./test/support/tsx.mjs',
      'test/support/annotate-scale.ts',
      what,
      folder,
    ];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, {
      cwd: ROOT,
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout) as { peak: number; result: unknown };
  };

  it('100,000 rows to three tables and a sheet stay under 400 MB', () => {
    const { peak, result } = told('rows', 160);
    const { rows, statuses } = result as AnnotationResult;
    assert.deepEqual([rows, statuses], [100_000, { ok: 100_000 }]);
    assert.ok(peak < MOST_BYTES, `${(peak / 1e6).toFixed(0)} MB`);
    const lines = readFileSync(join(folder, 'out.csv'), 'utf8').split('\r\n');
    assert.equal(lines.length, 100_002);
    const parquet = readFileSync(join(folder, 'out.parquet'));
    const { row_groups: groups } = parquetMetadata(new Uint8Array(parquet).buffer);
    assert.deepEqual(
      groups.map(({ num_rows: count }) => count),
      Array.from({ length: 5 }, () => 20_000n),
    );
    assert.match(lines[100_000] ?? '', /^999\/\.\.\/one\.png,[0-9a-f]{64},200,200,20,19,/);
  });

  it('a plan of a million pictures asks eight, writes nothing and stays under 800 MB', () => {
    const { peak, result } = told('plan', 400);
    const { pictures, left, sampled, rows, tokens, seconds } = result as AnnotationPlan;
    assert.deepEqual([pictures, left, sampled, rows], [1_000_000, 1_000_000, 8, 1_000_000]);
    assert.ok(tokens > 0 && seconds > 0);
    assert.ok(peak < 2 * MOST_BYTES, `${(peak / 1e6).toFixed(0)} MB`);
    assert.ok(!existsSync(join(folder, 'out.jsonl.work')));
  });

  it('names stand in the order of their code points, as UTF-8 has it', () => {
    const names = [
      'a',
      'b',
      'a/b',
      'a b',
      '',
      'é',
      'e\u0301',
      '\ufffd',
      '😀',
      '😀a',
      '\ue000',
      '\u{10ffff}',
      '漢',
      'ab',
    ];
    const expected = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    assert.deepEqual([...names].sort(byCodePoint), expected);
  });
});
