/** The package without openai and hyparquet-writer: what needs them says so before any work, the rest goes on. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { LabelledFaces } from '../support/labelled-faces.js';
import { PackageWithout } from '../support/package-without.js';

describe('e2e: without openai and hyparquet-writer', () => {
  let installed: PackageWithout;
  let faces: LabelledFaces;
  before(async () => {
    installed = new PackageWithout(/^(openai|hyparquet-writer)$/);
    faces = await LabelledFaces.create(1);
  });
  after(() => {
    installed.remove();
    faces.remove();
  });

  function generate(...more: readonly string[]) {
    const own = [
      '--labels',
      faces.labels,
      '--images',
      faces.folder,
      '--output',
      faces.output('out'),
    ];
    return installed.run('generate', ...own, ...more);
  }

  it('a teacher and a dataset name what they lack, and leave no folder', () => {
    for (const [teacher, name] of [
      ['openai', 'openai'],
      ['labels', 'hyparquet-writer'],
    ] as const) {
      const { status, stderr } = generate('--teacher', teacher);
      assert.equal(status, 1);
      assert.match(stderr, /FACELLM_PACKAGE_MISSING/);
      assert.match(stderr, new RegExp(`npm install ${name}\\b`));
    }
    assert.ok(!existsSync(faces.output('out')));
  });

  it('what needs neither works: the public names, and a plan', () => {
    const script =
      "import('facellm').then(({ labelsTeacher }) => console.log(labelsTeacher().name))";
    assert.equal(installed.node('-e', script).stdout.trim(), 'labels');
    const { status, stdout, stderr } = generate('--teacher', 'labels', '--dry-run');
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^8 questions about 1 pictures/);
  });

  it('the public declarations name neither', () => {
    const seen = new Set<string>();
    const follow = (file: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      const text = readFileSync(file, 'utf8');
      for (const [, name = ''] of text.matchAll(/(?:from|import\()\s*'([^']+)'/g)) {
        assert.doesNotMatch(name, /^(openai|hyparquet-writer)\b/, file);
        if (name.startsWith('.')) follow(join(file, '..', name.replace(/\.js$/, '.d.ts')));
      }
    };
    follow(join(installed.folder, 'dist', 'index.d.ts'));
    assert.ok(seen.size > 20 && readdirSync(installed.folder).length > 0);
  });
});
