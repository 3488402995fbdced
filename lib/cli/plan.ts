/** `facellm plan PHOTO... --model DIR`, or `--recipe NAME`: tiles, tokens and memory, without loading weights. */
import { loadAddon } from '../binding/load.js';
import { readCheckpointConfig, resolveCheckpoint } from '../checkpoint/index.js';
import { InvalidArgumentError } from '../errors.js';
import type { Sampling } from '../generation/index.js';
import { KnownFaces } from '../faces/index.js';
import { planCheckpoint } from '../model/checkpoint-memory.js';
import { loadOptions } from '../model/load.js';
import { type Plan, planWith } from '../model/plan.js';
import { embedOptions } from '../model/requests.js';
import { readServingSettings, resolvePromptOptions } from '../model/serving-settings.js';
import {
  overrideRecipe,
  planTraining,
  recipeNamed,
  type TrainingPlan,
  type TrainingRecipe,
} from '../training/index.js';
import { fetchModels } from './download-reporter.js';
import { checkArguments } from '../options/index.js';
import { memoryLines } from './memory.js';
import { type AskedFaceFlags, pictureOptions } from './face-options.js';
import type { ModelFlags, OutputFlags, PromptFlags } from './options.js';
import { loadOptionsOf } from './options.js';
import { type Console, formatBytes, table } from './output.js';

export interface PlanFlags extends ModelFlags, PromptFlags, AskedFaceFlags, OutputFlags {
  readonly recipe?: string;
  readonly set?: readonly string[];
  readonly sampleTokens?: number;
  readonly answerTokens?: number;
}

export async function runPlan(
  photos: readonly string[],
  flags: PlanFlags,
  streams: Console,
): Promise<void> {
  const { subfolder } = flags;
  refuseMixture(photos, flags);
  if (flags.recipe !== undefined) return planRun(flags.recipe, flags, streams);
  if (photos.length === 0) {
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      'expected pictures, or --recipe for the memory of a training run',
    );
  }
  const asked = pictureOptions(flags);
  const [checked] = checkArguments(
    'the flags are wrong',
    [loadOptions, loadOptionsOf(flags)],
    [embedOptions, asked],
  );
  await fetchModels(flags.model, [], flags, streams.stderr);
  const directory = await resolveCheckpoint(
    flags.model,
    subfolder === undefined ? {} : { subfolder },
  );
  const config = await readCheckpointConfig(directory);
  const addon = loadAddon();
  const memory = await planCheckpoint(addon, directory, config, checked);
  const recorded = await readServingSettings(directory, 'FACELLM_CONFIG_INVALID');
  const options = resolvePromptOptions(asked, recorded, config.layout);
  const plan = await planWith(addon, config, memory, photos, new KnownFaces(), options);
  if (flags.json) {
    streams.stdout.write(`${JSON.stringify(plan)}\n`);
    return;
  }
  const names = photos.flatMap((photo, i) => {
    const { used = [] } = plan.faces?.[i] ?? {};
    return used.length === 0 ? [photo] : used.map((face) => `${photo} face ${face}`);
  });
  const rows = plan.images.map((image, i) => [
    names[i] ?? '',
    `${image.width} x ${image.height}`,
    `${image.columns} x ${image.rows}${image.hasThumbnail ? ' + thumbnail' : ''}`,
    String(image.tiles),
    String(image.promptTokens),
  ]);
  const { kvCacheBytes, featureBytes, visionActivationBytes } = plan.memory;
  const share = (100 * plan.positionShare).toFixed(1);
  streams.stdout.write(
    `${table([['picture', 'pixels', 'grid', 'tiles', 'tokens'], ...rows])}\n` +
      `${plan.promptTokens} tokens, ${share} % of the position limit; tiles of ${plan.tileSize} pixels\n` +
      `memory of the pictures: ${formatBytes(kvCacheBytes)} keys and values, ` +
      `${formatBytes(featureBytes)} image vectors, ${formatBytes(visionActivationBytes)} while encoding\n` +
      `memory of the model on ${memoryLines(plan.engine).join('\n  ')}\n` +
      `${describeRoom(plan)}\n` +
      `answers: ${describeSampling(plan.sampling)}\n`,
  );
}

