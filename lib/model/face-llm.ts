/** The one object that users hold: a loaded model and what can be asked of it. */
import type { NativeModelInfo, NativeStats } from '../binding/native.js';
import type { AskedHow } from '../calibration/index.js';
import type { ChatMessage } from '../chat/index.js';
import type { CheckpointConfig } from '../checkpoint/index.js';
import { fromNative } from '../errors.js';
import type { AnswerResult, AnswerStream, ChoiceResult, ItemResult } from '../generation/index.js';
import type { ResolvedAskedFaces } from '../faces/index.js';
import type { ImageSource } from '../image/index.js';
import { checkArguments, name } from '../options/index.js';
import type { Adapter, AdapterSelection, LoadAdapterOptions } from './adapter.js';
import { AdapterSet } from './adapter-set.js';
import type { AnswerLogits } from './answer-logits.js';
import { AskedBy } from './asked-by.js';
import type { ImageEmbedding } from './embed-images.js';
import type { Extracted, ExtractOptions, ExtractResult, ExtractSchema } from './extract-options.js';
import { type LoadOptions, loadOptions, loadParts, type ModelParts } from './load.js';
import type { Plan } from './plan.js';
import type { PreparedPrompt } from './prepared.js';
import type { PromptOptions } from './prompt-options.js';
import { PromptWriter } from './prompt-writer.js';
import { RequestPipeline } from './request-pipeline.js';
import type {
  AdapterChoice,
  AnswerLogitsOptions,
  AskOptions,
  ChatOptions,
  ChooseItemsOptions,
  ChooseOptions,
  EmbedOptions,
} from './requests.js';
import { SettingsWatch } from './settings-watch.js';

export class FaceLlm implements AsyncDisposable {
  readonly #parts: ModelParts;
  readonly #info: NativeModelInfo;
  readonly #adapters: AdapterSet;
  readonly #askedBy: AskedBy;
  readonly #requests: RequestPipeline;

