/**
 * The inference rows of the GPU proof, most wanted first; started by scripts/gpu-proof with an {@link AnswersJob} as JSON. Each
 * row is printed when it is there, so that a process that is ended leaves those before.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { loadAddon } from '../../lib/binding/load.js';
import type { NativeModel } from '../../lib/binding/native.js';
import { type CheckpointConfig, readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { decodeImage, planTiles } from '../../lib/image/index.js';
import { resolveWeights, type WeightForm } from '../../lib/model/index.js';
import { GREEDY } from '../../test/support/generate.js';
import { HfBaseline, type Request } from '../baselines/hf.js';
import { decodeWork, prefillWork, visionWork } from './counts.js';
import { measureRow, printRow, type RowPlan } from './row.js';

export interface AnswersJob {
  /** Before each row's name. */
  readonly title: string;
  readonly directory: string;
  readonly device: string;
  readonly threads: number;
  /** Python with transformers; '': none. */
  readonly python: string;
  readonly baselineDevice: string;
  /** Tokens of an answer, and how many at once, most wanted first. */
  readonly steps: number;
  readonly batches: readonly [number, number, number];
  readonly secondsARow: number;
  /** Decode alone, in these forms instead of the stored one. */
  readonly forms?: readonly WeightForm[];
}

const PHOTO = join(import.meta.dirname, '..', '..', 'examples', 'photo.jpg');
/** Five blocks of the cache and a token: rows whose prompts are known begin to answer in one step. */
const PROMPT = 321;
/** Words of a question beside its picture. */
const QUESTION = 60;

const randomIds = (count: number): Int32Array =>
  Int32Array.from({ length: count }, () => 100 + Math.floor(Math.random() * 900));

async function load(
  job: AnswersJob,
  config: CheckpointConfig,
  form: WeightForm,
): Promise<NativeModel> {
  await loadAddon().setThreads(job.threads).promise;
  return loadAddon().loadModel(
    {
      ...{ config: config.model, preprocessing: config.preprocessing, weightMap: [] },
      ...{ files: [join(job.directory, 'model.safetensors')], device: job.device, dtype: 'bf16' },
      weights: resolveWeights(form, config.model.text),
      ...{ mmap: true, imageCacheBytes: 0, prefixCacheBytes: 2 ** 32 },
      ...{ kvBytes: 2 ** 33, maxRows: 256, maxContext: 8192, deterministic: false },
    },
    () => {},
  ).promise;
}

/** A question of 60 words about the photograph, and one token of an answer. The file is decoded before the clock starts, as the baseline's. */
async function askPhoto(model: NativeModel, config: CheckpointConfig, maxTiles: number) {
  const addon = loadAddon();
  const image = await decodeImage(await readFile(PHOTO));
  const start = performance.now();
  const { tileSize } = config;
  const tiling = { tileSize, minTiles: 1, maxTiles, useThumbnail: true };
  const plan = planTiles(addon, image.width, image.height, tiling);
  const tiles = plan.columns * plan.rows + (plan.hasThumbnail ? 1 : 0);
  const { imageTokenId, imageSeqLength } = config.model;
  const ids = randomIds(QUESTION + tiles * imageSeqLength).fill(
    imageTokenId,
    0,
    tiles * imageSeqLength,
  );
  const images = [{ ...image, ...plan }];
  const { timings } = await model.generate({
    ...{ prompt: { ids, images }, adapters: [], sampling: GREEDY, rows: 1, firstRow: 0 },
    ...{ maxNewTokens: 1, eosIds: [], usesPrefixCache: false, isMasked: false },
  }).promise;
  return { ms: performance.now() - start, tiles, timings };
}