/** A run's memory or pictures': what belongs to the other is not left unread. */
function refuseMixture(photos: readonly string[], flags: PlanFlags): void {
  const { recipe, set, sampleTokens, answerTokens } = flags;
  const details =
    recipe === undefined
      ? [
          ...(set === undefined ? [] : ['--set: only with --recipe']),
          ...(sampleTokens === undefined ? [] : ['--sample-tokens: only with --recipe']),
          ...(answerTokens === undefined ? [] : ['--answer-tokens: only with --recipe']),
        ]
      : photos.map((photo) => `${photo}: pictures are not planned with --recipe`);
  if (details.length === 0) return;
  throw new InvalidArgumentError(
    'FACELLM_INVALID_ARGUMENT',
    'plan is of pictures, or of a training run with --recipe, not of both',
    { details },
  );
}

/** What training with a recipe takes, of a checkpoint of which no more than the configuration need be there. */
async function planRun(recipe: string, flags: PlanFlags, streams: Console): Promise<void> {
  const { model, subfolder, set = [], sampleTokens, answerTokens } = flags;
  const directory = await resolveCheckpoint(model, subfolder === undefined ? {} : { subfolder });
  const config = await readCheckpointConfig(directory);
  const chosen = overrideRecipe(recipeNamed(recipe), set);
  const plan = planTraining(config.model, chosen, { sampleTokens, answerTokens });
  if (flags.json) {
    streams.stdout.write(`${JSON.stringify(plan)}\n`);
    return;
  }
  streams.stdout.write(
    `memory of training with ${chosen.name}\n${table(planRows(chosen, plan).map(([what, bytes]) => [what, formatBytes(bytes)]))}\n`,
  );
}

function planRows(recipe: TrainingRecipe, plan: TrainingPlan): [what: string, bytes: number][] {
  const { base, dtype, batchSize } = recipe;
  const { trainedParameters, scratchBytes, updateBytes, featureCacheBytes } = plan;
  const some = (what: string, bytes: number): [string, number][] =>
    bytes === 0 ? [] : [[what, bytes]];
  const shared = recipe.shardsWeights ? ', which several processes divide among them' : '';
  return [
    [`text layers, ${base === 'stored' ? dtype : base}${shared}`, plan.textWeightBytes],
    [`other weights, ${dtype}`, plan.otherWeightBytes],
    [`${trainedParameters.toLocaleString('en-US')} parameters that learn`, plan.trainedBytes],
    ['their gradients', plan.gradientBytes],
    [`kept for the backward pass (${batchSize} samples)`, plan.activationBytes],
    ...some('scratch of a weight', scratchBytes),
    ['one at a time: new pictures', plan.imageBytes],
    ['  a layer in the backward pass', plan.layerBytes],
    ['  a chunk of the loss', plan.lossBytes],
    ...some('  gradients in fp32', updateBytes),
    ['what allocators keep of them', plan.allocatorBytes],
    ['in all, without what a GPU takes for itself', plan.totalBytes],
    ['and the process itself, in the memory of the host', plan.processBytes],
    ...some('and at most for vectors of pictures (featureCacheMegabytes)', featureCacheBytes),
  ];
}

function describeRoom({ requestsAtOnce, promptTokens, engine }: Plan): string {
  return requestsAtOnce > 0
    ? `room for ${requestsAtOnce} questions about the pictures at a time`
    : `the pictures do not fit: ${promptTokens} tokens of ${engine.maxContext}; use fewer tiles or pictures, or a larger --max-context`;
}

function describeSampling(sampling: Omit<Sampling, 'seed'>): string {
  const { doSample, temperature, topK, topP, minP, repetitionPenalty } = sampling;
  const { minTokens, maxNewTokens } = sampling;
  const filters = [
    `temperature ${temperature}`,
    ...(topK > 0 ? [`top-k ${topK}`] : []),
    ...(topP < 1 ? [`top-p ${topP}`] : []),
    ...(minP > 0 ? [`min-p ${minP}`] : []),
  ];
  const parts = [
    doSample ? `drawn (${filters.join(', ')})` : 'greedy',
    ...(repetitionPenalty === 1 ? [] : [`repetition penalty ${repetitionPenalty}`]),
    ...(minTokens > 0 ? [`at least ${minTokens} tokens`] : []),
    `at most ${maxNewTokens} tokens`,
  ];
  return parts.join(', ');
}
