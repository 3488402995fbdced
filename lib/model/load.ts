/** Everything that loading a model takes, from a name to weights in memory. */
import type { z } from 'zod';

import { loadAddon } from '../binding/load.js';
import type { NativeAddon, NativeModel, NativeWeightForms } from '../binding/native.js';
import {
  type CheckpointConfig,
  type CheckpointFiles,
  readCheckpointConfig,
  readCheckpointFiles,
  resolveCheckpoint,
} from '../checkpoint/index.js';
import { type DownloadEvent, downloadMissing } from '../download/index.js';
import { fromNative } from '../errors.js';
import { KnownFaces } from '../faces/index.js';
import { type GrammarThread, grammarThread, PixelDesk, TokenRouter } from '../generation/index.js';
import { KnownImages } from '../image/index.js';
import {
  abortSignal,
  callback,
  deviceName,
  fields,
  flag,
  kindOf,
  list,
  name,
  type Shape,
  whole,
  word,
} from '../options/index.js';
import { TokenizerThread } from '../tokenizer/index.js';
import { deviceMemory } from './device-memory.js';
import { checkpointIdentity, modelIdentity, weightsIdentity } from './fingerprint.js';
import { describeMemory, type ModelMemory, planMemory } from './memory-plan.js';
import { readServingSettings, type ServingSettings } from './serving-settings.js';
import {
  describeStored,
  keptForm,
  resolveWeights,
  type WeightForm,
  type WeightForms,
  weightForms,
} from './weight-forms.js';
import type { ModelWarning } from './warning.js';

export type Dtype = 'fp32' | 'bf16';

