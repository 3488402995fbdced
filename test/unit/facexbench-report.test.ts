/** A FaceXBench run's tables, against the official aggregation of its predictions and by hand. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { extractOfficial } from '../../lib/evaluation/facexbench/extract-official.js';
import { faceXBench } from '../../lib/evaluation/facexbench/benchmark.js';
import type { Score } from '../../lib/evaluation/facexbench/scores.js';
import type { Benchmark, EvaluationItem, ItemOutcome } from '../../lib/evaluation/types.js';
import {
  aggregate,
  makeFolder,
  questionFiles,
  QUESTIONS,
  readQuestionFile,
  temporaryFolder,
} from '../support/facexbench-folder.js';

interface ScoresFile {
  readonly scores: readonly Score[];
  readonly comparisons: readonly {
    readonly table: string;
    readonly reading: string;
    readonly onlyFirst: number;
    readonly onlySecond: number;
    readonly pValue: number;
  }[];
}

/** The right letter, a wrong one, the right text in prose, an article, nothing, a failure: in turn. */
function outcomeOf(item: EvaluationItem, i: number, shift: number): ItemOutcome {
  const right = item.choices[item.answer] ?? '';
  const wrong = item.choices[(item.answer + 1) % item.choices.length] ?? '';
  const replies = [right, `(${wrong})`, `I think ${right}.`, 'A person', ''];
  const turn = (i + shift) % 6;
  const base = {
    id: item.id,
    promptHash: '0',
    promptTokens: 9,
    imageTokens: 4,
    generatedTokens: 2,
    milliseconds: 1,
  };
  if (turn === 5) return { ...base, failure: { code: 'FACELLM_IMAGE_INVALID', message: 'broken' } };
  const probabilities = item.choices.map((_, k) =>
    k === (turn === 1 ? 0 : item.answer) ? 0.7 : 0.1,
  );
  return { ...base, text: replies[turn] ?? '', probabilities };
}

async function makeReport(readings?: Benchmark['readings']) {
  const benchmark = await faceXBench({ data: await makeFolder(), readings });
  const output = temporaryFolder();
  const run = (name: string, shift: number) => ({
    name,
    outcomes: benchmark.items.map((item, i) => {
      const { text, probabilities, ...rest } = outcomeOf(item, i, shift);
      return {
        ...rest,
        ...(text !== undefined && readings?.includes('text') !== false && { text }),
        ...(probabilities !== undefined && { probabilities }),
      };
    }),
  });
  const runs = [run('base', 0), run('tuned', 1)];
  const summary = await benchmark.report(runs, output);
  const read = (name: string) => readFileSync(join(output, name), 'utf8');
  return { benchmark, output, runs, summary, read };
}