function decodeRow(
  model: NativeModel,
  config: CheckpointConfig,
  rows: number,
  steps: number,
  isStored = true,
): RowPlan {
  const prompts = Array.from({ length: rows }, () => randomIds(PROMPT));
  return {
    name: `decode, B = ${rows} at ${PROMPT}`,
    ...(isStored && { work: decodeWork(config.model, rows, PROMPT + steps / 2) }),
    gives: { count: rows, unit: 'tokens' },
    run: async () => {
      const decode = async (tokens: number): Promise<number> => {
        const answers = await Promise.all(
          prompts.map(
            (ids) =>
              model.generate({
                prompt: { ids, images: [] },
                ...{ adapters: [], sampling: GREEDY, rows: 1, firstRow: 0 },
                ...{ maxNewTokens: tokens + 1, eosIds: [], usesPrefixCache: true, isMasked: false },
              }).promise,
          ),
        );
        return Math.max(...answers.map(({ timings }) => timings.decode));
      };
      // Less what it takes until all have begun.
      const few = Math.max(1, steps / 4);
      return ((await decode(steps + few)) - (await decode(few))) / steps;
    },
  };
}

async function rowsOf(
  model: NativeModel,
  config: CheckpointConfig,
  { steps, batches }: AnswersJob,
): Promise<readonly (readonly [RowPlan, Request])[]> {
  const decode = (rows: number): readonly [RowPlan, Request] => [
    decodeRow(model, config, rows, steps),
    { kind: 'decode', context: PROMPT, steps, rows },
  ];
  const vision = async (maxTiles: number): Promise<readonly [RowPlan, Request]> => {
    const { tiles } = await askPhoto(model, config, maxTiles);
    const plan = {
      name: `ViT, ${tiles} tile(s)`,
      work: visionWork(config.model, tiles),
      gives: { count: tiles, unit: 'tiles' },
      run: async () => (await askPhoto(model, config, maxTiles)).timings.vision,
    };
    return [plan, { kind: 'vision', tiles }];
  };
  const firstToken = async (maxTiles: number): Promise<readonly [RowPlan, Request]> => {
    const { tiles } = await askPhoto(model, config, maxTiles);
    const tokens = QUESTION + tiles * config.model.imageSeqLength;
    const [image, text] = [visionWork(config.model, tiles), prefillWork(config.model, tokens)];
    const plan = {
      name: `first token of a picture, ${tiles} tile(s)`,
      work: { flop: image.flop + text.flop, bytes: image.bytes + text.bytes },
      run: async () => (await askPhoto(model, config, maxTiles)).ms,
    };
    return [plan, { kind: 'first-token', tiles, tokens }];
  };
  return [
    ...batches.map(decode),
    await vision(1),
    await firstToken(1),
    await vision(12),
    await firstToken(12),
  ];
}

const job = JSON.parse(process.argv[2] ?? '{}') as AnswersJob;
const config = await readCheckpointConfig(job.directory);

async function opened(form: WeightForm): Promise<NativeModel> {
  const model = await load(job, config, form);
  const { loadMs, parameterBytes } = model.info();
  printRow({
    name: `${job.title}${form === 'stored' ? '' : `, ${form}`}: load, ${(parameterBytes / 1e9).toFixed(2)} GB`,
    ms: loadMs,
    runs: 1,
    perSecond: { count: parameterBytes / 1e6 / loadMs, unit: 'GB' },
  });
  return model;
}

for (const form of job.forms ?? []) {
  const model = await opened(form);
  for (const rows of job.batches) {
    const plan = decodeRow(model, config, rows, job.steps, false);
    const row = { ...plan, name: `${job.title}, ${form}: ${plan.name}` };
    printRow(await measureRow(row, job.secondsARow));
  }
  await model.dispose().promise;
}
if (job.forms === undefined) {
  const model = await opened('stored');
  const baseline =
    job.python === ''
      ? undefined
      : await HfBaseline.start(job.python, job.directory, 'bf16', job.threads, job.baselineDevice);
  for (const [plan, request] of await rowsOf(model, config, job)) {
    const scale = request.kind === 'decode' ? job.steps : 1;
    const theirs = async (): Promise<number> =>
      ((await baseline?.run({ name: plan.name, run: plan.run, baseline: request })) ?? NaN) / scale;
    const row = { ...plan, name: `${job.title}: ${plan.name}` };
    printRow(await measureRow({ ...row, baseline: baseline && theirs }, job.secondsARow));
  }
  baseline?.stop();
  await model.dispose().promise;
}
