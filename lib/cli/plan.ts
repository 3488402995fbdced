/** `facellm plan PHOTO... --model DIR`: tiles, tokens and memory, without loading weights. */
import { loadAddon } from '../binding/load.js';
import { readCheckpointConfig, resolveCheckpoint } from '../checkpoint/index.js';
import type { Sampling } from '../generation/index.js';
import { planWith } from '../model/plan.js';
import { readServingSettings, resolvePromptOptions } from '../model/serving-settings.js';
import { fetchModels } from './download-reporter.js';
import type { OutputFlags, PromptFlags } from './options.js';
import { promptOptions } from './options.js';
import { type Console, formatBytes, table } from './output.js';

export interface PlanFlags extends PromptFlags, OutputFlags {
  readonly model: string;
  readonly subfolder?: string;
  readonly download?: boolean;
  readonly dtype?: 'fp32' | 'bf16';
}

export async function runPlan(
  photos: readonly string[],
  flags: PlanFlags,
  streams: Console,
): Promise<void> {
  const { subfolder } = flags;
  await fetchModels(flags.model, [], flags, streams.stderr);
  const directory = await resolveCheckpoint(
    flags.model,
    subfolder === undefined ? {} : { subfolder },
  );
  const config = await readCheckpointConfig(directory);
  const dtype = flags.dtype ?? (config.dtype === 'bf16' ? 'bf16' : 'fp32');
  const recorded = await readServingSettings(directory, 'FACELLM_CONFIG_INVALID');
  const options = resolvePromptOptions(promptOptions(flags), recorded, config.layout);
  const plan = await planWith(loadAddon(), config, dtype, photos, options);
  if (flags.json) {
    streams.stdout.write(`${JSON.stringify(plan)}\n`);
    return;
  }
  const rows = plan.images.map((image, i) => [
    photos[i] ?? '',
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
      `memory beside the weights: ${formatBytes(kvCacheBytes)} keys and values, ` +
      `${formatBytes(featureBytes)} image vectors, ${formatBytes(visionActivationBytes)} while encoding\n` +
      `answers: ${describeSampling(plan.sampling)}\n`,
  );
}

function describeSampling(sampling: Omit<Sampling, 'seed'>): string {
  const { doSample, temperature, topK, topP, minP, repetitionPenalty, maxNewTokens } = sampling;
  const filters = [
    `temperature ${temperature}`,
    ...(topK > 0 ? [`top-k ${topK}`] : []),
    ...(topP < 1 ? [`top-p ${topP}`] : []),
    ...(minP > 0 ? [`min-p ${minP}`] : []),
  ];
  const parts = [
    doSample ? `drawn (${filters.join(', ')})` : 'greedy',
    ...(repetitionPenalty === 1 ? [] : [`repetition penalty ${repetitionPenalty}`]),
    `at most ${maxNewTokens} tokens`,
  ];
  return parts.join(', ');
}
