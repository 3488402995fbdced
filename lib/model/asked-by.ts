/**
 * By what a model's answers are known: which model answers, and how it is asked where a request does not say. Journals, calibrations and
 * caches of answers go by it.
 */
import type { NativeModelInfo } from '../binding/native.js';
import type { AskedHow } from '../calibration/index.js';
import type { ResolvedAskedFaces } from '../faces/index.js';
import type { AdapterSet } from './adapter-set.js';
import { subjectOf } from './calibrated.js';
import { fingerprint, modelContent } from './fingerprint.js';
import type { ModelParts } from './load.js';
import type { PromptOptions } from './prompt-options.js';
import type { PromptWriter } from './prompt-writer.js';
import type { AdapterChoice } from './requests.js';
import type { SettingsWatch } from './settings-watch.js';

export class AskedBy {
  readonly #parts: ModelParts;
  readonly #info: NativeModelInfo;
  readonly #adapters: AdapterSet;
  readonly #watch: SettingsWatch;
  readonly #prompts: PromptWriter;

  constructor(
    parts: ModelParts,
    info: NativeModelInfo,
    adapters: AdapterSet,
    watch: SettingsWatch,
    prompts: PromptWriter,
  ) {
    this.#parts = parts;
    this.#info = info;
    this.#adapters = adapters;
    this.#watch = watch;
    this.#prompts = prompts;
  }

  /** With machine, build and threads. */
  get fingerprint(): string {
    return fingerprint(this.#parts.identity, this.#adapters.loaded);
  }

  /** The same model on whatever machine. */
  get contentHash(): string {
    return fingerprint(modelContent(this.#parts.checkpoint, this.#info), this.#adapters.loaded);
  }

  /** Of requests that say nothing of faces. */
  get faces(): ResolvedAskedFaces | 'off' {
    const { faces } = this.#watch.resolve({}, this.#adapters.defaults);
    return faces === 'cropped' ? 'off' : faces;
  }

  /** What a calibration must have been fitted on. */
  how(options: PromptOptions & AdapterChoice): AskedHow {
    const lease = this.#adapters.lease(options.adapters);
    lease.release();
    return {
      model: subjectOf(this.#parts, lease.adapters),
      form: this.#prompts.form(options, lease.adapters),
    };
  }
}
