/**
 * Training runs as users meet them: `facellm train` in processes of its own that are stopped, killed and
 * starved of disk, and resumed. On the CPU a resumed run ends bit for bit where the unbroken one does.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import {
  exportModel,
  FaceLlm,
  type FaceLlmError,
  nano,
  train,
  type TrainingEvent,
  type TrainingRecipe,
} from '../../lib/index.js';
import { GOLDEN, TEST_DEVICE } from '../support/golden.js';
import { readSafetensors } from '../support/safetensors.js';
import { BASE, DATASET, goldenRecipe, goldenRun } from '../support/training.js';
import { skip } from '../support/skip.js';

const ROOT = join(import.meta.dirname, '..', '..');
const MAIN = join(ROOT, 'dist', 'cli', 'main.js');
const STEPS = 12;
const SETTINGS = [
  ...['dtype=fp32', 'learningRate=1e-3', 'batchSize=1', 'accumulation=2', 'lora.dropout=0.1'],
  ...[
    `maxSteps=${STEPS}`,
    'logEvery=2',
    'saveEvery=1',
    'keepCheckpoints=2',
    'limitsImageArea=false',
    'balancesAnswers=true',
    'groupsByPicture=true',
    'augmentation={"flip":0.5,"zoom":0.2,"shift":0.1,"brightness":0.3,"contrast":0.3,"saturation":0.3,"grey":0.2}',
  ],
];

function command(output: string, settings: readonly string[] = []): string[] {
  return [
    ...[MAIN, 'train', '--recipe', 'facellm1b', '--model', BASE, '--data', DATASET],
    ...['--output', output, '--device', TEST_DEVICE, '--threads', '1'],
    ...['--set', ...SETTINGS, ...settings],
  ];
}

/** What a run ends with: its log without clock times, and its adapter's bytes. */
function outcome(output: string): { readonly log: unknown[]; readonly adapter: Buffer } {
  const log = readFileSync(join(output, 'trainer_log.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const { current_steps, loss, lr, epoch, total_tokens } = JSON.parse(line) as Record<
        string,
        number
      >;
      return { current_steps, loss, lr, epoch, total_tokens };
    });
  return { log, adapter: readFileSync(join(output, 'adapter_model.safetensors')) };
}

