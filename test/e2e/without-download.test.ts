/** The package without what downloads stand on: a download says so before any work, everything else goes on. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import * as golden from '../support/golden.js';
import { PackageWithout } from '../support/package-without.js';

const NAMES = /^(@huggingface\/hub|undici|yauzl)\b/;

describe('e2e: without undici, yauzl and @huggingface/hub', () => {
  let installed: PackageWithout;
  before(() => {
    installed = new PackageWithout(NAMES);
  });
  after(() => {
    installed.remove();
  });

  it('downloads of a model, a data set, and before loading name the line that installs them', () => {
    const output = join(installed.folder, 'fetched');
    const load =
      'import("facellm").then(({ FaceLlm }) => FaceLlm.load("some/model", { download: true }))';
    for (const args of [
      ['dist/cli/main.js', 'download', 'some/model'],
      ['dist/cli/main.js', 'download', 'fairfacegpt', '--output', output],
      ['-e', load],
    ]) {
      const { status, stderr } = installed.node(...args);
      assert.equal(status, 1, stderr);
      assert.match(stderr, /FACELLM_PACKAGE_MISSING/);
      assert.match(stderr, /npm install @huggingface\/hub undici yauzl/);
    }
    assert.ok(!existsSync(output));
  });

  it('a model is loaded and asked', () => {
    const folder = join(golden.GOLDEN, 'ckpt-300m');
    const script = `import('facellm').then(async ({ FaceLlm }) => {
      const model = await FaceLlm.load(${JSON.stringify(folder)}, { device: '${golden.TEST_DEVICE}' });
      const { promptTokens } = await model.ask({ question: 'Who?', maxNewTokens: 1 }).result();
      console.log(promptTokens > 0);
    })`;
    const { stdout, stderr } = installed.node('-e', `${script}.then(() => process.exit())`);
    assert.equal(stdout.trim(), 'true', stderr);
  });

  it('the public declarations name none of them', () => {
    const seen = new Set<string>();
    const follow = (file: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      const text = readFileSync(file, 'utf8');
      for (const [, name = ''] of text.matchAll(/(?:from|import\()\s*'([^']+)'/g)) {
        assert.doesNotMatch(name, NAMES, file);
        if (name.startsWith('.')) follow(join(file, '..', name.replace(/\.js$/, '.d.ts')));
      }
    };
    follow(join(installed.folder, 'dist', 'index.d.ts'));
    assert.ok(seen.size > 20 && readdirSync(installed.folder).length > 0);
  });
});