export interface LoadProgress {
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

export interface LoadOptions {
  /** PEFT folders, loaded and made the default stack: `setAdapter` of what `loadAdapter` gives. */
  readonly adapter?: string | readonly string[] | undefined;
  /** The library itself prints nothing. */
  readonly onWarning?: ((warning: ModelWarning) => void) | undefined;
  /** `cpu`, `cuda`, `cuda:N`. @default a usable GPU, else the CPU */
  readonly device?: string | undefined;
  /** @default bf16 for a checkpoint stored in bf16, else fp32 */
  readonly dtype?: Dtype | undefined;
  /**
   * In which form the linear layers keep their weights: `int8`, `int4`, `fp8` and `nf4` make them so while they are read, the
   * text layers' alone and a head of `int8`; parts apart: {@link WeightForms}. `dtype` stays that of everything else.
   * @default stored
   */
  readonly weights?: WeightForm | WeightForms | undefined;
  /** Folder inside the checkpoint. */
  readonly subfolder?: string | undefined;
  /** Branch, tag or commit of a hub id. @default main */
  readonly revision?: string | undefined;
  /**
   * Fetches what the local cache lacks of a hub id, the model's or an adapter's, as `download()` does. The hub is asked
   * each time; where it cannot be reached, the cache is used as it is. False: nothing is fetched.
   * @default false
   */
  readonly download?: boolean | undefined;
  readonly onDownload?: ((event: DownloadEvent) => void) | undefined;
  /** Threads of the engine, for the whole process. @default libtorch's choice, one a core */
  readonly threads?: number | undefined;
  /**
   * On the CPU the weights lie in the checkpoint's files, mapped, where they are stored in the model's dtype:
   * loading copies nothing, and processes share one copy. A file that is cut short or written to meanwhile ends
   * the requests with `FACELLM_CHECKPOINT_INVALID`; one that is replaced by renaming does not matter. False:
   * copied, and the files are free once loaded; for files that are written in place, network file systems, and
   * programs with a listener for SIGBUS.
   * @default true
   */
  readonly mmap?: boolean | undefined;
  /** Memory for vectors of pictures already seen. @default 256 MiB */
  readonly imageCacheBytes?: number | undefined;
  /** Memory for keys and values of prompts already computed. @default 512 MiB */
  readonly prefixCacheBytes?: number | undefined;
  /**
   * Memory for all keys and values, of requests under way and of prompts already computed; at least one request of
   * `maxContext` must fit. A CPU's is taken as it is needed, a GPU's at once.
   * @default what four requests of `maxContext` take, and at most 1 GiB beside `prefixCacheBytes`; always room for one
   */
  readonly kvMemory?: number | undefined;
  /** Tokens of prompt and answer together. @default the model's limit */
  readonly maxContext?: number | undefined;
  /** Answers computed at a time; more requests wait. @default 16 on a CPU, 256 on a GPU */
  readonly maxRows?: number | undefined;
  /**
   * A request's tokens, their log-probabilities and the probabilities of choices are the same, bit for bit, alone and in any
   * company, however its prompt is cut into steps, whatever the caches hold, for equal {@link FaceLlm.fingerprint}. On the
   * CPU only; tried on the model's own shapes when it is loaded, which takes a few seconds for a large one. What it
   * costs: docs/performance.md.
   * @default false
   */
  readonly deterministic?: boolean | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A loaded model's parts. */
export interface ModelParts {
  readonly addon: NativeAddon;
  readonly native: NativeModel;
  readonly tokens: TokenRouter;
  /** Of prompt and answer together, at most. */
  readonly maxContext: number;
  readonly memory: ModelMemory;
  readonly deterministic: boolean;
  /** Of everything but adapters that an answer follows from: see fingerprint.ts. */
  readonly identity: string;
  /** Of the checkpoint's files alone. */
  readonly checkpoint: string;
  /** Of its weights alone. */
  readonly weightsHash: string;
  readonly directory: string;
  readonly config: CheckpointConfig;
  readonly tokenizer: TokenizerThread;
  /** For schemas with patterns, recursion and the like; started with the first of them. */
  readonly grammars: GrammarThread;
  readonly pixels: PixelDesk;
  readonly images: KnownImages;
  readonly faces: KnownFaces;
  /** How the checkpoint itself was trained, if that is recorded. */
  readonly settings: ServingSettings | undefined;
}

export const dtypeName: z.ZodType<Dtype> = word('fp32', 'bf16');
const folder = name('a folder, or a hub id in the local cache');
const folders = list(folder, 'a list of folders');
const bytes = whole(0, Number.MAX_SAFE_INTEGER, ' (bytes)');

/** Of what a loaded model may use at once. */
export const limitShape: Shape<Pick<LoadOptions, 'kvMemory' | 'maxContext' | 'maxRows'>> = {
  kvMemory: bytes.optional(),
  maxContext: whole(2).optional(),
  maxRows: whole(1, 4096).optional(),
};

export const loadOptions: z.ZodType<LoadOptions> = fields<LoadOptions>({
  adapter: kindOf<string | readonly string[]>((value) =>
    Array.isArray(value) ? folders : folder,
  ).optional(),
  onWarning: callback<(warning: ModelWarning) => void>().optional(),
  device: deviceName.optional(),
  dtype: dtypeName.optional(),
  weights: weightForms.optional(),
  subfolder: name('a folder inside the checkpoint').optional(),
  revision: name('a branch, tag or commit').optional(),
  download: flag.optional(),
  onDownload: callback<(event: DownloadEvent) => void>().optional(),
  threads: whole(1, 4096).optional(),
  mmap: flag.optional(),
  imageCacheBytes: bytes.optional(),
  prefixCacheBytes: bytes.optional(),
  ...limitShape,
  deterministic: flag.optional(),
  onProgress: callback<(progress: LoadProgress) => void>().optional(),
  signal: abortSignal.optional(),
});

export async function loadParts(model: string, options: LoadOptions): Promise<ModelParts> {
  options.signal?.throwIfAborted();
  const addon = loadAddon();
  const { subfolder, revision } = options;
  if (options.download === true) {
    const { signal, onDownload: onEvent, adapter = [] } = options;
    await downloadMissing(model, { revision, subfolder, signal, onEvent });
    for (const one of [adapter].flat()) await downloadMissing(one, { signal, onEvent });
  }
  const directory = await resolveCheckpoint(model, {
    ...(subfolder === undefined ? {} : { subfolder }),
    ...(revision === undefined ? {} : { revision }),
  });
  // Its thread works while the weights are read.
  const tokenizer = TokenizerThread.load(directory);
  try {
    const [files, config, settings] = await Promise.all([
      readCheckpointFiles(directory),
      readCheckpointConfig(directory),
      readServingSettings(directory, 'FACELLM_CONFIG_INVALID'),
    ]);
    const weightsHash = weightsIdentity(files);
    const checkpoint = checkpointIdentity(files, weightsHash);
    // Of damaged weights the engine says what is wrong.
    for (const identity of [weightsHash, checkpoint]) identity.catch(() => undefined);
    const { native, memory } = await loadNative(addon, config, files, tokenizer, options);
    const { deterministic = false } = options;
    const runtime = await addon.runtimeInfo().promise;
    const identity = modelIdentity(await checkpoint, native.info(), runtime, deterministic);
    return {
      ...{ deterministic, identity, checkpoint: await checkpoint, weightsHash: await weightsHash },
      ...{ addon, native, directory, config, settings, memory, maxContext: memory.maxContext },
      tokens: new TokenRouter(native),
      pixels: new PixelDesk(native),
      images: new KnownImages(addon),
      faces: new KnownFaces(),
      tokenizer: await tokenizer,
      grammars: grammarThread(
        await tokenizer,
        config.model.text.vocabSize,
        config.generation.eosTokenIds,
      ),
    };
  } catch (error) {
    void tokenizer.then(
      (started) => started.dispose(),
      () => undefined,
    );
    options.signal?.throwIfAborted();
    throw fromNative(error);
  }
}

/** Reads the weights. A tokenizer that cannot be read ends this too. */
async function loadNative(
  addon: NativeAddon,
  config: CheckpointConfig,
  files: CheckpointFiles,
  tokenizer: Promise<unknown>,
  options: LoadOptions,
): Promise<{ readonly native: NativeModel; readonly memory: ModelMemory }> {
  if (options.threads !== undefined) await addon.setThreads(options.threads).promise;
  const device = options.device ?? (await defaultDevice(addon));
  options.signal?.throwIfAborted();
  const dtype = options.dtype ?? defaultDtype(config);
  const { text } = config.model;
  const deviceBytes = deviceMemory(device, await addon.runtimeInfo().promise);
  const plan = planMemory(text, dtype, device, options, deviceBytes);
  const job = addon.loadModel(
    {
      config: config.model,
      preprocessing: config.preprocessing,
      files: files.dataFiles,
      weightMap: files.weightMap,
      device,
      dtype,
      weights: weightsOf(config, options.weights),
      mmap: options.mmap ?? true,
      deterministic: options.deterministic ?? false,
      ...plan,
    },
    (bytesDone, bytesTotal) => options.onProgress?.({ bytesDone, bytesTotal }),
  );
  const cancel = (): void => job.cancel();
  options.signal?.addEventListener('abort', cancel, { once: true });
  tokenizer.catch(cancel);
  try {
    const [model] = await Promise.allSettled([job.promise, tokenizer]);
    await tokenizer.catch(async (error: unknown) => {
      if (model.status === 'fulfilled') await model.value.dispose().promise;
      throw error;
    });
    if (model.status === 'rejected') throw model.reason;
    const { parameterBytes, device: opened } = model.value.info();
    const memory = {
      ...describeMemory(text, { dtype, device: opened }, plan, parameterBytes),
      ...storedWeights(config, options.weights),
    };
    return { native: model.value, memory };
  } finally {
    options.signal?.removeEventListener('abort', cancel);
  }
}

/** Quantised ones that are fp16 otherwise were bf16 once, and hold no number that bf16 does not reach. */
export function defaultDtype({ dtype, quantisation }: CheckpointConfig): Dtype {
  return dtype === 'bf16' || (dtype === 'fp16' && quantisation !== undefined) ? 'bf16' : 'fp32';
}

/** For `plan` and `doctor`: how quantised files are kept. */
export function storedWeights(
  config: CheckpointConfig,
  weights: LoadOptions['weights'],
): Pick<ModelMemory, 'storedWeights'> {
  const { quantisation } = config;
  if (quantisation === undefined) return {};
  return { storedWeights: describeStored(quantisation, weightsOf(config, weights)) };
}

/** Codes of files that the kernels have a form for stay as they are. */
export function weightsOf(
  { model }: Pick<CheckpointConfig, 'model'>,
  weights: LoadOptions['weights'],
): NativeWeightForms {
  return resolveWeights(weights, model.text, keptForm(model.quantisation));
}

export async function defaultDevice(addon: NativeAddon): Promise<string> {
  const { gpus } = await addon.runtimeInfo().promise;
  return gpus.length > 0 ? 'cuda' : 'cpu';
}
