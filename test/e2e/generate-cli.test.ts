/** `facellm generate` as people run it. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { readDataset } from '../../lib/data/index.js';
import { LabelledFaces } from '../support/labelled-faces.js';
import { TeacherServer } from '../support/teacher-server.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe('e2e: facellm generate', () => {
  let faces: LabelledFaces;
  before(async () => (faces = await LabelledFaces.create(4)));
  after(() => faces.remove());

  function start(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
    const where = ['--labels', faces.labels, '--images', faces.folder];
    return spawn(process.execPath, [MAIN, 'generate', ...where, ...args], {
      env: { ...process.env, NO_COLOR: '1', OPENAI_API_KEY: '', FACELLM_ADDON: '/nowhere', ...env },
    });
  }

  function end(child: ChildProcess): Promise<Ended> {
    let [stdout, stderr] = ['', ''];
    child.stdout?.on('data', (piece: Buffer) => (stdout += piece.toString()));
    child.stderr?.on('data', (piece: Buffer) => (stderr += piece.toString()));
    return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
  }

  it('makes a dataset from labels alone, without addon, key or network', async () => {
    const output = faces.output('labels');
    const { code, stdout, stderr } = await end(
      start(['--teacher', 'labels', '--output', output, '--json']),
    );
    assert.equal(code, 0, stderr);
    const result = JSON.parse(stdout) as { end: string; answered: number };
    assert.deepEqual([result.end, result.answered], ['complete', 32]);
    assert.match(stderr, /4 pictures, 32 questions/);
    assert.equal((await readDataset(output)).records.length, 32);
  });

  it('--dry-run estimates without a key and writes nothing', async () => {
    const output = faces.output('dry');
    const { code, stdout } = await end(
      start(['--teacher', 'openai', '--output', output, '--dry-run']),
    );
    assert.equal(code, 0);
    assert.match(stdout, /^32 questions about 4 pictures/);
    assert.match(stdout, /about \d+ prompt and 6400 answer tokens\nabout \$0\.\d+/);
    assert.ok(!existsSync(output));
  });

  it('the first Ctrl-C finishes and saves with code 130; the same command resumes', async () => {
    const server = await TeacherServer.start(() => ({ kind: 'answer', delayMs: 100 }));
    const output = faces.output('interrupted');
    const args = ['--teacher', 'openai', '--output', output, '--base-url', server.url];
    const all = [...args, '--model', 'loopback', '--concurrency', '2'];
    const env = { OPENAI_API_KEY: 'sk-of-the-test' };
    try {
      const child = start(all, env);
      server.onCall = () => server.calls.length === 4 && child.kill('SIGINT');
      const first = await end(child);
      assert.equal(first.code, 130, first.stderr);
      assert.match(first.stderr, /finishing the requests under way/);
      assert.match(first.stdout, /stopped with \d+ of 32 open; the same command resumes/);
      const answered = (await readDataset(output)).records.length;
      assert.equal(answered, server.calls.length);
      const second = await end(start(all, env));
      assert.equal(second.code, 0, second.stderr);
      assert.equal(server.calls.length, 32);
      assert.ok(!readFileSync(join(output, 'journal.jsonl'), 'utf8').includes('sk-of-the-test'));
    } finally {
      await server.close();
    }
  });

  it('says everything that is wrong, and how to mend it', async () => {
    const output = faces.output('wrong');
    const run = (...args: string[]): Promise<Ended> => end(start(['--output', output, ...args]));
    const [noKey, noModel, noTeacher, badColumn, badPair] = await Promise.all([
      run('--teacher', 'openai'),
      run('--teacher', 'model'),
      run('--teacher', 'oracle'),
      run('--teacher', 'labels', '--column', 'agee=x', '--value', 'gender:M=Man'),
      run('--teacher', 'labels', '--where', 'split'),
    ]);
    assert.deepEqual(
      [noKey, noModel, noTeacher, badColumn, badPair].map((ended) => ended?.code),
      [2, 2, 2, 2, 2],
    );
    assert.match(
      noKey?.stderr ?? '',
      /OPENAI_API_KEY: expected the environment variable to be set/,
    );
    assert.match(noModel?.stderr ?? '', /needs --model DIR/);
    assert.match(noTeacher?.stderr ?? '', /labels, openai, model/);
    assert.match(badColumn?.stderr ?? '', /did you mean age\?[^]*did you mean Male\?/);
    assert.match(badPair?.stderr ?? '', /Expected NAME=VALUE/);
  });
});
