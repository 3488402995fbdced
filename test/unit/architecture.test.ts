/** The checker of docs/architecture.md, on small trees that each break one rule. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

type Tree = ReadonlyMap<string, unknown>;
type Plan = Record<string, readonly string[]>;
interface Files {
  libSources(root: string): Tree;
  nativeSources(root: string): Tree;
}
interface Rules {
  wrongArrows(tree: Tree, folder: string, plan: Plan): string[];
  fileCircles(tree: Tree, folder: string, known?: readonly string[]): string[];
  torchInTorchFree(tree: Tree, named: readonly string[]): string[];
  nodeOutsideBinding(tree: Tree): string[];
  loadersOfNativeCode(tree: Tree): string[];
}
const script = (name: string): string =>
  new URL(`../../scripts/architecture/${name}.mjs`, import.meta.url).href;

describe('architecture checker', () => {
  let root: string;
  let files: Files;
  let rules: Rules;
  before(async () => {
    files = (await import(script('files'))) as Files;
    rules = (await import(script('rules'))) as Rules;
  });
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'facellm-architecture-'));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  function write(texts: Readonly<Record<string, string>>): void {
    for (const [path, text] of Object.entries(texts)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
  }
  const lib = (texts: Readonly<Record<string, string>>): Tree => {
    write(Object.fromEntries(Object.entries(texts).map(([path, text]) => [`lib/${path}`, text])));
    return files.libSources(root);
  };
  const native = (texts: Readonly<Record<string, string>>): Tree => {
    write(
      Object.fromEntries(Object.entries(texts).map(([path, text]) => [`native/${path}`, text])),
    );
    return files.nativeSources(root);
  };

  it('rooms: an arrow that the plan lacks, by whichever form of import', () => {
    const plan: Plan = { low: [], high: ['low'] };
    const fine = { 'high/a.ts': `import { b } from '../low/b.js';`, 'low/b.ts': '' };
    assert.deepEqual(rules.wrongArrows(lib(fine), 'lib', plan), []);
    for (const text of [
      `import { a } from '../high/a.js';`,
      `import type { A } from '../high/a.js';`,
      `export * from '../high/a.js';`,
      `import '../high/a.js';`,
      `const a = await import('../high/a.js');`,
    ]) {
      const problems = rules.wrongArrows(lib({ 'low/b.ts': text }), 'lib', plan);
      assert.deepEqual(problems, ['lib/low/b.ts reaches for high; low may use nothing'], text);
    }
    const quoted = `// import { a } from '../high/a.js';\nexport const b = "from '../high/a.js'";`;
    assert.deepEqual(rules.wrongArrows(lib({ 'low/b.ts': quoted }), 'lib', plan), []);
  });

  it('rooms: one that is not in the plan, one that is only there, a file that is not there', () => {
    const tree = lib({ 'new/a.ts': `import './gone.js';` });
    assert.deepEqual(rules.wrongArrows(tree, 'lib', { old: [] }), [
      'lib/new/a.ts names new/gone.ts, which is not there',
      'lib/new is not in the plan',
      'lib/old is in the plan and does not exist',
    ]);
  });

  it('rooms: a plan that goes round', () => {
    const tree = lib({ 'a/x.ts': '', 'b/x.ts': '' });
    assert.deepEqual(rules.wrongArrows(tree, 'lib', { a: ['b'], b: ['a'] }), [
      'the plan of lib goes round in a circle: a -> b',
    ]);
  });

  it('files: every circle in a room, each once, and none where there is none', () => {
    const tree = lib({
      'room/a.ts': `import './b.js';`,
      'room/b.ts': `import './c.js'; import './a.js';`,
      'room/c.ts': `import type { A } from './a.js'; import './d.js';`,
      'room/d.ts': '',
    });
    assert.deepEqual(rules.fileCircles(tree, 'lib'), [
      'files of lib reach for each other in a circle: room/a.ts -> room/b.ts',
      'files of lib reach for each other in a circle: room/a.ts -> room/b.ts -> room/c.ts',
    ]);
  });

  it('files: a known circle passes; once mended, its line has to go', () => {
    const circle = 'room/a.ts -> room/b.ts';
    const texts = { 'room/a.ts': `import './b.js';`, 'room/b.ts': `import './a.js';` };
    assert.deepEqual(rules.fileCircles(lib(texts), 'lib', [circle]), []);
    assert.deepEqual(rules.fileCircles(lib({ 'room/b.ts': '' }), 'lib', [circle]), [
      `mended, so take it off the known circles of lib: ${circle}`,
    ]);
  });

  it('native headers: circles too', () => {
    const tree = native({
      'room/a.h': '#include "room/b.h"\n',
      'room/b.h': '#include "room/a.h"\n',
      'room/a.cpp': '#include "room/a.h"\n',
    });
    assert.deepEqual(rules.fileCircles(tree, 'native'), [
      'files of native reach for each other in a circle: room/a.h -> room/b.h',
    ]);
  });

  it('torch-free: through other headers, for named files, promised ones and the addon', () => {
    const tree = native({
      'model/torch.h': '#pragma once\n#include <ATen/ATen.h>\n',
      'model/between.h': '#include "model/torch.h"\n',
      'model/named.h': '#include "model/between.h"\n',
      'model/promise.h': '// Plain data,\n// torch-free.\n#include "model/between.h"\n',
      'model/later.h': '#pragma once\n// Torch-free is another one.\n#include "model/torch.h"\n',
      'binding/addon.cpp': '#include "model/between.h"\n',
      'binding/gpu.cpp': '#include <cuda_runtime.h>\n',
      'binding/fine.cpp': '#include <napi.h>\n',
    });
    const why = 'is to be free of torch and includes <ATen/ATen.h>:';
    const end = 'model/between.h -> model/torch.h';
    assert.deepEqual(rules.torchInTorchFree(tree, ['model/named.h', 'model/lost.h']), [
      'native/model/lost.h should be free of torch and does not exist',
      `native/binding/addon.cpp ${why} binding/addon.cpp -> ${end}`,
      'native/binding/gpu.cpp is to be free of torch and includes <cuda_runtime.h>: binding/gpu.cpp',
      `native/model/named.h ${why} model/named.h -> ${end}`,
      `native/model/promise.h ${why} model/promise.h -> ${end}`,
    ]);
  });

  it("Node's headers: outside binding, also through a file of binding", () => {
    const tree = native({
      'binding/js_value.h': '#include <napi.h>\n',
      'core/direct.cpp': '#  include <node_api.h>\n',
      'core/through.cpp': '#include "binding/js_value.h"\n',
      'core/fine.cpp': '#include <new>\n',
    });
    const why = 'is to know nothing of Node and includes';
    assert.deepEqual(rules.nodeOutsideBinding(tree), [
      `native/core/direct.cpp ${why} <node_api.h>: core/direct.cpp`,
      `native/core/through.cpp ${why} <napi.h>: core/through.cpp -> binding/js_value.h`,
    ]);
  });

  it('the addon has one loader', () => {
    const text = `import { createRequire } from 'node:module';`;
    const tree = lib({ 'binding/load.ts': text, 'binding/other.ts': text });
    assert.deepEqual(rules.loadersOfNativeCode(tree), [
      'lib/binding/other.ts loads native code; only lib/binding/load.ts may',
    ]);
  });
});
