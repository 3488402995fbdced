/**
 * `node --import=./test/support/tsx.mjs benchmarks/annotate.ts --model DIR --pictures FOLDER [--limit 32] [--rounds 3] [--out FILE]`: a folder
 * to a table by `annotate()`, beside what a user would write without it: for each picture and each question one call of `choose` with
 * the picture's path and the same faces, after another. All in one process with one model, by turns, caches cleared before each. The
 * loop twice: with `choose`'s own defaults, where each question finds the picture's face and prefix that the first has left in the
 * caches, and with nothing kept between calls. Faces per second, seconds of processor time, and the ratios of the loops' times to that of
 * `annotate`; what the loop did once a picture and what once a question, by which the ratio is bounded. The table's answers are
 * held against the loop's.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { attributeQuestions } from '../lib/annotate/index.js';
import { annotate, type AnnotationRow, detectFaces, FaceLlm } from '../lib/index.js';
import { describeEnvironment, reportArguments } from './harness/environment.js';
import { median } from './harness/statistics.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    pictures: { type: 'string' },
    limit: { type: 'string', default: '32' },
    rounds: { type: 'string', default: '3' },
    out: { type: 'string' },
  },
});
const { model: directory, pictures: folder } = values;
if (directory === undefined || folder === undefined)
  throw new Error('expected --model DIR --pictures FOLDER');
const files = readdirSync(folder)
  .filter((name) => /\.(jpe?g|png)$/i.test(name))
  .sort()
  .slice(0, Number(values.limit));
const questions = attributeQuestions(['gender', 'age', 'smile', 'eyewear']);
const scratch = mkdtempSync(join(tmpdir(), 'facellm-bench-annotate-'));
if (files.length === 0) throw new Error(`${folder} holds no pictures`);

await using model = await FaceLlm.load(directory);

/** Best answers by file and question. */
type Answers = Map<string, string>;

const FACES = { which: 'main' } as const;

/** Of the last loop that kept what it could, in seconds. */
let parts = { faces: 0, firstQuestions: 0, laterQuestions: 0 };

/** @param keeps what calls before it have computed */
async function loop(keeps: boolean): Promise<Answers> {
  const answers: Answers = new Map();
  const now = { faces: 0, firstQuestions: 0, laterQuestions: 0 };
  for (const file of files) {
    for (const [i, { name, question, choices }] of questions.entries()) {
      if (!keeps) await model.clearCaches();
      const image = join(folder ?? '', file);
      const startedAt = performance.now();
      const { best } = await model.choose({ image, question, choices, faces: FACES });
      const seconds = (performance.now() - startedAt) / 1000;
      if (i === 0) now.firstQuestions += seconds;
      else now.laterQuestions += seconds;
      answers.set(`${file} ${name}`, best.text);
    }
  }
  if (keeps) parts = now;
  return answers;
}

/** What finding and cutting out takes of the loop's first questions, one picture after another. */
async function facesAlone(): Promise<number> {
  const startedAt = performance.now();
  for (const file of files) await detectFaces(join(folder ?? '', file), FACES);
  return (performance.now() - startedAt) / 1000;
}

async function table(round: number): Promise<Answers> {
  const output = join(scratch, `${round}.jsonl`);
  await annotate({
    ...{ input: folder ?? '', output, model, questions, limit: files.length },
    faces: FACES,
    environment: {},
  });
  const rows = readFileSync(output, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as AnnotationRow);
  return new Map(
    rows.flatMap(({ file, answers }) =>
      Object.entries(answers).map(([name, { best }]) => [`${file} ${name}`, best ?? ''] as const),
    ),
  );
}

interface Timed {
  readonly seconds: number;
  /** Of all threads. */
  readonly cpuSeconds: number;
  readonly answers: Answers;
}

async function timed(work: () => Promise<Answers>): Promise<Timed> {
  await model.clearCaches();
  const before = process.cpuUsage();
  const startedAt = performance.now();
  const answers = await work();
  const seconds = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(before);
  return { seconds, cpuSeconds: (user + system) / 1e6, answers };
}

try {
  await timed(() => table(-1));
  const rounds: Record<'annotate' | 'loop' | 'loopKeepingNothing', Omit<Timed, 'answers'>>[] = [];
  let differ = 0;
  for (let round = 0; round < Number(values.rounds); round++) {
    const { answers: ofTable, ...fast } = await timed(() => table(round));
    const { answers: ofLoop, ...slow } = await timed(() => loop(true));
    const { answers: ofBare, ...bare } = await timed(() => loop(false));
    const told = [fast, slow, bare].map(({ seconds }) => seconds.toFixed(1)).join(', ');
    process.stderr.write(`round ${round + 1}: annotate, the loops ${told} s\n`);
    rounds.push({ annotate: fast, loop: slow, loopKeepingNothing: bare });
    differ = [...ofLoop].filter(([key, best]) => ofTable.get(key) !== best).length;
    if (ofTable.size !== ofLoop.size || ofBare.size !== ofLoop.size)
      throw new Error('the table has other answers than the loop');
  }
  parts.faces = await facesAlone();
  const figures = (what: keyof (typeof rounds)[number]) => {
    const seconds = median(rounds.map((one) => one[what].seconds));
    const cpuSeconds = median(rounds.map((one) => one[what].cpuSeconds));
    return { seconds, cpuSeconds, picturesPerSecond: files.length / seconds };
  };
  const [fast, slow, bare] = [
    figures('annotate'),
    figures('loop'),
    figures('loopKeepingNothing'),
  ] as const;
  const report = {
    environment: await describeEnvironment(),
    arguments: reportArguments(values),
    ...{ pictures: files.length, questions: questions.length, rounds },
    ...{ annotate: fast, loop: slow, loopKeepingNothing: bare },
    /** Of the last round's loop: `faces` is part of the first questions, which compute a picture's prefix, too. */
    partsOfLoop: parts,
    ratio: slow.seconds / fast.seconds,
    ratioKeepingNothing: bare.seconds / fast.seconds,
    /** Ties of the best answer fall either way. */
    answersThatDiffer: differ,
  };
  const text = `${JSON.stringify(report, null, 2)}\n`;
  if (values.out !== undefined) writeFileSync(values.out, text);
  process.stdout.write(text);
} finally {
  rmSync(scratch, { recursive: true });
}
