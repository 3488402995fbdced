/** Writes the prompts of a loaded model: which form a request's is, whose record it follows, and who is told of it. */
import { type ChatMessage, ChatTemplate, imagesOf, type TemplateName } from '../chat/index.js';
import type { PicturedPrompt } from '../generation/index.js';
import type { OpenedImages } from '../image/index.js';
import type { Adapter } from './adapter.js';
import { cropMessages } from './crop-pictures.js';
import type { ModelParts } from './load.js';
import { preparePrompt } from './prompt.js';
import type { PromptOptions } from './prompt-options.js';
import { type FormText, formText } from './serving-settings.js';
import type { SettingsWatch } from './settings-watch.js';

export class PromptWriter {
  readonly #parts: ModelParts;
  readonly #watch: SettingsWatch;
  readonly #templates = new Map<TemplateName, Promise<ChatTemplate>>();

  constructor(parts: ModelParts, watch: SettingsWatch) {
    this.#parts = parts;
    this.#watch = watch;
  }

  /**
   * @param adapters those that work in the request
   * @param read pictures of the call, where it has several prompts
   */
  async write(
    messages: readonly ChatMessage[],
    options: PromptOptions,
    adapters: readonly Adapter[],
    read?: OpenedImages,
  ): Promise<PicturedPrompt> {
    const hasOwnSystem = messages[0]?.role === 'system';
    const resolved = this.#watch.resolve(options, adapters);
    const hasImages = imagesOf(messages).length > 0;
    this.#watch.check(resolved, adapters, { hasImages, hasText: true, hasOwnSystem });
    const template = await this.#template(resolved.template);
    // A recorded system turn gives way to the conversation's; one that the caller gave twice is refused.
    const system = hasOwnSystem ? options.system : resolved.system;
    const cropped = await cropMessages(this.#parts.faces, messages, resolved, read);
    const { faces } = cropped;
    const parts = { ...this.#parts, template };
    const asked = { ...resolved, system };
    const prompt = await preparePrompt(parts, cropped.messages, asked, read);
    return faces === undefined || faces.length === 0 ? prompt : { ...prompt, faces };
  }

  /** In which form a question would be asked. @param system of the conversation, in place of the options' */
  form(options: PromptOptions, adapters: readonly Adapter[], system?: string): FormText {
    const resolved = this.#watch.resolve(options, adapters);
    return formText(system === undefined ? resolved : { ...resolved, system }, this.#parts.config);
  }

  #template(name: TemplateName): Promise<ChatTemplate> {
    let template = this.#templates.get(name);
    if (template === undefined) {
      template = ChatTemplate.load(this.#parts.directory, name, this.#parts.tokenizer);
      this.#templates.set(name, template);
      // A file that could not be read may be mended.
      template.catch(() => this.#templates.delete(name));
    }
    return template;
  }
}
