/** The one object that users hold: a loaded model and what can be asked of it. */
import type { NativeModelInfo, NativeStats } from '../binding/native.js';
import type { AskedHow } from '../calibration/index.js';
import { type ChatMessage, conversation } from '../chat/index.js';
import type { CheckpointConfig } from '../checkpoint/index.js';
import { fromNative } from '../errors.js';
import {
  type AnswerPiece,
  type AnswerResult,
  AnswerStream,
  type ChoiceResult,
  type ItemResult,
  resolveGeneration,
} from '../generation/index.js';
import type { ResolvedAskedFaces } from '../faces/index.js';
import type { ImageSource } from '../image/index.js';
import { checkArguments, checkFields, list, name, whole } from '../options/index.js';
import type { Adapter, AdapterSelection, LoadAdapterOptions } from './adapter.js';
import { type AdapterLease, AdapterSet } from './adapter-set.js';
import { answer } from './answer.js';
import { answerLogits, type AnswerLogits } from './answer-logits.js';
import { AskedBy } from './asked-by.js';
import { chooseItems } from './choose-items.js';
import { embedImages, type ImageEmbedding } from './embed-images.js';
import {
  type Extracted,
  type ExtractOptions,
  extractOptions,
  type ExtractResult,
  type ExtractSchema,
  formOf,
  turnsOf,
} from './extract-options.js';
import { extract } from './extract.js';
import { type LoadOptions, loadOptions, loadParts, type ModelParts } from './load.js';
import { type Plan, planWith } from './plan.js';
import { describePrompt, type PreparedPrompt } from './prepared.js';
import type { PromptOptions } from './prompt-options.js';
import { PromptWriter } from './prompt-writer.js';
import {
  type AdapterChoice,
  type AnswerLogitsOptions,
  answerLogitsOptions,
  type AskOptions,
  askOptions,
  type ChatOptions,
  chatOptions,
  type ChooseItemsOptions,
  chooseItemsOptions,
  type ChooseOptions,
  chooseOptions,
  type EmbedOptions,
  embedOptions,
  idsOf,
  pictureOrPictures,
  pictures,
  toList,
  toMessage,
} from './requests.js';
import { SettingsWatch } from './settings-watch.js';

const WRONG_REQUEST = 'the request is wrong';

export class FaceLlm implements AsyncDisposable {
  readonly #parts: ModelParts;
  readonly #info: NativeModelInfo;
  readonly #adapters: AdapterSet;
  readonly #watch: SettingsWatch;
  readonly #prompts: PromptWriter;
  readonly #askedBy: AskedBy;
  /** Calls of `choose` so far. */
  #choices = 0;

