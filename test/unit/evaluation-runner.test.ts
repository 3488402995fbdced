/** The runner with a model that is none: what is asked, recorded, resumed, merged, refused. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';

import { rankFromEnvironment } from '../../lib/evaluation/run/ranks.js';
import { type BenchmarkRunOptions, runBenchmark } from '../../lib/evaluation/run/run-benchmark.js';
import type { Benchmark, EvaluationItem, ModelRun } from '../../lib/evaluation/types.js';
import { fakeContender } from '../support/fake-contender.js';
import { temporaryFolder } from '../support/facexbench-folder.js';

/** Three questions about each of `pictures` pictures. */
function makeItems(pictures: number): EvaluationItem[] {
  return Array.from({ length: pictures * 3 }, (_, i) => ({
    id: `q/${i}`,
    images: [`/picture-${Math.floor(i / 3)}.png`],
    prompt: `question ${i}`,
    choices: ['A', 'B', 'C'],
    answer: i % 3,
    tags: {},
  }));
}

interface FakeBenchmark extends Benchmark {
  readonly reported: ModelRun[][];
}

function makeBenchmark(change: Partial<Benchmark> = {}): FakeBenchmark {
  const reported: ModelRun[][] = [];
  return {
    name: 'facexbench',
    isPartial: false,
    notes: [],
    items: makeItems(4),
    fingerprint: 'data',
    readings: ['text', 'probability'],
    report(runs) {
      reported.push([...runs]);
      return Promise.resolve({
        benchmark: 'fake',
        isPartial: false,
        models: [],
        table: [],
        files: [],
      });
    },
    ...change,
    reported,
  };
}

function options(change: Partial<BenchmarkRunOptions> = {}): BenchmarkRunOptions {
  return {
    benchmark: makeBenchmark(),
    contenders: [fakeContender()],
    output: temporaryFolder(),
    request: {},
    settings: { benchmarkOptions: {}, prompt: {}, maxNewTokens: 5, batchSize: 4, seed: 0 },
    onFailure: 'record',
    rank: 0,
    worldSize: 1,
    signal: new AbortController().signal,
    emit: () => {},
    ...change,
  };
}

/** Without the time that it took. */
function comparable(runs: readonly ModelRun[] | undefined) {
  return runs?.map(({ name, outcomes }) => ({
    name,
    outcomes: outcomes.map((outcome) => ({ ...outcome, milliseconds: 0 })),
  }));
}

async function uninterrupted() {
  const benchmark = makeBenchmark();
  await runBenchmark(options({ benchmark }));
  return comparable(benchmark.reported[0]);
}

describe('shares', () => {
  it('come from torchrun or SLURM, and are all there is without them', () => {
    assert.deepEqual(rankFromEnvironment({}), { rank: 0, worldSize: 1 });
    assert.deepEqual(rankFromEnvironment({ RANK: '1', WORLD_SIZE: '4' }), {
      rank: 1,
      worldSize: 4,
    });
    const slurm = { SLURM_PROCID: '2', SLURM_NTASKS: '3' };
    assert.deepEqual(rankFromEnvironment(slurm), { rank: 2, worldSize: 3 });
    assert.deepEqual(rankFromEnvironment({ ...slurm, RANK: '0', WORLD_SIZE: '1' }).rank, 0);
    for (const wrong of [
      { RANK: '1' },
      { WORLD_SIZE: '2' },
      { RANK: '2', WORLD_SIZE: '2' },
      { RANK: '-1', WORLD_SIZE: '2' },
      { RANK: 'x', WORLD_SIZE: '2' },
      { SLURM_PROCID: '0.5', SLURM_NTASKS: '2' },
    ]) {
      assert.throws(() => rankFromEnvironment(wrong), { code: 'FACELLM_INVALID_ARGUMENT' });
    }
  });
});

