/** The golden files are the ones that the oracle made: every hash of SHA256SUMS, and no file beside them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

import { GOLDEN } from '../support/golden.js';

const OURS = ['MANIFEST.md', 'SHA256SUMS'];

describe('golden files', () => {
  it('have the hashes of SHA256SUMS, and nothing else is there', () => {
    const listed = new Map(
      readFileSync(join(GOLDEN, 'SHA256SUMS'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => {
          const [hash = '', path = ''] = line.split(/\s+\*?/);
          return [path.replace(/^\.\//, ''), hash] as const;
        }),
    );
    const present = readdirSync(GOLDEN, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(GOLDEN, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
      .filter((path) => !OURS.includes(path));
    assert.deepEqual(present.sort(), [...listed.keys()].sort());
    for (const [path, hash] of listed) {
      const actual = createHash('sha256').update(readFileSync(join(GOLDEN, path))).digest('hex');
      assert.equal(actual, hash, path);
    }
  });
});