  /** @internal use {@link FaceLlm.load} */
  constructor(parts: ModelParts, onWarning: LoadOptions['onWarning']) {
    this.#parts = parts;
    this.#info = parts.native.info();
    const { weightsHash, config } = parts;
    this.#adapters = new AdapterSet(parts.native, config, {
      ...{ weightsHash, quantisation: config.quantisation, weights: this.#info.weights, onWarning },
    });
    this.#watch = new SettingsWatch(parts.config, parts.settings, onWarning);
    this.#prompts = new PromptWriter(parts, this.#watch);
    this.#askedBy = new AskedBy(parts, this.#info, this.#adapters, this.#watch, this.#prompts);
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
    return this.#answer(() =>
      checkArguments(WRONG_REQUEST, [conversation, messages, 'messages'], [chatOptions, options]),
    );
  }

  /**
   * Asks one question about a picture, several pictures or none. Where the question holds as many `<image>` as there
   * are pictures, these are their places; else pictures come first.
   */
  ask(options: AskOptions): AnswerStream {
    return this.#answer(() => {
      const { image, question, ...rest } = checkFields(askOptions, options, WRONG_REQUEST);
      return [[toMessage({ image, question })], rest];
    });
  }

  /** Answers several conversations in one batch; lengths and pictures may differ. */
  async chatBatch(
    conversations: readonly (readonly ChatMessage[])[],
    options: ChatOptions = {},
  ): Promise<readonly AnswerResult[]> {
    const [taken, checked] = checkArguments(
      WRONG_REQUEST,
      [list(conversation, 'a list of conversations'), conversations, 'conversations'],
      [chatOptions, options],
    );
    return this.#generate(taken, checked, () => {});
  }

  /**
   * The probability of each given answer, exactly, from the logits: no sampling, no parsing. The
   * prompt is computed once; answers may have several tokens. With `items`: several questions about the same pictures
   * in one call, whose results do not depend on each other or on their order; what their prompts have in
   * common (system turn, pictures) is computed once.
   */
  choose(options: ChooseItemsOptions): Promise<readonly ItemResult[]>;
  choose(options: ChooseOptions): Promise<ChoiceResult>;
  async choose(
    options: ChooseOptions | ChooseItemsOptions,
  ): Promise<ChoiceResult | readonly ItemResult[]> {
    if (typeof options === 'object' && 'items' in options) {
      const { items, ...shared } = checkFields(chooseItemsOptions, options, WRONG_REQUEST);
      const ids = idsOf(items);
      const results = await this.#choose(shared, items);
      return results.map((result, i) => ({ ...result, id: ids[i] ?? '' }));
    }
    const request = checkFields(chooseOptions, options, WRONG_REQUEST);
    const [result] = await this.#choose(request, [request]);
    return result as ChoiceResult;
  }

  /**
   * An object of a schema's form about a picture: never anything else, with the exact probability of each value and of
   * those that might have stood in its place. Literal text is given, values are chosen by their probability as
   * a whole, free text is written token by token among the tokens that may come. Each field is given those before it; for
   * independent ones ask `choose` with `items`.
   *
   * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing what of the schema cannot be held to
   */
  async extract<S extends ExtractSchema>(
    options: ExtractOptions<S>,
  ): Promise<ExtractResult<Extracted<S>>> {
    const request = checkFields(extractOptions, options, WRONG_REQUEST);
    const form = formOf(request);
    const turns = turnsOf(request);
    return this.#withAdapters(request, (lease) =>
      extract({ parts: this.#parts, prompts: this.#prompts, lease }, request, turns, form),
    ) as Promise<ExtractResult<Extracted<S>>>;
  }

  /**
   * The scores of the whole vocabulary at each place of an answer that is given, in one pass: what a comparison of two models is
   * made from. The answer need not be one that the model would give.
   *
   * @param answer ids of at least one token, the closing control token among them where it counts
   * @throws InvalidArgumentError FACELLM_PROMPT_TOO_LONG, and what its pictures throw
   */
  async answerLogits(
    messages: readonly ChatMessage[],
    answer: readonly number[],
    options: AnswerLogitsOptions = {},
  ): Promise<AnswerLogits> {
    const vocabulary = this.#parts.config.model.text.vocabSize;
    const [taken, ids, checked] = checkArguments(
      WRONG_REQUEST,
      [conversation, messages, 'messages'],
      [list(whole(0, vocabulary - 1), 'a list of ids', 1), answer, 'answer'],
      [answerLogitsOptions, options],
    );
    return this.#withAdapters(checked, (lease) =>
      answerLogits({ parts: this.#parts, prompts: this.#prompts, lease }, taken, ids, checked),
    );
  }

  /** What a calibration must have been fitted on to be for questions asked in this way. */
  askedHow(options: PromptOptions & AdapterChoice = {}): AskedHow {
    return this.#askedBy.how(options);
  }

  /** Projected vectors of pictures, in the order given. */
  async embedImages(
    images: readonly ImageSource[],
    options: EmbedOptions = {},
  ): Promise<readonly ImageEmbedding[]> {
    const [taken, checked] = checkArguments(
      WRONG_REQUEST,
      [pictures, images, 'images'],
      [embedOptions, options],
    );
    return this.#withAdapters(checked, async (lease) => {
      if (taken.length === 0) return [];
      const resolved = this.#watch.resolve(checked, lease.adapters);
      const kind = { hasImages: true, hasText: false, hasOwnSystem: false };
      this.#watch.check(resolved, lease.adapters, kind);
      return embedImages({ parts: this.#parts, lease }, taken, checked, resolved);
    });
  }

  /** Tiles, tokens and memory that pictures will take, without running the model. */
  async plan(
    images: ImageSource | readonly ImageSource[],
    options: EmbedOptions = {},
  ): Promise<Plan> {
    const [taken, checked] = checkArguments(
      WRONG_REQUEST,
      [pictureOrPictures, images, 'images'],
      [embedOptions, options],
    );
    return this.#withAdapters(checked, (lease) =>
      planWith(
        this.#parts.addon,
        this.#parts.config,
        this.#parts.memory,
        toList(taken),
        this.#parts.faces,
        this.#watch.resolve(checked, lease.adapters),
      ),
    );
  }

  /**
   * What a conversation becomes, without running the model: its tokens, those of pictures among them, and each picture's
   * tiles.
   *
   * @throws InvalidArgumentError FACELLM_PROMPT_TOO_LONG, and what its pictures throw
   */
  async measure(
    messages: readonly ChatMessage[],
    options: EmbedOptions = {},
  ): Promise<PreparedPrompt> {
    const [taken, checked] = checkArguments(
      WRONG_REQUEST,
      [conversation, messages, 'messages'],
      [embedOptions, options],
    );
    return this.#withAdapters(checked, async (lease) =>
      describePrompt(await this.#prompts.write(taken, checked, lease.adapters)),
    );
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

  /** @param take checks the request, at once and not when its turn comes; what it throws rejects the answer */
  #answer(take: () => readonly [readonly ChatMessage[], ChatOptions]): AnswerStream {
    let count = 1;
    const start: ConstructorParameters<typeof AnswerStream>[0] = async (push, ownSignal) => {
      const [messages, options] = take();
      count = options.n ?? 1;
      const signal = options.signal ? AbortSignal.any([options.signal, ownSignal]) : ownSignal;
      const [answer] = await this.#generate([messages], { ...options, signal }, (_, piece) =>
        push(piece),
      );
      return answer as AnswerResult;
    };
    return new AnswerStream(start, () => count);
  }

  #choose(
    shared: Omit<ChooseItemsOptions, 'items'>,
    items: ChooseItemsOptions['items'],
  ): Promise<readonly ChoiceResult[]> {
    return this.#withAdapters(shared, (lease) => {
      const call = ++this.#choices;
      return chooseItems(
        { parts: this.#parts, prompts: this.#prompts, lease, call },
        shared,
        items,
      );
    });
  }

  /** Runs `work` while the request's adapters are held; they are fixed before anything is awaited. */
  async #withAdapters<T>(
    { adapters }: AdapterChoice,
    work: (lease: AdapterLease) => Promise<T>,
  ): Promise<T> {
    const lease = this.#adapters.lease(adapters);
    try {
      return await work(lease);
    } finally {
      lease.release();
    }
  }

  async #generate(
    conversations: readonly (readonly ChatMessage[])[],
    options: ChatOptions,
    push: (place: number, piece: AnswerPiece) => void,
  ): Promise<readonly AnswerResult[]> {
    const startedAt = performance.now();
    const { generation } = this.#parts.config;
    const resolved = resolveGeneration(options, generation.options, this.#parts.tokenizer);
    return this.#withAdapters(options, async (lease) => {
      if (conversations.length === 0) return [];
      this.#watch.checkGeneration();
      const call = { parts: this.#parts, prompts: this.#prompts, lease };
      return answer(call, conversations, options, resolved, startedAt, push);
    });
  }
}
