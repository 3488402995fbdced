/**
 * A run that is killed again and again: nothing answered is lost or paid for twice, and the dataset is
 * the same as without kills.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { readDataset } from '../../lib/data/index.js';
import { LabelledFaces } from '../support/labelled-faces.js';
import { type Behaviour, type Call, TeacherServer } from '../support/teacher-server.js';

const IMAGES = 40;
const PAIRS = IMAGES * 8;
const CONCURRENCY = 8;
/** Two runs at a time: each waits more than it works. */
const RUNS = ['first', 'second'];
const KILLS_A_RUN = 15;
/** Further kills while nothing but the files is left to do. */
const LATE_KILLS = 3;

const FILES = [
  ...['README.md', 'dataset.json', 'dataset.parquet', 'dataset_info.json'],
  ...['journal.jsonl', 'set_aside.jsonl', 'summary.json'],
];

// What npm test has compiled: sources would be compiled anew in each of many processes.
const DIST = new URL('../../dist', import.meta.url).href;
const CHILD = `
import { generateDataset } from '${DIST}/data/synthesis/generate-dataset.js';
import { openAiTeacher } from '${DIST}/data/teachers/make-teacher.js';
const [labels, images, output, baseUrl] = process.argv.slice(1);
const teacher = await openAiTeacher({ baseUrl, model: 'loopback', prices: { input: 1, output: 1 } });
const result = await generateDataset({ labels, images, output, teacher, concurrency: ${CONCURRENCY} });
process.stdout.write(JSON.stringify(result));
`;

/** Every third question is refused at first, so that kills also meet rejected answers. */
function behave({ key, idempotencyKey }: Call): Behaviour {
  const delayMs = 5 + (parseInt(key.slice(0, 4), 16) % 20);
  const isFirst = idempotencyKey.endsWith('#0');
  if (isFirst && parseInt(key.slice(4, 8), 16) % 3 === 0) {
    return { kind: 'answer', text: "I'm sorry, but I can't help with that.", delayMs };
  }
  return { kind: 'answer', delayMs };
}

/** Whole lines only, as they were when the process died. */
function journalled(output: string): { type: string; id?: string; attempt?: number }[] {
  const path = join(output, 'journal.jsonl');
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as { type: string });
}

function ended(child: ChildProcess): Promise<{ code: number | null; signal: string | null }> {
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
}

describe('e2e: generate, killed', () => {
  let faces: LabelledFaces;
  const servers: TeacherServer[] = [];
  const children: ChildProcess[] = [];

  before(async () => {
    faces = await LabelledFaces.create(IMAGES);
  });
  // Also of a test that failed: a server left open, or a child that asks it, would keep the process from ending.
  after(async () => {
    for (const child of children) child.kill('SIGKILL');
    for (const server of servers) await server.close();
    faces.remove();
  });

  async function serve(): Promise<TeacherServer> {
    const server = await TeacherServer.start(behave);
    servers.push(server);
    return server;
  }

  function start(server: TeacherServer, output: string): ChildProcess {
    const child = spawn(
      process.execPath,
      ['--input-type=module', '-e', CHILD, faces.labels, faces.folder, output, server.url],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, OPENAI_API_KEY: 'sk-secret-of-the-test' },
      },
    );
    children.push(child);
    return child;
  }

  async function killAgainAndAgain(name: string): Promise<void> {
    const server = await serve();
    const output = faces.output(name);
    const answeredBefore = new Set<string>();
    let isRepeated = '';
    server.onCall = ({ idempotencyKey }) => {
      if (answeredBefore.has(idempotencyKey)) isRepeated = idempotencyKey;
    };
    let kills = 0;
    while (kills < KILLS_A_RUN) {
      const child = start(server, output);
      const exit = ended(child);
      // Anywhere from before the first request to the writing of the files.
      const callsAtStart = server.calls.length;
      const wanted = Math.floor(Math.random() * 16);
      const late = Math.random() * 30;
      while (child.exitCode === null && server.calls.length < callsAtStart + wanted) {
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      await new Promise((resolve) => setTimeout(resolve, late));
      child.kill('SIGKILL');
      const { signal } = await exit;
      if (signal === 'SIGKILL') kills++;
      for (const { type, id, attempt } of journalled(output)) {
        if (type === 'answer' || type === 'rejected') answeredBefore.add(`${id}#${attempt}`);
      }
      assert.equal(isRepeated, '', 'an answer in the journal was asked for again');
      if (signal === null) break;
    }
    const child = start(server, output);
    let printed = '';
    child.stdout?.on('data', (piece: Buffer) => (printed += piece.toString()));
    assert.equal((await ended(child)).code, 0);
    assert.equal(isRepeated, '');
    assert.equal(kills, KILLS_A_RUN, 'the work must last for all kills');

    const result = JSON.parse(printed) as { answered: number; spending: Record<string, number> };
    assert.equal(result.answered, PAIRS);
    // The server charges a repeated Idempotency-Key once, as gateways do.
    assert.ok([...server.charged.values()].every((count) => count === 1));
    // Without such a gateway, a kill repeats at most what was under way.
    assert.ok(server.calls.length - server.charged.size <= KILLS_A_RUN * CONCURRENCY);
    const paidTokens = server.charged.size * 600;
    const { promptTokens, completionTokens } = result.spending;
    assert.equal((promptTokens ?? 0) + (completionTokens ?? 0), paidTokens);

    for (let i = 0; i < LATE_KILLS; i++) {
      const late = start(server, output);
      const exit = ended(late);
      await new Promise((resolve) => setTimeout(resolve, 200 + Math.random() * 500));
      late.kill('SIGKILL');
      await exit;
    }
    const calls = server.calls.length;
    assert.equal((await ended(start(server, output))).code, 0);
    assert.equal(server.calls.length, calls, 'a finished run asks nothing');
    assert.deepEqual(readdirSync(output).sort(), FILES);

    const calm = await serve();
    const reference = faces.output(`${name}-calm`);
    assert.equal((await ended(start(calm, reference))).code, 0);
    for (const name of [
      'dataset.json',
      'dataset.parquet',
      'set_aside.jsonl',
      'dataset_info.json',
    ]) {
      const [ours, theirs] = [output, reference].map((folder) => readFileSync(join(folder, name)));
      assert.ok(ours?.equals(theirs ?? Buffer.alloc(0)), `${name} differs`);
    }
    assert.equal((await readDataset(output)).records.length, PAIRS);
    const journal = readFileSync(join(output, 'journal.jsonl'), 'utf8');
    assert.ok(!journal.includes('sk-secret'), 'the key is in the journal');
  }

  it(`${RUNS.length * KILLS_A_RUN} kills at random instants lose nothing, pay nothing twice and change nothing`, async () => {
    await Promise.all(RUNS.map(killAgainAndAgain));
  }).timeout(300_000);
});