describe('evaluation runner', () => {
  it('asks every question once, as many at a time as wished, and reports in order', async () => {
    const benchmark = makeBenchmark();
    const contender = fakeContender();
    const result = await runBenchmark(options({ benchmark, contenders: [contender] }));
    assert.deepEqual(
      { ...result, output: '' },
      {
        output: '',
        questions: 12,
        missing: 0,
        failures: 0,
        summary: { benchmark: 'fake', isPartial: false, models: [], table: [], files: [] },
      },
    );
    const counts = ['open', 'answer', 'choose', 'close'].map(
      (what) => contender.log.filter((line) => line === what).length,
    );
    assert.deepEqual(counts, [1, 12, 12, 1]);
    assert.deepEqual([contender.log[0], contender.log.at(-1)], ['open', 'close']);
    assert.deepEqual(contender.asked, benchmark.items.map(({ prompt }) => prompt)); // prettier-ignore
    assert.equal(contender.most(), 4);
    const [run] = benchmark.reported[0] ?? [];
    assert.deepEqual(
      run?.outcomes.map(({ id }) => id),
      benchmark.items.map(({ id }) => id),
    );
    const [first] = run?.outcomes ?? [];
    assert.equal(first?.promptTokens, 'question 0'.length);
    assert.equal(first?.generatedTokens, 2);
    assert.match(first?.promptHash ?? '', /^[0-9a-f]{64}$/);
    assert.ok((first?.milliseconds ?? 0) > 0);
    for (const file of ['run.json', 'summary.json', 'questions-base.jsonl']) {
      assert.ok(existsSync(join(result.output, file)), file);
    }
  });

  it('asks only what the readings need', async () => {
    for (const [readings, expected] of [
      [['text'] as const, ['answer', 'answer', 'answer']],
      [['probability'] as const, ['choose', 'choose', 'choose']],
    ] as const) {
      const contender = fakeContender();
      const benchmark = makeBenchmark({ readings, items: makeItems(1) });
      await runBenchmark(options({ benchmark, contenders: [contender] }));
      assert.deepEqual(contender.log.slice(1, -1), expected);
    }
  });

  it('a run stopped at any question goes on to the same answers, asking nothing twice', async () => {
    const expected = await uninterrupted();
    for (let stopAt = 0; stopAt < 12; stopAt++) {
      const output = temporaryFolder();
      const abort = new AbortController();
      const reason = new Error('stop');
      const first = fakeContender({
        onQuestion: (_, number) => {
          if (number === stopAt) abort.abort(reason);
        },
      });
      await assert.rejects(
        runBenchmark(options({ output, contenders: [first], signal: abort.signal })),
        (error) => error === reason,
      );
      assert.ok(first.log.includes('close'));
      const second = fakeContender();
      const benchmark = makeBenchmark();
      await runBenchmark(options({ output, benchmark, contenders: [second] }));
      assert.deepEqual(comparable(benchmark.reported[0]), expected);
      assert.equal(new Set([...first.asked, ...second.asked]).size, 12);
      // What was under way is asked again.
      assert.ok(first.asked.length + second.asked.length <= 12 + 3);
      // A third time nothing is loaded, and the report is made again.
      const third = fakeContender();
      await runBenchmark(options({ output, benchmark, contenders: [third] }));
      assert.deepEqual(third.log, []);
      assert.equal(benchmark.reported.length, 2);
    }
  });

  it('a graceful stop resolves with what is missing, and reports nothing', async () => {
    const stopping = new AbortController();
    const benchmark = makeBenchmark();
    const contender = fakeContender({
      onQuestion: (_, number) => {
        if (number === 7) stopping.abort();
      },
    });
    const stop = stopping.signal;
    const result = await runBenchmark(
      options({ benchmark, contenders: [contender], signal: stop, stop }),
    );
    assert.equal(result.summary, undefined);
    assert.ok(result.missing >= 5 && result.missing < 12, String(result.missing));
    assert.equal(benchmark.reported.length, 0);
    assert.equal(contender.log.at(-1), 'close');
  });

  it('a journal cut at any byte is repaired, and only what it lost is asked again', async () => {
    const expected = await uninterrupted();
    const whole = temporaryFolder();
    await runBenchmark(options({ output: whole }));
    const bytes = readFileSync(join(whole, 'rank-0', 'base.jsonl'));
    for (let size = 0; size < bytes.length; size += 211) {
      const output = temporaryFolder();
      mkdirSync(join(output, 'rank-0'));
      appendFileSync(join(output, 'rank-0', 'base.jsonl'), bytes.subarray(0, size));
      const benchmark = makeBenchmark();
      const contender = fakeContender();
      await runBenchmark(options({ output, benchmark, contenders: [contender] }));
      assert.deepEqual(comparable(benchmark.reported[0]), expected);
      const kept = bytes.subarray(0, size).toString().split('"type":"outcome"').length - 1;
      assert.ok(
        contender.asked.length <= 12 - kept + 1,
        `${contender.asked.length} of ${kept} kept`,
      );
    }
  });

  it('processes share the questions; the last one reports what one alone would have', async () => {
    const expected = await uninterrupted();
    const output = temporaryFolder();
    const benchmark = makeBenchmark();
    const contenders = [0, 1, 2].map(() => fakeContender());
    const results = [];
    for (const rank of [2, 0, 1]) {
      const own = contenders[rank] ?? fakeContender();
      results.push(
        await runBenchmark(options({ output, benchmark, contenders: [own], rank, worldSize: 3 })),
      );
    }
    assert.deepEqual(
      results.map(({ missing }) => missing),
      [8, 4, 0],
    );
    assert.deepEqual(
      results.map(({ summary }) => summary !== undefined),
      [false, false, true],
    );
    assert.deepEqual(
      contenders.map(({ asked }) => asked.length),
      [4, 4, 4],
    );
    assert.deepEqual(comparable(benchmark.reported[0]), expected);
    // At the same time, and with another number of processes than before.
    const together = temporaryFolder();
    const shared = makeBenchmark();
    await Promise.all(
      [0, 1].map((rank) =>
        runBenchmark(options({ output: together, benchmark: shared, rank, worldSize: 2 })),
      ),
    );
    assert.ok(shared.reported.length >= 1);
    assert.deepEqual(comparable(shared.reported[0]), expected);
    assert.deepEqual(readdirSync(together).filter((name) => name.startsWith('rank')).length, 2);
  });

  it('a journal of other settings is refused with everything that differs, and nothing is loaded', async () => {
    const output = temporaryFolder();
    await runBenchmark(options({ output }));
    const contender = fakeContender({ seed: 'another' });
    const before = statSync(join(output, 'rank-0', 'base.jsonl')).size;
    const { settings } = options();
    await assert.rejects(
      runBenchmark(
        options({
          output,
          benchmark: makeBenchmark({ fingerprint: 'other data' }),
          contenders: [contender],
          settings: { ...settings, batchSize: 8, prompt: { template: 'original' } },
        }),
      ),
      (error: { code?: string; details?: readonly string[] }) => {
        assert.equal(error.code, 'FACELLM_RUN_INVALID');
        assert.deepEqual([...(error.details ?? [])].sort(), [
          'batchSize: 8 now, 4 then',
          'data: "other data" now, "data" then',
          'model.model: "another" now, "fake" then',
          'prompt.template: "original" now, nothing then',
        ]);
        return true;
      },
    );
    assert.deepEqual(contender.log, []);
    assert.equal(statSync(join(output, 'rank-0', 'base.jsonl')).size, before);
  });

  it('a second model joins a finished run without asking the first again', async () => {
    const output = temporaryFolder();
    await runBenchmark(options({ output }));
    const base = fakeContender();
    const tuned = fakeContender({ name: 'tuned', seed: 'better' });
    const benchmark = makeBenchmark();
    await runBenchmark(options({ output, benchmark, contenders: [base, tuned] }));
    assert.deepEqual(base.log, []);
    assert.equal(tuned.asked.length, 12);
    assert.deepEqual(
      benchmark.reported[0]?.map(({ name }) => name),
      ['base', 'tuned'],
    );
  });

  it('two processes of one rank are refused', async () => {
    const output = temporaryFolder();
    let second: Promise<unknown> | undefined;
    const contender = fakeContender({
      onQuestion: () => {
        second ??= runBenchmark(options({ output })).catch((error: unknown) => error);
      },
    });
    await runBenchmark(options({ output, contenders: [contender] }));
    assert.equal(((await second) as { code?: string }).code, 'FACELLM_RUN_INVALID');
  });
});

