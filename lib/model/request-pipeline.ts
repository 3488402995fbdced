/**
 * The way of each request to a loaded model: its arguments are checked, all at once, its adapters are held from then, before anything
 * is awaited, until it has ended, what was recorded of them fills in what it does not say, and it goes to what answers it.
 */
import { type ChatMessage, conversation } from '../chat/index.js';
import {
  type AnswerPiece,
  type AnswerResult,
  AnswerStream,
  type ChoiceResult,
  type ItemResult,
  resolveGeneration,
} from '../generation/index.js';
import type { ImageSource } from '../image/index.js';
import { checkArguments, checkFields, list, whole } from '../options/index.js';
import type { AdapterSet } from './adapter-set.js';
import { answer } from './answer.js';
import { answerLogits, type AnswerLogits } from './answer-logits.js';
import type { ModelCall } from './call.js';
import { chooseItems } from './choose-items.js';
import { embedImages, type ImageEmbedding } from './embed-images.js';
import { extract } from './extract.js';
import {
  type ExtractOptions,
  extractOptions,
  type ExtractResult,
  formOf,
  turnsOf,
} from './extract-options.js';
import type { ModelParts } from './load.js';
import { type Plan, planWith } from './plan.js';
import { describePrompt, type PreparedPrompt } from './prepared.js';
import type { PromptWriter } from './prompt-writer.js';
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
import type { SettingsWatch } from './settings-watch.js';

const WRONG = 'the request is wrong';

/** Methods are those of `FaceLlm`, which says what each is for. */
export class RequestPipeline {
  readonly #parts: ModelParts;
  readonly #adapters: AdapterSet;
  readonly #watch: SettingsWatch;
  readonly #prompts: PromptWriter;
  /** Calls of `choose` so far. */
  #choices = 0;

  constructor(
    parts: ModelParts,
    adapters: AdapterSet,
    watch: SettingsWatch,
    prompts: PromptWriter,
  ) {
    this.#parts = parts;
    this.#adapters = adapters;
    this.#watch = watch;
    this.#prompts = prompts;
  }

  chat(messages: readonly ChatMessage[], options: ChatOptions): AnswerStream {
    return this.#answer(() =>
      checkArguments(WRONG, [conversation, messages, 'messages'], [chatOptions, options]),
    );
  }

  ask(options: AskOptions): AnswerStream {
    return this.#answer(() => {
      const { image, question, ...rest } = checkFields(askOptions, options, WRONG);
      return [[toMessage({ image, question })], rest];
    });
  }

  async chatBatch(
    conversations: readonly (readonly ChatMessage[])[],
    options: ChatOptions,
  ): Promise<readonly AnswerResult[]> {
    const [taken, checked] = checkArguments(
      WRONG,
      [list(conversation, 'a list of conversations'), conversations, 'conversations'],
      [chatOptions, options],
    );
    return this.#generate(taken, checked, () => {});
  }

  async choose(
    options: ChooseOptions | ChooseItemsOptions,
  ): Promise<ChoiceResult | readonly ItemResult[]> {
    if (typeof options === 'object' && 'items' in options) {
      const { items, ...shared } = checkFields(chooseItemsOptions, options, WRONG);
      const ids = idsOf(items);
      const results = await this.#choose(shared, items);
      return results.map((result, i) => ({ ...result, id: ids[i] ?? '' }));
    }
    const request = checkFields(chooseOptions, options, WRONG);
    const [result] = await this.#choose(request, [request]);
    return result as ChoiceResult;
  }

  async extract(options: ExtractOptions): Promise<ExtractResult<unknown>> {
    const request = checkFields(extractOptions, options, WRONG);
    const form = formOf(request);
    const turns = turnsOf(request);
    return this.#withAdapters(request, (call) => extract(call, request, turns, form));
  }

  async answerLogits(
    messages: readonly ChatMessage[],
    answer: readonly number[],
    options: AnswerLogitsOptions,
  ): Promise<AnswerLogits> {
    const vocabulary = this.#parts.config.model.text.vocabSize;
    const [taken, ids, checked] = checkArguments(
      WRONG,
      [conversation, messages, 'messages'],
      [list(whole(0, vocabulary - 1), 'a list of ids', 1), answer, 'answer'],
      [answerLogitsOptions, options],
    );
    return this.#withAdapters(checked, (call) => answerLogits(call, taken, ids, checked));
  }

  async embedImages(
    images: readonly ImageSource[],
    options: EmbedOptions,
  ): Promise<readonly ImageEmbedding[]> {
    const [taken, checked] = checkArguments(
      WRONG,
      [pictures, images, 'images'],
      [embedOptions, options],
    );
    return this.#withAdapters(checked, async (call) => {
      if (taken.length === 0) return [];
      const { adapters } = call.lease;
      const resolved = this.#watch.resolve(checked, adapters);
      const kind = { hasImages: true, hasText: false, hasOwnSystem: false };
      this.#watch.check(resolved, adapters, kind);
      return embedImages(call, taken, checked, resolved);
    });
  }

  async plan(images: ImageSource | readonly ImageSource[], options: EmbedOptions): Promise<Plan> {
    const [taken, checked] = checkArguments(
      WRONG,
      [pictureOrPictures, images, 'images'],
      [embedOptions, options],
    );
    const { addon, config, memory, faces } = this.#parts;
    return this.#withAdapters(checked, ({ lease }) => {
      const resolved = this.#watch.resolve(checked, lease.adapters);
      return planWith(addon, config, memory, toList(taken), faces, resolved);
    });
  }

  async measure(messages: readonly ChatMessage[], options: EmbedOptions): Promise<PreparedPrompt> {
    const [taken, checked] = checkArguments(
      WRONG,
      [conversation, messages, 'messages'],
      [embedOptions, options],
    );
    return this.#withAdapters(checked, async ({ prompts, lease }) =>
      describePrompt(await prompts.write(taken, checked, lease.adapters)),
    );
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
    return this.#withAdapters(shared, (call) =>
      chooseItems({ ...call, call: ++this.#choices }, shared, items),
    );
  }

  /** Runs `work` while the request's adapters are held; they are fixed before anything is awaited. */
  async #withAdapters<T>(
    { adapters }: AdapterChoice,
    work: (call: ModelCall) => Promise<T>,
  ): Promise<T> {
    const lease = this.#adapters.lease(adapters);
    try {
      return await work({ parts: this.#parts, prompts: this.#prompts, lease });
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
    return this.#withAdapters(options, async (call) => {
      if (conversations.length === 0) return [];
      this.#watch.checkGeneration();
      return answer(call, conversations, options, resolved, startedAt, push);
    });
  }
}