describe('facellm train', function () {
  this.timeout(300_000);
  let folder: string;
  let unbroken: ReturnType<typeof outcome>;
  let wholeMs: number;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-train-'));
    const startedAt = performance.now();
    const run = spawnSync(process.execPath, command(join(folder, 'unbroken')), {
      encoding: 'utf8',
    });
    wholeMs = performance.now() - startedAt;
    assert.equal(run.status, 0, run.stderr);
    unbroken = outcome(join(folder, 'unbroken'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('leaves the files that LLaMA-Factory and PEFT users look for', () => {
    const files = readdirSync(join(folder, 'unbroken'));
    for (const name of [
      ...['adapter_config.json', 'adapter_model.safetensors', 'facellm_training.json', 'run.json'],
      ...['trainer_log.jsonl', 'training_loss.png', 'training_loss.svg', 'tokenizer.json'],
      ...['training_grad_norm.png', 'training_grad_norm.svg'],
      ...[`checkpoint-${STEPS - 1}`, `checkpoint-${STEPS}`],
    ]) {
      assert.ok(files.includes(name), name);
    }
    assert.ok(files.some((name) => name.startsWith('events.out.tfevents.')));
    assert.ok(!files.some((name) => /\.partial$|\.tmp$|run\.lock/.test(name)), files.join(' '));
    assert.equal(files.filter((name) => name.startsWith('checkpoint-')).length, 2);
    assert.equal(unbroken.log.length, STEPS / 2);
  });

  it('a run that is complete is complete at once', () => {
    const args = [...command(join(folder, 'unbroken')), '--json'];
    const again = spawnSync(process.execPath, args, { encoding: 'utf8' });
    assert.equal(again.status, 0, again.stderr);
    const result = JSON.parse(again.stdout) as Record<string, unknown>;
    assert.equal(result['isComplete'], true);
    assert.equal(result['steps'], STEPS);
    assert.deepEqual(outcome(join(folder, 'unbroken')), unbroken);
  });

  it('Ctrl-C saves what is done; the same command goes on to the same end', async () => {
    const output = join(folder, 'interrupted');
    const child = spawn(process.execPath, command(output), { stdio: ['ignore', 'pipe', 'pipe'] });
    let told = '';
    child.stderr.on('data', (piece: Buffer) => {
      told += piece.toString();
      if (/saved .*checkpoint-2/.test(told)) child.kill('SIGINT');
    });
    const code = await new Promise((resolve) => child.once('exit', resolve));
    assert.equal(code, 130, told);
    assert.match(told, /Ctrl-C again/);
    const saved = readdirSync(output).filter((name) => name.startsWith('checkpoint-'));
    assert.ok(saved.length > 0 && !saved.includes(`checkpoint-${STEPS}`), saved.join(' '));
    const rest = spawnSync(process.execPath, command(output), { encoding: 'utf8' });
    assert.equal(rest.status, 0, rest.stderr);
    assert.match(rest.stderr, /resumed after update/);
    assert.deepEqual(outcome(output), unbroken);
  });

  it('20 kills at random instants: every run resumes, and ends the same', async () => {
    let kills = 0;
    let rounds = 0;
    const round = async (): Promise<void> => {
      const output = join(folder, `killed-${rounds++}`);
      for (let isDone = false; !isDone;) {
        const child = spawn(process.execPath, command(output), {
          stdio: ['ignore', 'ignore', 'pipe'],
        });
        let told = '';
        child.stderr.on('data', (piece: Buffer) => (told += piece.toString()));
        // Anywhere from the first import to the last file; later than the end now and then.
        const delay = kills < 20 ? Math.random() * 1.1 * wholeMs : undefined;
        const timer =
          delay === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), delay);
        const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
          child.once('close', (...how) => resolve(how)),
        );
        clearTimeout(timer);
        if (signal === 'SIGKILL') kills++;
        else assert.equal(code, 0, `after ${kills} kills: ${told}`);
        isDone = code === 0;
      }
      assert.deepEqual(outcome(output), unbroken);
    };
    const rest = async (): Promise<void> => {
      while (kills < 20) await round();
    };
    // Two at a time, each with a thread of its own.
    await Promise.all([rest(), rest()]);
  });

  it('a run of other settings, and one in use, are refused and left alone', async () => {
    const output = join(folder, 'unbroken');
    const other = spawnSync(process.execPath, command(output, ['learningRate=2e-3']), {
      encoding: 'utf8',
    });
    assert.equal(other.status, 1);
    assert.match(other.stderr, /FACELLM_RUN_INVALID/);
    assert.deepEqual(outcome(output), unbroken);
    const shared = join(folder, 'shared');
    const recipe = { ...goldenRecipe(goldenRun('train-lora')), maxSteps: 2 };
    const options = { recipe, model: BASE, data: DATASET, output: shared, device: TEST_DEVICE };
    const first = train(options);
    // From its first event on it has the folder.
    await first[Symbol.asyncIterator]().next();
    await assert.rejects(async () => train(options), { code: 'FACELLM_RUN_INVALID' });
    await first;
  });

  it('a full disk ends the run with an error, and what was saved is resumed', () => {
    const output = join(folder, 'full');
    // Node ignores SIGXFSZ, so that a write over the limit fails as one on a full disk does (EFBIG).
    const limited = spawnSync(
      'bash',
      ['-c', 'ulimit -Sf "$1"; shift; exec "$@"', '-', '300', process.execPath, ...command(output)],
      { encoding: 'utf8' },
    );
    assert.equal(limited.status, 1, limited.stderr);
    assert.match(limited.stderr, /FACELLM_RUN_WRITE/);
    assert.ok(!readdirSync(output).some((name) => /\.partial$|run\.lock/.test(name)));
    const rest = spawnSync(process.execPath, command(output), { encoding: 'utf8' });
    assert.equal(rest.status, 0, rest.stderr);
    assert.deepEqual(outcome(output), unbroken);
  });

  it('bad records: every one is named, or set aside with its reason', () => {
    const records = JSON.parse(readFileSync(DATASET, 'utf8')) as object[];
    const data = join(folder, 'mixed.json');
    const bad = { conversations: [{ from: 'human', value: 'Who?' }], images: [] };
    writeFileSync(data, JSON.stringify([bad, ...records, bad]));
    const args = (output: string): string[] =>
      command(join(folder, output), ['maxSteps=1']).map((arg) => (arg === DATASET ? data : arg));
    const images = ['--image-root', dirname(DATASET)];
    const refused = spawnSync(process.execPath, [...args('refused'), ...images], {
      encoding: 'utf8',
    });
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /FACELLM_DATA_INVALID/);
    assert.match(refused.stderr, /record 0: [^]*record 5: /);
    const skipping = [...args('skipping'), ...images, '--skip-invalid'];
    const skipped = spawnSync(process.execPath, skipping, { encoding: 'utf8' });
    assert.equal(skipped.status, 0, skipped.stderr);
    assert.match(skipped.stderr, /2 bad record\(s\) set aside/);
    const listed = readFileSync(join(folder, 'skipping', 'skipped_records.jsonl'), 'utf8');
    assert.deepEqual(
      listed
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { index: number }).index),
      [0, 5],
    );
  });

  it('a damaged checkpoint is named, not trained on', () => {
    const output = join(folder, 'damaged');
    cpSync(join(folder, 'unbroken'), output, { recursive: true });
    truncateSync(join(output, `checkpoint-${STEPS}`, 'optimizer.safetensors'), 1000);
    const run = spawnSync(process.execPath, command(output), { encoding: 'utf8' });
    assert.equal(run.status, 1);
    assert.match(run.stderr, /FACELLM_CHECKPOINT_INVALID/);
    assert.match(run.stderr, /optimizer\.safetensors/);
    rmSync(join(output, `checkpoint-${STEPS}`), { recursive: true });
    const rest = spawnSync(process.execPath, command(output), { encoding: 'utf8' });
    assert.equal(rest.status, 0, rest.stderr);
    assert.deepEqual(outcome(output), unbroken);
  });
});

