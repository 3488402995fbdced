/** What `npm pack` would publish: everything that an install needs, nothing else, and of sane size. */
import { execFileSync } from 'node:child_process';

const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'ignore'],
});
// npm 11 prints a list, later versions an object by package name.
const parsed = JSON.parse(output);
const [pack] = Array.isArray(parsed) ? parsed : Object.values(parsed);
/** @type {string[]} */
const paths = pack.files.map((/** @type {{ path: string }} */ file) => file.path);
const needed = [
  'dist/index.js',
  'dist/index.d.ts',
  'dist/cli/main.js',
  'dist/faces/short.safetensors',
  'dist/faces/full.safetensors',
  'dist/faces/LICENSE',
  'dist/faces/NOTICE',
  'dist/serving/index.js',
  'dist/serving/parse-worker.js',
  'dist/serving/page/index.html',
  'dist/serving/page/app.js',
  'CMakeLists.txt',
  'binding.gyp',
  'cmake/FindLibtorch.cmake',
  'native/binding/addon.cpp',
  'native/kernels/swiglu/swiglu_cuda.cu',
  'scripts/install/install.mjs',
  'golden/ckpt-300m/model.safetensors',
  'README.md',
  'LICENSE',
];
const problems = needed.filter((path) => !paths.includes(path)).map((path) => `lacks ${path}`);
const unwanted = paths.filter((path) =>
  /^(test|benchmarks|examples|node_modules|build)/.test(path),
);
problems.push(...unwanted.map((path) => `holds ${path}`));
if (pack.size > 4e6) problems.push(`is ${pack.size} bytes, at most 4 MB are wanted`);
for (const problem of problems) process.stderr.write(`the package ${problem}\n`);
process.stdout.write(`${paths.length} files, ${pack.size} bytes packed\n`);
if (problems.length > 0) process.exitCode = 1;
