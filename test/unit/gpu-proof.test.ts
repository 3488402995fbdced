/** The proof on a GPU: who gets how much time, what a failed part leaves, what its page says, what its archive takes along. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const load = async (name: string): Promise<Record<string, never>> =>
  (await import(new URL(`../../scripts/gpu-proof/${name}.mjs`, import.meta.url).href)) as Record<
    string,
    never
  >;

interface Share {
  readonly name: string;
  readonly limitS: number;
  readonly reserveS: number;
}
interface Budget {
  readonly leftS: number;
  limitOf(name: string): number;
}
interface Outcome {
  readonly ok: boolean;
  readonly why: string;
  readonly seconds: number;
  readonly tail: readonly string[];
}
interface Result {
  readonly status: string;
  readonly why: string;
  readonly notes: readonly string[];
  readonly tail: readonly string[];
}

describe('gpu-proof: time', () => {
  const shares: readonly Share[] = [
    { name: 'build', limitS: 100, reserveS: 50 },
    { name: 'tests', limitS: 60, reserveS: 20 },
    { name: 'rows', limitS: 90, reserveS: 30 },
  ];
  let now = 0;
  let budget: Budget;
  beforeEach(async () => {
    now = 1000;
    const { Budget } = (await load('budget')) as unknown as {
      Budget: new (total: number, shares: readonly Share[], now: () => number) => Budget;
    };
    budget = new Budget(180, shares, () => now);
  });

  it('a part has its own limit where time is plenty', () => {
    assert.equal(budget.limitOf('build'), 100);
    now += 40;
    assert.equal(budget.limitOf('tests'), 60);
    now += 10;
    assert.equal(budget.limitOf('rows'), 90);
  });

  it('later parts keep what they need at least', () => {
    now += 100;
    assert.equal(budget.limitOf('tests'), 50); // 80 are left, 30 of them for the rows
    now += 50;
    assert.equal(budget.limitOf('rows'), 30);
  });

  it('who comes late has what is left, and nothing where that is of no use', () => {
    now += 160;
    assert.equal(budget.leftS, 20);
    assert.equal(budget.limitOf('rows'), 20);
    now += 6;
    assert.equal(budget.limitOf('rows'), 0);
    now += 100;
    assert.equal(budget.leftS, 0);
    assert.equal(budget.limitOf('rows'), 0);
  });
});

describe('gpu-proof: commands and parts', () => {
  let folder: string;
  let log: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-proof-'));
    log = join(folder, 'log');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  async function run(script: string, limitS: number, onLine?: (line: string) => void) {
    const { runCommand } = (await load('run-command')) as unknown as {
      runCommand: (command: readonly string[], options: object) => Promise<Outcome>;
    };
    const options = { cwd: folder, env: process.env, limitS, log, onLine };
    return runCommand(['bash', '-c', script], options);
  }

  it('lines come as they are printed, the last without an end too, and all of it is in the log', async () => {
    const lines: string[] = [];
    const outcome = await run('echo one; echo two >&2; printf three', 30, (line) => {
      lines.push(line);
    });
    assert.ok(outcome.ok);
    assert.deepEqual(lines.sort(), ['one', 'three', 'two']);
    assert.match(readFileSync(log, 'utf8'), /one\n[^]*three/);
  });

  it('what takes too long ends with all that it started, and says so', async () => {
    const outcome = await run('echo begun; sleep 1000 & sleep 1000', 0.3);
    assert.equal(outcome.ok, false);
    assert.match(outcome.why, /not done within 0 s/);
    assert.deepEqual(outcome.tail, ['begun']);
  });

  it('a failure is told by its status and its last lines, a program that is missing by its name', async () => {
    const outcome = await run('echo reason >&2; exit 3', 30);
    assert.deepEqual([outcome.why, outcome.tail], ['ended with status 3', ['reason']]);
    const { runCommand } = (await load('run-command')) as unknown as {
      runCommand: (command: readonly string[], options: object) => Promise<Outcome>;
    };
    const options = { cwd: folder, env: process.env, limitS: 5, log };
    assert.match((await runCommand(['no-such-program'], options)).why, /no-such-program cannot be/);
  });

  it('a part passes, fails or is left out, and never throws', async () => {
    const { runPart, Skip, must } = (await load('part')) as unknown as {
      runPart: (part: object, context: object, limitS: number) => Promise<Result>;
      Skip: new (why: string) => Error;
      must: (context: object, command: readonly string[], limitS: number) => Promise<unknown>;
    };
    const context = { root: folder, log, env: process.env };
    const part = (work: () => Promise<readonly string[]>) => ({ name: 'x', title: 'X', run: work });
    const passed = await runPart(
      part(() => Promise.resolve(['3 rows'])),
      context,
      5,
    );
    assert.deepEqual([passed.status, passed.notes], ['passed', ['3 rows']]);
    const left = await runPart(
      part(() => Promise.reject(new Skip('no torch'))),
      context,
      5,
    );
    assert.deepEqual([left.status, left.why], ['skipped', 'no torch']);
    const failed = await runPart(
      part(async () => {
        await must(context, ['bash', '-c', 'echo broken; exit 1'], 5);
        return [];
      }),
      context,
      5,
    );
    assert.deepEqual(
      [failed.status, failed.why, failed.tail],
      ['failed', 'ended with status 1', ['broken']],
    );
    const late = await runPart(
      part(() => Promise.reject(new Error('never'))),
      context,
      0,
    );
    assert.deepEqual([late.status, late.why], ['skipped', 'no time left']);
  });
});

describe('gpu-proof: the page', () => {
  const roofs = { read: 4e12, copy: 4e12, product: 800e12, launchMicroseconds: 4 };

  it('a row is held to the roof that binds it', async () => {
    const { floorOf } = (await load('report')) as unknown as {
      floorOf: (row: object, roofs: object | undefined) => { ms: number; by: string } | undefined;
    };
    const decode = { name: 'decode', ms: 1, work: { flop: 1e9, bytes: 4e9 } };
    assert.deepEqual(floorOf(decode, roofs), { ms: 1, by: 'memory' });
    const vision = { name: 'ViT', ms: 4, work: { flop: 1.6e12, bytes: 1e9 } };
    assert.deepEqual(floorOf(vision, roofs), { ms: 2, by: 'products' });
    assert.equal(floorOf(vision, undefined), undefined);
    assert.equal(floorOf({ name: 'load', ms: 4 }, roofs), undefined);
  });

  it('names the card, each outcome, each row with its share and its baseline, and the reason of a failure', async () => {
    const { toMarkdown } = (await load('report')) as unknown as {
      toMarkdown: (findings: object) => string;
    };
    const part = { seconds: 12, notes: [], tail: [], why: '' };
    const page = toMarkdown({
      ...{ isDryRun: false, device: 'cuda', commit: 'abc', startedAt: 'today', roofs },
      machine: {
        card: { name: 'H100', capability: '9.0', driver: '580', memory: '81559 MiB' },
        ...{ cpu: 'Xeon', cores: 16, nvcc: 'release 13.0', packages: { torch: '2.13' } },
      },
      parts: [
        { ...part, name: 'build', title: 'build', status: 'passed', notes: ['20 s'] },
        {
          ...{ ...part, name: 'native', title: 'GoogleTest', status: 'failed' },
          ...{ why: 'ended with status 1', tail: ['[  FAILED  ] Swiglu|Cuda'] },
        },
      ],
      attention: [
        { case: 'prefill', dtype: 'bfloat16', gradients: false, choice: 'flash', ms: 0.5 },
      ],
      rows: [
        {
          ...{ name: '1b: ViT, 1 tile', ms: 4, runs: 9, work: { flop: 1.6e12, bytes: 1e9 } },
          perSecond: { count: 250, unit: 'tiles' },
          beside: {
            ...{ name: 'transformers', ms: 8 },
            ratio: { median: 2, low: 1.9, high: 2.1 },
          },
        },
      ],
    });
    assert.match(page, /H100 \(compute 9\.0, 81559 MiB, driver 580\)\. abc, today/);
    assert.match(page, /\| build \| passed \| 12 \| 20 s \|/);
    assert.match(page, /\| GoogleTest \| failed: ended with status 1 \|/);
    assert.match(page, /```\n\[ {2}FAILED {2}\] Swiglu\|Cuda\n```/);
    assert.match(
      page,
      /\| 1b: ViT, 1 tile \| 4\.00 \| 250 tiles\/s \| 2\.00 \(products\) \| 50 % \| 8\.00 \(transformers\) \| 2\.00 \[1\.90, 2\.10\] \|/,
    );
    assert.match(page, /\| prefill \| bfloat16 \| no \| flash \|/);
  });
});

describe('gpu-proof: what it reads', () => {
  it('a card, its architecture, suites of GoogleTest and their counts', async () => {
    const { parseCard, architectureOf } = (await load('machine')) as unknown as {
      parseCard: (line: string) => object | undefined;
      architectureOf: (capability: string) => string;
    };
    assert.deepEqual(parseCard('NVIDIA H100 80GB HBM3, 9.0, 580.65.06, 81559 MiB'), {
      ...{ name: 'NVIDIA H100 80GB HBM3', capability: '9.0' },
      ...{ driver: '580.65.06', memory: '81559 MiB' },
    });
    assert.equal(parseCard(''), undefined);
    assert.equal(parseCard('NVIDIA-SMI has failed'), undefined);
    assert.deepEqual(['9.0', '8.0', '12.0'].map(architectureOf), [
      '90a-real',
      '80-real',
      '120-real',
    ]);
    const { suitesIn, countsOf } = (await load('suites')) as unknown as {
      suitesIn: (source: string) => string[];
      countsOf: (lines: readonly string[]) => string[];
    };
    const source =
      'TEST(Swiglu, Cuda) {}\nTEST_F(Rope, A) {}\nTEST(Swiglu, B) {}\n  // TEST(Not, One)';
    assert.deepEqual(suitesIn(source), ['Swiglu', 'Rope']);
    const lines = [
      '[==========] 91 tests',
      '[  PASSED  ] 87 tests.',
      '[  SKIPPED ] 4 tests, listed',
    ];
    assert.deepEqual(countsOf(lines), ['passed 87 tests', 'skipped 4 tests']);
  });

  it('the kernels that are to be checked are those of the suite that has them', async () => {
    const { suitesIn } = (await load('suites')) as unknown as {
      suitesIn: (source: string) => string[];
    };
    const file = join(import.meta.dirname, '..', 'native', 'kernels_test.cpp');
    assert.ok(suitesIn(readFileSync(file, 'utf8')).includes('SwiGlu'));
  });

  it('packages are followed as node finds them, and one that is missing is named', async () => {
    const { closure } = (await load('packages')) as unknown as {
      closure: (packages: object, roots: readonly string[]) => string[];
    };
    const packages = {
      '': {},
      'node_modules/a': { dependencies: { b: '1' }, optionalDependencies: { absent: '1' } },
      'node_modules/a/node_modules/b': { dependencies: { c: '1' } },
      'node_modules/b': {},
      'node_modules/c': { dependencies: { '@s/d': '1' } },
      'node_modules/@s/d': { dependencies: { a: '1' } },
      'node_modules/unneeded': {},
    };
    assert.deepEqual(closure(packages, ['a']), [
      ...['node_modules/@s/d', 'node_modules/a', 'node_modules/a/node_modules/b', 'node_modules/c'],
    ]);
    assert.throws(() => closure(packages, ['nothing']), /the project needs nothing/);
  });
});
