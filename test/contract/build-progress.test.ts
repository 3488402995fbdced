/** What the install steps tell while they compile, and what they quote of a build that failed. */
import assert from 'node:assert/strict';

// Plain JavaScript, as it runs before anything is installed.
const { progressOf, reasonsOf, runBuild } = (await import(
  new URL('../../scripts/install/run-build.mjs', import.meta.url).href
)) as {
  progressOf: (line: string, seconds: number) => string | undefined;
  reasonsOf: (output: string) => string[];
  runBuild: (
    command: string,
    args: readonly string[],
    cwd: string,
  ) => Promise<{ status: number; output: string }>;
};

describe('contract: progress of a build', () => {
  it('units done and the time left, from ninja and from make', () => {
    const ninja = '[20/80] Building CXX object CMakeFiles/a.cpp.o';
    assert.equal(progressOf(ninja, 60), 'compiling: 20 of 80 units, about 3 min left');
    assert.equal(progressOf('[ 75%] Building CXX', 60), 'compiling: 75 %, about 20 s left');
    assert.equal(progressOf('[80/80] Linking', 200), 'compiling: 80 of 80 units');
  });

  it('no estimate from the first seconds, none from other lines', () => {
    assert.equal(progressOf('[1/80] Building', 2), 'compiling: 1 of 80 units');
    assert.equal(
      progressOf('[0/2] Re-checking globbed directories', 60),
      'compiling: 0 of 2 units',
    );
    assert.equal(progressOf('-- CUDA: switched off', 60), undefined);
    assert.equal(progressOf('x.cpp:3: error: [1/2] no', 60), undefined);
  });

  it("a failure quotes compilers' errors and the whole text of CMake's", () => {
    const output = [
      '-- Detecting CXX',
      'x.cpp:3:5: error: expected ;',
      'CMake Error at cmake/FacellmCuda.cmake:34 (message):',
      '  CUDA: libtorch in /x is a CUDA build,',
      '',
      '  and there is no nvcc',
      'Call Stack (most recent call first):',
      '  CMakeLists.txt:30 (include)',
    ].join('\n');
    assert.deepEqual(reasonsOf(output), [
      'x.cpp:3:5: error: expected ;',
      'CUDA: libtorch in /x is a CUDA build, and there is no nvcc',
    ]);
  });

  it('what was printed is kept whole, and a tool that cannot be run is a failure', async () => {
    const script = 'console.log("one"); console.error("two"); process.exit(3)';
    const run = await runBuild(process.execPath, ['-e', script], '.');
    assert.deepEqual(run, { status: 3, output: 'one\ntwo\n' });
    const none = await runBuild('/nowhere/ninja', [], '.');
    assert.equal(none.status, 1);
    assert.match(none.output, /\/nowhere\/ninja cannot be run/);
  });
});
