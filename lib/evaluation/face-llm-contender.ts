/** A checkpoint, with or without an adapter, as a model under test. */
import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { readCheckpointConfig, resolveCheckpoint } from '../checkpoint/index.js';
import type { ChatMessage } from '../chat/index.js';
import { createError } from '../errors.js';
import { sha256, sha256OfFile } from '../files/index.js';
import {
  FaceLlm,
  type LoadOptions,
  type PromptOptions,
  readServingSettings,
} from '../model/index.js';
import type { RecordOwner } from './asked-form.js';
import type { Contender, ModelUnderTest, Question, ScoredModel } from './model-under-test.js';
import type { EvaluationEvent } from './run/events.js';

/** A model that takes part, by what the caller named. */
export interface NamedModel {
  readonly name: string;
  /** Checkpoint folder, or a hub id in the local cache. */
  readonly model: string;
  readonly subfolder?: string | undefined;
  /** PEFT folders, or hub ids in the local cache, whose effects add up. */
  readonly adapter?: readonly string[] | undefined;
  /** In place of the run's own. */
  readonly load?: Pick<LoadOptions, 'dtype' | 'weights'> | undefined;
}

export interface LocatedModel extends RecordOwner {
  readonly model: string;
  readonly directory: string;
  readonly adapters: readonly string[];
  readonly load?: NamedModel['load'];
}

export interface FaceLlmContenderOptions {
  readonly load: LoadOptions;
  readonly prompt: PromptOptions;
  readonly maxNewTokens: number;
  readonly seed: number;
  /** Hashes of folders known so far: the base of an adapter is hashed once. */
  readonly hashes: Map<string, string>;
  /** In place of `choose` by the question alone. */
  readonly choose?:
    ((model: FaceLlm, prompt: PromptOptions) => ModelUnderTest['choose']) | undefined;
  readonly signal: AbortSignal;
  readonly emit: (event: EvaluationEvent) => void;
}

/** Keys and values of a batch of questions with a few pictures each, so that both readings share them. */
const PREFIX_CACHE_BYTES = 2 ** 30;

/**
 * Finds the checkpoint and its adapters, and reads how they were trained.
 *
 * @throws CheckpointError
 */
export async function locateModel(named: NamedModel): Promise<LocatedModel> {
  const { name, model, subfolder, adapter = [], load } = named;
  const directory = await resolveCheckpoint(model, subfolder === undefined ? {} : { subfolder });
  const adapters = await Promise.all(adapter.map((folder) => resolveCheckpoint(folder)));
  const { layout } = await readCheckpointConfig(directory);
  const records = await Promise.all([
    readServingSettings(directory, 'FACELLM_CONFIG_INVALID'),
    ...adapters.map((folder) => readServingSettings(folder, 'FACELLM_ADAPTER_INVALID')),
  ]);
  const recorded = records.findLast((one) => one !== undefined);
  return { name, model, directory, adapters, recorded, layout, load };
}

/**
 * Hashes the model's files, about a second a gigabyte; loads nothing yet.
 *
 * @throws CheckpointError; the signal's reason
 */
export async function faceLlmContender(
  { name, model, directory, adapters, load: own }: LocatedModel,
  options: FaceLlmContenderOptions,
): Promise<Contender<ScoredModel>> {
  const { emit, signal } = options;
  const load = { ...options.load, ...own };
  const hashes: string[] = [];
  for (const folder of [directory, ...adapters]) {
    const hash = options.hashes.get(folder) ?? (await hashFolder(folder, name, options));
    options.hashes.set(folder, hash);
    hashes.push(hash);
  }
  const [ofModel = '', ...ofAdapters] = hashes;
  return {
    name,
    origin: { model, directory: resolve(directory), adapters: adapters.map((one) => resolve(one)) },
    identity: {
      ...{ model: ofModel, adapters: ofAdapters },
      ...(own !== undefined && { load: JSON.stringify(own) }),
    },
    open: async (opening) => {
      const loading: LoadOptions = {
        prefixCacheBytes: PREFIX_CACHE_BYTES,
        ...load,
        adapter: adapters,
        onWarning: ({ message, remedy, differences: details }) =>
          emit({ type: 'warning', model: name, message: `${message} (${remedy})`, details }),
        signal: AbortSignal.any([signal, opening]),
        onProgress: (progress) => emit({ type: 'load', model: name, ...progress }),
      };
      // So that neither an interruption nor other processes change an answer; a GPU has no such mode, nor has every CPU.
      const { deterministic } = load;
      const loaded = await FaceLlm.load(directory, {
        ...loading,
        deterministic: deterministic ?? true,
      }).catch((error: unknown) => {
        const { code } = error as { readonly code?: unknown };
        if (deterministic !== undefined || code !== 'FACELLM_NOT_DETERMINISTIC') throw error;
        return FaceLlm.load(directory, loading);
      });
      return underTest(loaded, options);
    },
  };
}

function underTest(
  model: FaceLlm,
  { prompt, maxNewTokens, seed, choose }: FaceLlmContenderOptions,
): ScoredModel {
  const { device, dtype } = model.info;
  // Pictures before all text, as the authors' wrapper puts them.
  const messages = ({ images, prompt: text }: Question): [ChatMessage] => {
    const pictures = images.map((image) => ({ type: 'image' as const, image }));
    return [{ role: 'user', content: [...pictures, { type: 'text' as const, text }] }];
  };
  return {
    ...{ device, dtype, isDeterministic: model.deterministic },
    answer: async (question, signal) => {
      // Greedy, whatever a checkpoint's file says: one model has one score.
      const options = { ...prompt, maxNewTokens, doSample: false, seed, signal };
      const answer = await model.chat(messages(question), options).result();
      return { ...answer, text: answer.text.trim(), generatedTokens: answer.tokenIds.length };
    },
    answerLogits: async (question, tokenIds, signal) => {
      const { data } = await model.answerLogits(messages(question), tokenIds, {
        ...prompt,
        signal,
      });
      return data;
    },
    choose:
      choose?.(model, prompt) ??
      (async ({ images, prompt: question, choices }, signal) => {
        const result = await model.choose({ image: images, question, choices, ...prompt, signal });
        return { ...result, probabilities: result.choices.map(({ probability }) => probability) };
      }),
    [Symbol.asyncDispose]: () => model.dispose(),
  };
}

/** What decides answers: weights, and the files that say how to use them. */
const HASHED = /\.(safetensors|json|jinja|txt|model)$/;

/** sha256 over the names and contents of a model's files. */
export async function hashFolder(
  directory: string,
  name: string,
  { emit, signal }: Pick<FaceLlmContenderOptions, 'emit' | 'signal'>,
): Promise<string> {
  const names = (await readdir(directory)).filter((file) => HASHED.test(file)).sort();
  const sizes = await Promise.all(
    names.map(async (file) => (await stat(join(directory, file))).size),
  );
  const bytesTotal = sizes.reduce((sum, size) => sum + size, 0);
  let bytesDone = 0;
  const onBytes = (count: number): void => {
    bytesDone += count;
    emit({ type: 'hash', model: name, bytesDone, bytesTotal });
  };
  const lines: string[] = [];
  for (const file of names) {
    const path = join(directory, file);
    const failure = (cause: unknown): Error =>
      createError('FACELLM_CHECKPOINT_NOT_FOUND', `${path} cannot be read; check its permissions`, {
        cause,
      });
    lines.push(`${file} ${await sha256OfFile(path, failure, { signal, onBytes })}\n`);
  }
  return sha256(lines.join(''));
}