  /** @internal use {@link FaceLlm.load} */
  constructor(parts: ModelParts, onWarning: LoadOptions['onWarning']) {
    this.#parts = parts;
    this.#info = parts.native.info();
    const { weightsHash, config } = parts;
    this.#adapters = new AdapterSet(parts.native, config, {
      ...{ weightsHash, quantisation: config.quantisation, weights: this.#info.weights, onWarning },
    });
    const watch = new SettingsWatch(config, parts.settings, onWarning);
    const prompts = new PromptWriter(parts, watch);
    this.#askedBy = new AskedBy(parts, this.#info, this.#adapters, watch, prompts);
    this.#requests = new RequestPipeline(parts, this.#adapters, watch, prompts);
  }

  /**
   * Loads a checkpoint: a folder as it lies on the hub, in either layout, or a hub id that is in the
   * local Hugging Face cache. Nothing is fetched.
   *
   * @throws CheckpointError, DeviceError, NativeLoadError, InvalidArgumentError
   */
  static async load(model: string, options: LoadOptions = {}): Promise<FaceLlm> {
    const [directory, checked] = checkArguments(
      'the load options are wrong',
      [name('a checkpoint folder, or a hub id in the local cache'), model, 'model'],
      [loadOptions, options],
    );
    const loaded = new FaceLlm(await loadParts(directory, checked), checked.onWarning);
    try {
      const adapters: Adapter[] = [];
      for (const folder of [checked.adapter ?? []].flat()) {
        checked.signal?.throwIfAborted();
        adapters.push(await loaded.loadAdapter(folder));
      }
      loaded.setAdapter(adapters);
      return loaded;
    } catch (error) {
      await loaded.dispose();
      throw error;
    }
  }

  /** Device, dtype, size and load time. */
  get info(): NativeModelInfo {
    return this.#info;
  }

  /** Tokens of prompt and answer together, at most. */
  get maxContext(): number {
    return this.#parts.maxContext;
  }

  /** Whether answers follow from their requests alone: {@link LoadOptions.deterministic}. */
  get deterministic(): boolean {
    return this.#parts.deterministic;
  }

  /**
   * Twelve hexadecimal digits of everything that an answer follows from besides its request: weights (by samples),
   * configs, tokenizer, dtype, device, build, processor, threads, `deterministic`, and the adapters in memory.
   */
  get fingerprint(): string {
    return this.#askedBy.fingerprint;
  }

  /**
   * As {@link fingerprint}, without device, build, processor and threads: the same for the same model on another machine, or for
   * another rank of a job, whose answers may differ in last digits.
   */
  get contentHash(): string {
    return this.#askedBy.contentHash;
  }

  /** What the checkpoint's config files say. */
  get config(): CheckpointConfig {
    return this.#parts.config;
  }

  /**
   * Loads a PEFT adapter (LoRA, rsLoRA, DoRA; ours or another program's) beside the base, which is not read
   * again. It works only where `setAdapter` or a request names it. Kept in the model's dtype.
   *
   * @param folder with adapter_config.json and adapter_model.safetensors, or a hub id in the local cache
   * @throws CheckpointError FACELLM_ADAPTER_INVALID listing every wrong tensor, FACELLM_CHECKPOINT_NOT_FOUND
   */
  loadAdapter(folder: string, options: LoadAdapterOptions = {}): Promise<Adapter> {
    return this.#adapters.load(folder, options);
  }

  /**
   * Chooses what works in requests that name no adapters: one, several (their effects add up), or, with `null`,
   * the base model exactly. Requests already made keep theirs.
   *
   * @throws InvalidArgumentError, DisposedError, CheckpointError for another model's adapter, an unloaded one, a
   *   DoRA adapter on another
   */
  setAdapter(selection: AdapterSelection): void {
    this.#adapters.setDefaults(selection);
  }

  /** Adapters in memory. */
  get adapters(): readonly Adapter[] {
    return this.#adapters.loaded;
  }

  /** Those that work in requests that name none. */
  get activeAdapters(): readonly Adapter[] {
    return this.#adapters.defaults;
  }

  /** How faces are taken from the pictures of requests that do not say: as recorded of what works in them. */
  get faces(): ResolvedAskedFaces | 'off' {
    return this.#askedBy.faces;
  }

  /** Continues a conversation. Its last turn is the user's. */
  chat(messages: readonly ChatMessage[], options: ChatOptions = {}): AnswerStream {
    return this.#requests.chat(messages, options);
  }

  /**
   * Asks one question about a picture, several pictures or none. Where the question holds as many `<image>` as there
   * are pictures, these are their places; else pictures come first.
   */
  ask(options: AskOptions): AnswerStream {
    return this.#requests.ask(options);
  }

  /** Answers several conversations in one batch; lengths and pictures may differ. */
  chatBatch(
    conversations: readonly (readonly ChatMessage[])[],
    options: ChatOptions = {},
  ): Promise<readonly AnswerResult[]> {
    return this.#requests.chatBatch(conversations, options);
  }

  /**
   * The probability of each given answer, exactly, from the logits: no sampling, no parsing. The
   * prompt is computed once; answers may have several tokens. With `items`: several questions about the same pictures
   * in one call, whose results do not depend on each other or on their order; what their prompts have in
   * common (system turn, pictures) is computed once.
   */
  choose(options: ChooseItemsOptions): Promise<readonly ItemResult[]>;
  choose(options: ChooseOptions): Promise<ChoiceResult>;
  choose(
    options: ChooseOptions | ChooseItemsOptions,
  ): Promise<ChoiceResult | readonly ItemResult[]> {
    return this.#requests.choose(options);
  }

  /**
   * An object of a schema's form about a picture: never anything else, with the exact probability of each value and of
   * those that might have stood in its place. Literal text is given, values are chosen by their probability as
   * a whole, free text is written token by token among the tokens that may come. Each field is given those before it; for
   * independent ones ask `choose` with `items`.
   *
   * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing what of the schema cannot be held to
   */
  extract<S extends ExtractSchema>(
    options: ExtractOptions<S>,
  ): Promise<ExtractResult<Extracted<S>>> {
    return this.#requests.extract(options) as Promise<ExtractResult<Extracted<S>>>;
  }

  /**
   * The scores of the whole vocabulary at each place of an answer that is given, in one pass: what a comparison of two models is
   * made from. The answer need not be one that the model would give.
   *
   * @param answer ids of at least one token, the closing control token among them where it counts
   * @throws InvalidArgumentError FACELLM_PROMPT_TOO_LONG, and what its pictures throw
   */
  answerLogits(
    messages: readonly ChatMessage[],
    answer: readonly number[],
    options: AnswerLogitsOptions = {},
  ): Promise<AnswerLogits> {
    return this.#requests.answerLogits(messages, answer, options);
  }

  /** What a calibration must have been fitted on to be for questions asked in this way. */
  askedHow(options: PromptOptions & AdapterChoice = {}): AskedHow {
    return this.#askedBy.how(options);
  }

  /** Projected vectors of pictures, in the order given. */
  embedImages(
    images: readonly ImageSource[],
    options: EmbedOptions = {},
  ): Promise<readonly ImageEmbedding[]> {
    return this.#requests.embedImages(images, options);
  }

  /** Tiles, tokens and memory that pictures will take, without running the model. */
  plan(images: ImageSource | readonly ImageSource[], options: EmbedOptions = {}): Promise<Plan> {
    return this.#requests.plan(images, options);
  }

  /**
   * What a conversation becomes, without running the model: its tokens, those of pictures among them, and each picture's
   * tiles.
   *
   * @throws InvalidArgumentError FACELLM_PROMPT_TOO_LONG, and what its pictures throw
   */
  measure(messages: readonly ChatMessage[], options: EmbedOptions = {}): Promise<PreparedPrompt> {
    return this.#requests.measure(messages, options);
  }

  /** UTF-8 that this id stands for, often part of a character; undefined for an id without an entry. Not to be written to. */
  tokenBytes(id: number): Uint8Array | undefined {
    return this.#parts.tokenizer.tokenBytes(id);
  }

  /** What the engine does and holds, as of its last step. */
  async stats(): Promise<NativeStats> {
    return this.#parts.native.stats().promise.catch((error: unknown) => {
      throw fromNative(error);
    });
  }

  /** Forgets pictures, their faces and prompts seen so far. */
  async clearCaches(): Promise<void> {
    this.#parts.faces.clear();
    await this.#parts.native.clearCaches().promise.catch((error: unknown) => {
      throw fromNative(error);
    });
  }

  /** Stops this model's work and frees its memory. May be called at any time, any number of times. */
  async dispose(): Promise<void> {
    const { native, tokenizer, grammars } = this.#parts;
    await Promise.all([native.dispose().promise, tokenizer.dispose(), grammars.dispose()]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
