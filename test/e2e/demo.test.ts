/** `npm run demo -- --quick` as a user runs it: to its end, again, interrupted, killed, and with what it left behind. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { ReportData } from '../../examples/demo/report/report-data.js';
import { outlineOf, textOf } from '../support/html-outline.js';

const ROOT = join(import.meta.dirname, '..', '..');
const DEMO = join(ROOT, 'scripts', 'demo.mjs');
const CLI = join(ROOT, 'dist', 'cli', 'main.js');
const CACHED = /Taken from an earlier run/g;
/** Of a smoke test. */
const PICTURES = 16;
const FACES = 5;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe('e2e: the demo', function () {
  this.timeout(300_000);
  let folder: string;
  const running = new Set<ChildProcess>();
  before(() => (folder = mkdtempSync(join(tmpdir(), 'facellm-demo-'))));
  after(() => {
    for (const child of running) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  /** Runs the demo; once its output matches, `signal` is sent. */
  function demo(
    args: readonly string[],
    interrupt?: { readonly at: RegExp; readonly signal: NodeJS.Signals },
  ): Promise<Ended> {
    const child = spawn(process.execPath, [DEMO, ...args], { cwd: ROOT });
    running.add(child);
    let [stdout, stderr] = ['', ''];
    let isSent = false;
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      if (interrupt === undefined || isSent || !interrupt.at.test(stdout)) return;
      isSent = true;
      child.kill(interrupt.signal);
    });
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => {
        running.delete(child);
        resolve({ code, stdout, stderr });
      });
    });
  }

  const quick = (output: string, ...more: string[]): string[] => [
    ...['--quick', '--output', join(folder, output), ...more],
  ];
  const reportOf = (output: string): ReportData =>
    JSON.parse(readFileSync(join(folder, output, 'quick', 'report.json'), 'utf8')) as ReportData;

  it('runs to its end, and writes a report of what it found', async () => {
    const { code, stdout, stderr } = await demo(quick('whole'));
    assert.equal(code, 0, stderr);
    assert.deepEqual(
      [...stdout.matchAll(/^\[(\d)\/8\]/gm)].map(([, number]) => number),
      ['1', '2', '3', '4', '5', '6', '7', '8'],
    );
    assert.match(stdout, /A smoke test/);
    assert.match(stdout, /^ {2}npx facellm serve --model \S+run$/m);
    assert.doesNotMatch(stdout, CACHED);
    const report = reportOf('whole');
    assert.deepEqual(
      report.figures.map(({ attribute }) => attribute),
      ['gender', 'eyewear', 'smile'],
    );
    assert.equal(report.training.losses.at(-1)?.step, report.training.steps);
    const page = readFileSync(join(folder, 'whole', 'quick', 'report.html'), 'utf8');
    const images = outlineOf(page).filter(({ name }) => name === 'img');
    assert.equal(images.length, PICTURES + FACES);
    const text = textOf(page);
    for (const { before, after, people } of report.figures) {
      const { value } = after.probability.balancedAccuracy;
      assert.ok(text.includes(value.toFixed(3)) && stdout.includes(value.toFixed(3)));
      assert.ok(text.includes(before.probability.balancedAccuracy.value.toFixed(3)));
      assert.ok(text.includes(` ${people} `));
    }
  });

  it('takes everything from the first run when it is run again', async () => {
    const weights = join(folder, 'whole', 'quick', 'run', 'model.safetensors');
    const before = statSync(weights).mtimeMs;
    const report = reportOf('whole');
    const { code, stdout, stderr } = await demo(quick('whole'));
    assert.equal(code, 0, stderr);
    assert.equal(stdout.match(CACHED)?.length, 7);
    const table = readFileSync(join(folder, 'whole', 'quick', 'portraits.csv'), 'utf8');
    assert.equal(table.trim().split('\r\n').length, PICTURES + 1);
    const sheet = readFileSync(join(folder, 'whole', 'quick', 'sheet.html'), 'utf8');
    assert.equal(sheet.match(/<article>/g)?.length, PICTURES);
    assert.equal(statSync(weights).mtimeMs, before);
    assert.deepEqual(reportOf('whole'), report);
  });

  it('tells commands that do the same: on what is there they find nothing left to do', () => {
    const { commands, faces } = reportOf('whole');
    const run = (command: string, ...more: readonly string[]): string => {
      const line = command.replace(/^npx facellm /, `"${process.execPath}" "${CLI}" `);
      const { status, stdout, stderr } = spawnSync('sh', ['-c', [line, ...more].join(' ')], {
        encoding: 'utf8',
        cwd: ROOT,
      });
      assert.equal(status, 0, `${command}: ${stderr}`);
      return stdout;
    };
    const scores = join(folder, 'whole', 'quick', 'scores');
    const answers = statSync(join(scores, 'rank-0', 'tuned.jsonl')).mtimeMs;
    for (const command of commands) {
      const [, , name] = command.split(' ');
      // A model is made once; any other folder would do.
      if (name === 'init') run(command.replace(/--output \S+/, `--output ${join(folder, 'init')}`));
      else if (name !== 'ask') run(command);
    }
    assert.equal(statSync(join(scores, 'rank-0', 'tuned.jsonl')).mtimeMs, answers);
    const made = (name: string): Buffer => readFileSync(join(name, 'model.safetensors'));
    assert.ok(made(join(folder, 'init')).equals(made(join(folder, 'whole', 'quick', 'model'))));
    const ask = commands.at(-1) ?? '';
    assert.match(ask, /^npx facellm ask /);
    assert.equal(run(ask, '--max-new-tokens', '12').trim(), faces[0]?.answers[0]?.answer);
  });

  it('ends with 130 when interrupted, survives being killed, and comes to the same', async () => {
    // Not before its first update: a run that is stopped then has nothing to go on from.
    const training = /[1-9]\d*\/\d+ {2}updates/;
    const first = await demo(quick('torn'), { at: training, signal: 'SIGINT' });
    assert.equal(first.code, 130, first.stderr);
    assert.match(first.stdout, /The same command goes on/);
    const second = await demo(quick('torn'), { at: training, signal: 'SIGKILL' });
    assert.equal(second.code, null);
    assert.equal(second.stdout.match(CACHED)?.length, 3);
    const last = await demo(quick('torn'));
    assert.equal(last.code, 0, last.stderr);
    assert.match(last.stdout, /Goes on after update \d+ of/);
    const [torn, whole] = [reportOf('torn'), reportOf('whole')];
    assert.deepEqual(torn.training.losses, whole.training.losses);
    assert.deepEqual(torn.figures, whole.figures);
    assert.deepEqual(torn.faces, whole.faces);
  });

  it('starts over from another seed, and when told to', async () => {
    const { code, stdout } = await demo(quick('torn', '--seed', '7', '--fresh'));
    assert.equal(code, 0);
    assert.doesNotMatch(stdout, CACHED);
    assert.equal(reportOf('torn').seed, 7);
    assert.notDeepEqual(reportOf('torn').training.losses, reportOf('whole').training.losses);
  });

  it('says what is wrong with options and folders', async () => {
    const usage = await demo(['--quik']);
    assert.equal(usage.code, 2);
    assert.match(usage.stderr, /--quik[\s\S]*--quick/);
    assert.equal(usage.stdout, '');
    writeFileSync(join(folder, 'thesis.tex'), '');
    const taken = await demo(['--output', folder]);
    assert.equal(taken.code, 1);
    assert.match(taken.stderr, /thesis\.tex.*--output|--output/);
    assert.doesNotMatch(taken.stderr, /\n\s+at /);
  });
});