describe('FaceXBench report', () => {
  it('gives the numbers of the official aggregation over its own predictions', async () => {
    const { output, read } = await makeReport();
    const { scores } = JSON.parse(read('facexbench.json')) as ScoresFile;
    for (const model of ['base', 'tuned']) {
      const folder = join(output, 'predictions', model);
      assert.deepEqual(questionFiles(folder), questionFiles(QUESTIONS));
      const counts = aggregate(folder, (reply, options) => {
        const index = extractOfficial(reply, options);
        return index === undefined ? undefined : String.fromCharCode(65 + index);
      });
      const ours = scores.filter(
        (s) => s.model === model && s.reading === 'official' && s.table !== 'fairface',
      );
      assert.equal(ours.length, counts.size);
      for (const { group, correct, total } of ours) {
        assert.deepEqual(counts.get(group), { correct, total }, `${model}: ${group}`);
      }
    }
  });

  it('predictions are the question files with nothing but a prediction added', async () => {
    const { output } = await makeReport();
    for (const name of questionFiles(QUESTIONS)) {
      const { questions, ...head } = readQuestionFile(join(output, 'predictions', 'base'), name);
      const { questions: asked, ...sourceHead } = readQuestionFile(QUESTIONS, name);
      assert.deepEqual(head, sourceHead);
      const bare = Object.entries(questions).map(([key, { prediction, ...question }]) => {
        assert.equal(typeof prediction, 'string');
        return [key, question];
      });
      assert.deepEqual(bare, Object.entries(asked));
    }
  });

  it('counts by hand: 24 questions in turns of six', async () => {
    const { read, summary } = await makeReport();
    const { scores, comparisons } = JSON.parse(read('facexbench.json')) as ScoresFile;
    const overall = (model: string, reading: string) =>
      scores.find((s) => s.table === 'overall' && s.model === model && s.reading === reading);
    // Of six turns: right letter, wrong letter, right in prose, article, nothing, failure.
    const strict = overall('base', 'strict');
    assert.deepEqual([strict?.correct, strict?.total, strict?.unanswered], [4, 24, 16]);
    const probability = overall('base', 'probability');
    const firstIsRight = overall('base', 'official');
    // The article and the second turn's most probable A are right where A is.
    assert.ok((probability?.correct ?? 0) >= 16 && (firstIsRight?.correct ?? 0) >= 8);
    assert.equal(firstIsRight?.unanswered, 8, 'the empty reply and the failure');
    assert.equal(probability?.unanswered, 4, 'the failure alone');
    const { low = 0, high = 1, accuracy = 0 } = strict ?? {};
    assert.ok(low > 0 && low < accuracy && accuracy < high && high < 1);
    const split = comparisons.find((c) => c.table === 'overall' && c.reading === 'strict');
    assert.deepEqual([split?.onlyFirst, split?.onlySecond], [4, 4]);
    assert.equal(split?.pValue, 1);
    assert.equal(summary.models[0]?.figures['failures'], 4);
    assert.equal(summary.models[0]?.figures['accuracy.strict'], 4 / 24);
  });

  it('a partial set is called so at the top, in the summary, beside published figures', async () => {
    const { read, summary, benchmark } = await makeReport();
    assert.equal(benchmark.isPartial, true);
    assert.equal(summary.isPartial, true);
    assert.equal(summary.benchmark, 'FaceXBench questions, partial set');
    const text = read('facexbench.md');
    assert.match(text, /^# FaceXBench questions, partial set\n\n> \*\*Not a FaceXBench score\./);
    assert.match(text, /40 of 48 files are absent/);
    assert.match(text, /of a partial set: not comparable/);
    assert.match(text, /\| base \(measured here\) \| \d+\.\d\d \|/);
    assert.match(text, /\| FaceLLM-8B \(published\) \| 56\.14 \| 65\.20 \|/);
    assert.match(text, /without FairFace questions/);
    assert.match(text, /base, .*: FACELLM_IMAGE_INVALID: broken/);
    for (const table of ['By category', 'By task', 'By number of pictures']) {
      assert.ok(text.includes(`## ${table}`), table);
    }
    // Each table has as many cells in every row as in its head.
    for (const block of text.split('\n\n').filter((part) => part.startsWith('|'))) {
      const widths = block
        .trimEnd()
        .split('\n')
        .map((line) => line.split(' | ').length);
      assert.ok(
        widths.every((width) => width === widths[0]),
        block,
      );
    }
  });

  it('lists its files, all of them there, and a line a question', async () => {
    const { read, output, summary, benchmark } = await makeReport();
    const there = readdirSync(output, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(output.length + 1));
    assert.deepEqual([...summary.files].sort(), there.sort());
    const lines = read('readings.jsonl').trimEnd().split('\n');
    assert.equal(lines.length, benchmark.items.length);
    const first = JSON.parse(lines[0] ?? '') as { models: Record<string, Record<string, unknown>> };
    assert.deepEqual(Object.keys(first.models['base'] ?? {}), [
      'text',
      'probabilities',
      'official',
      'strict',
      'probability',
    ]);
    const rows = read('facexbench.csv').trimEnd().split('\n');
    assert.equal(rows[0], 'table,group,model,reading,correct,total,unanswered,accuracy,low,high');
    assert.ok(rows.every((row) => row.split(',').length === 10));
  });

  it('without text there are no predictions and no published figures to stand beside', async () => {
    const { summary, read } = await makeReport(['probability']);
    assert.ok(!summary.files.some((file) => file.startsWith('predictions')));
    assert.ok(!read('facexbench.md').includes('(published)'));
  });
});