describe('questions that cannot be asked', () => {
  const broken = ({ prompt }: { readonly prompt: string }) =>
    prompt === 'question 4' ? ('FACELLM_IMAGE_INVALID' as const) : undefined;

  it('are recorded with their reason, the others are answered, the run goes on', async () => {
    const benchmark = makeBenchmark();
    const contender = fakeContender({ fault: broken });
    const result = await runBenchmark(options({ benchmark, contenders: [contender] }));
    assert.equal(result.failures, 1);
    const outcomes = benchmark.reported[0]?.[0]?.outcomes ?? [];
    assert.equal(outcomes.length, 12);
    const faulty = outcomes.filter(({ failure }) => failure !== undefined);
    assert.deepEqual(
      faulty.map(({ id, failure, text }) => ({ id, code: failure?.code, text })),
      [{ id: 'q/4', code: 'FACELLM_IMAGE_INVALID', text: undefined }],
    );
    // Asked again by the same command; nothing else is.
    const mended = fakeContender();
    const again = makeBenchmark();
    const second = await runBenchmark(
      options({ output: result.output, benchmark: again, contenders: [mended] }),
    );
    assert.equal(second.failures, 0);
    assert.deepEqual(mended.asked, ['question 4']);
    assert.deepEqual(comparable(again.reported[0]), await uninterrupted());
  });

  it('end the run if so wished, with what was under way saved', async () => {
    const output = temporaryFolder();
    const run = { output, onFailure: 'stop' as const };
    await assert.rejects(
      runBenchmark(options({ ...run, contenders: [fakeContender({ fault: broken })] })),
      (error: { code?: string; details?: readonly string[] }) => {
        assert.equal(error.code, 'FACELLM_IMAGE_INVALID');
        assert.deepEqual(error.details, ['q/4: no answer to question 4']);
        return true;
      },
    );
    const mended = fakeContender();
    await runBenchmark(options({ ...run, contenders: [mended] }));
    assert.ok(mended.asked.length <= 8, `${mended.asked.length} asked again`);
    assert.ok(mended.asked.includes('question 4'));
  });

  it('a fault of the model itself ends the run, whatever is wished', async () => {
    const contender = fakeContender({ fault: () => 'FACELLM_INTERNAL' });
    await assert.rejects(runBenchmark(options({ contenders: [contender] })), {
      code: 'FACELLM_INTERNAL',
    });
    assert.ok(contender.log.filter((line) => line === 'answer').length <= 4);
    assert.equal(contender.log.at(-1), 'close');
  });
});
