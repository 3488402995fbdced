/**
 * `node --import=./test/support/tsx.mjs benchmarks/annotate.ts --model DIR --pictures FOLDER [--limit 32] [--rounds 3] [--out FILE]`: a folder
 * to a table by `annotate()`, beside what a user would write without it: for each picture its face by `detectFaces`, then a call
 * of `choose` for each question, one after the other. Both in one process with one model, by turns, caches cleared before each. The loop
 * twice: as it is, where each question finds the picture's prefix that the first has left in the cache, and with nothing kept between
 * calls. Faces per second, and the ratios of the loops' times to that of `annotate`. The table's answers are held against the loop's.
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

/** @param keeps what calls before it have computed */
async function loop(keeps: boolean): Promise<Answers> {
  const answers: Answers = new Map();
  for (const file of files) {
    const { chips } = await detectFaces(join(folder ?? '', file), { which: 'main' });
    const [chip] = chips;
    if (chip === undefined) continue;
    for (const { name, question, choices } of questions) {
      if (!keeps) await model.clearCaches();
      const { best } = await model.choose({ image: chip, question, choices, faces: 'cropped' });
      answers.set(`${file} ${name}`, best.text);
    }
  }
  return answers;
}

async function table(round: number): Promise<Answers> {
  const output = join(scratch, `${round}.jsonl`);
  await annotate({
    ...{ input: folder ?? '', output, model, questions, limit: files.length },
    faces: { which: 'main' },
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

async function timed(work: () => Promise<Answers>): Promise<{ seconds: number; answers: Answers }> {
  await model.clearCaches();
  const startedAt = performance.now();
  const answers = await work();
  return { seconds: (performance.now() - startedAt) / 1000, answers };
}

try {
  await timed(() => table(-1));
  const rounds: { annotate: number; loop: number; loopKeepingNothing: number }[] = [];
  let differ = 0;
  for (let round = 0; round < Number(values.rounds); round++) {
    const ofTable = await timed(() => table(round));
    const ofLoop = await timed(() => loop(true));
    const ofBare = await timed(() => loop(false));
    rounds.push({
      ...{ annotate: ofTable.seconds, loop: ofLoop.seconds },
      loopKeepingNothing: ofBare.seconds,
    });
    differ = [...ofLoop.answers].filter(([key, best]) => ofTable.answers.get(key) !== best).length;
    if (ofTable.answers.size !== ofLoop.answers.size)
      throw new Error('the table has other answers than the loop');
  }
  const [fast, slow, bare] = [
    median(rounds.map((one) => one.annotate)),
    median(rounds.map((one) => one.loop)),
    median(rounds.map((one) => one.loopKeepingNothing)),
  ] as const;
  const report = {
    environment: await describeEnvironment(),
    arguments: reportArguments(values),
    ...{ pictures: files.length, questions: questions.length, rounds },
    annotate: { seconds: fast, picturesPerSecond: files.length / fast },
    loop: { seconds: slow, picturesPerSecond: files.length / slow },
    loopKeepingNothing: { seconds: bare, picturesPerSecond: files.length / bare },
    ratio: slow / fast,
    ratioKeepingNothing: bare / fast,
    /** Ties of the best answer fall either way. */
    answersThatDiffer: differ,
  };
  const text = `${JSON.stringify(report, null, 2)}\n`;
  if (values.out === undefined) process.stdout.write(text);
  else writeFileSync(values.out, text);
} finally {
  rmSync(scratch, { recursive: true });
}