describe('train()', function () {
  this.timeout(120_000);
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-train-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const golden = (): TrainingRecipe => goldenRecipe(goldenRun('train-lora'));

  it('a loss that is not finite is an error, and the checkpoint before it stays', async () => {
    const output = join(folder, 'nan');
    const recipe = { ...golden(), learningRate: 1e30, schedule: 'constant' as const, saveEvery: 1 };
    const options = { recipe, model: BASE, data: DATASET, output, device: TEST_DEVICE };
    await assert.rejects(async () => train(options), { code: 'FACELLM_LOSS_NON_FINITE' });
    const saved = readdirSync(output).filter((name) => name.startsWith('checkpoint-'));
    assert.deepEqual(saved, ['checkpoint-1']);
    const weights = readSafetensors(join(output, 'checkpoint-1', 'optimizer.safetensors'));
    assert.ok(weights.size > 0);
  });

  it('memory that runs out is a typed error, and the trainer goes on as if nothing had been', function () {
    if (TEST_DEVICE !== 'cpu') {
      skip(this, "a process's limit holds for its own memory (a GPU's: test/native/pretend_cuda)");
    }
    if (spawnSync('prlimit', ['--version']).status !== 0) {
      skip(this, 'no prlimit (util-linux) to limit a process with');
    }
    const script = join(ROOT, 'test', 'support', 'train-out-of-memory.ts');
    const tsx = `--import=${join(ROOT, 'test', 'support', 'tsx.mjs')}`;
    const child = spawnSync(process.execPath, [tsx, script], { encoding: 'utf8' });
    assert.equal(child.status, 0, child.stderr);
    const { code, before, after } = JSON.parse(child.stdout) as {
      readonly code: string;
      readonly before: number;
      readonly after: number;
    };
    assert.equal(code, 'FACELLM_OUT_OF_MEMORY');
    assert.equal(after, before);
  });

  it('an adapter to start from must be one of the recipe', async () => {
    const adapter = join(GOLDEN, 'train-lora', 'adapter_init');
    const start = async (recipe: TrainingRecipe) =>
      train({
        recipe,
        model: BASE,
        data: DATASET,
        output: join(folder, 'start'),
        adapter,
        device: TEST_DEVICE,
      });
    const { lora } = golden();
    assert.ok(lora !== null);
    await assert.rejects(
      start({ ...golden(), lora: { ...lora, rank: 8 } }),
      (error: FaceLlmError) => {
        assert.equal(error.code, 'FACELLM_ADAPTER_INVALID');
        assert.match(
          error.details[0] ?? '',
          /layers\.0\.self_attn\.q_proj: rank 16, the recipe has 8/,
        );
        return true;
      },
    );
    await assert.rejects(start(nano()), { code: 'FACELLM_INVALID_ARGUMENT' });
  });

  it('events tell the run from its start to its end, to any number of readers', async () => {
    const output = join(folder, 'events');
    const run = train({
      recipe: golden(),
      model: BASE,
      data: DATASET,
      output,
      device: TEST_DEVICE,
    });
    const read = async (): Promise<TrainingEvent[]> => {
      const events: TrainingEvent[] = [];
      for await (const event of run) events.push(event);
      return events;
    };
    const [first, second] = await Promise.all([read(), read()]);
    assert.deepEqual(first, second);
    const types = [...new Set(first.map(({ type }) => type))];
    assert.deepEqual(types, ['prepare', 'load', 'start', 'step', 'checkpoint', 'card', 'done']);
    const start = first.find((event) => event.type === 'start');
    assert.equal(start?.samples, 4);
    assert.equal(start.totalSteps, 6);
    assert.ok(start.trainableParameters > 0);
  });

  it('an AbortSignal ends at once, without saving', async () => {
    const output = join(folder, 'aborted');
    const controller = new AbortController();
    const run = train({
      ...{ recipe: golden(), model: BASE, data: DATASET, output, device: TEST_DEVICE },
      signal: controller.signal,
    });
    const reason = new Error('enough');
    const reading = (async () => {
      for await (const event of run) if (event.type === 'step') controller.abort(reason);
    })();
    await assert.rejects(
      async () => run,
      (error) => error === reason,
    );
    await assert.rejects(reading);
    assert.ok(!readdirSync(output).some((name) => /^checkpoint-|run\.lock/.test(name)));
  });

  it('a whole model is written in the HF layout, whatever the layout of its base', async () => {
    const original = join(folder, 'original');
    await exportModel({ model: BASE, output: original, layout: 'original' });
    const recipe: TrainingRecipe = {
      ...{ ...golden(), lora: null, parts: ['text', 'head'] },
      ...{ learningRate: 0, maxSteps: 1 },
    };
    const asked = async (model: string): Promise<number[]> => {
      await using loaded = await FaceLlm.load(model, { dtype: 'fp32', device: TEST_DEVICE });
      assert.equal(loaded.config.layout, 'hf');
      const question = { question: 'Smiling?', choices: ['Yes', 'No'], template: 'hub' } as const;
      return (await loaded.choose(question)).choices.map(({ logProb }) => logProb);
    };
    const output = join(folder, 'whole');
    await train({ recipe, model: original, data: DATASET, output, device: TEST_DEVICE });
    // At a learning rate of zero the weights are the base's, in fp32.
    assert.deepEqual(await asked(output), await asked(BASE));
    const names = readSafetensors(join(output, 'model.safetensors')).keys();
    assert.deepEqual(
      [...names].sort(),
      [...readSafetensors(join(BASE, 'model.safetensors')).keys()].sort(),
    );
  });

  it('random weights follow from the seed, learn, and are loaded as any checkpoint', async () => {
    const options = (seed: number, output: string) => ({
      recipe: {
        ...nano(),
        ...{
          seed,
          maxSteps: 30,
          batchSize: 4,
          learningRate: 3e-3,
          cutoffLength: 512,
          warmupRatio: 0,
        },
        limitsImageArea: false,
      },
      ...{ model: BASE, data: DATASET, output: join(folder, output), device: TEST_DEVICE },
    });
    const losses = async (seed: number, output: string): Promise<number[]> => {
      const own: number[] = [];
      for await (const event of train(options(seed, output))) {
        if (event.type === 'step') own.push(event.loss);
      }
      return own;
    };
    const first = await losses(1, 'random-1');
    assert.deepEqual(await losses(1, 'random-1b'), first);
    const other = await losses(2, 'random-2');
    assert.notEqual(other[0], first[0]);
    assert.ok((first.at(-1) ?? NaN) < 0.5 * (first[0] ?? 0), first.join(' '));
    const tensors = readSafetensors(join(folder, 'random-1', 'model.safetensors'));
    const stored = readSafetensors(join(BASE, 'model.safetensors'));
    assert.deepEqual([...tensors.keys()].sort(), [...stored.keys()].sort());
  });
});
