/** Which record a request follows, and the one warning that an adapter or a model gets where it does not. */
import type { CheckpointConfig } from '../checkpoint/index.js';
import type { Adapter } from './adapter.js';
import type { LoadOptions } from './load.js';
import type { PromptOptions, ResolvedPromptOptions } from './prompt-options.js';
import {
  type RequestFacts,
  resolvePromptOptions,
  type ServingSettings,
  settingDifferences,
} from './serving-settings.js';
import type { ModelWarning } from './warning.js';

export class SettingsWatch {
  readonly #config: CheckpointConfig;
  readonly #ofModel: ServingSettings | undefined;
  readonly #onWarning: LoadOptions['onWarning'];
  readonly #warned = new WeakSet<object>();

  constructor(
    config: CheckpointConfig,
    ofModel: ServingSettings | undefined,
    onWarning: LoadOptions['onWarning'],
  ) {
    this.#config = config;
    this.#ofModel = ofModel;
    this.#onWarning = onWarning;
  }

  /** The last active adapter with a record decides, else the model's own record, else the form's defaults. */
  resolve(options: PromptOptions, adapters: readonly Adapter[]): ResolvedPromptOptions {
    const recorded = adapters.flatMap(({ facts }) => facts.settings ?? []).at(-1) ?? this.#ofModel;
    return resolvePromptOptions(options, recorded, this.#config.layout);
  }

  /** Warns of every active adapter that was trained otherwise; of the model only where no adapter speaks. */
  check(used: ResolvedPromptOptions, adapters: readonly Adapter[], request: RequestFacts): void {
    const speaking = adapters.filter(({ facts }) => facts.settings !== undefined);
    for (const adapter of speaking) {
      this.#compare(used, adapter, adapter.name, adapter.facts.settings, request);
    }
    if (speaking.length === 0) this.#compare(used, this, undefined, this.#ofModel, request);
  }

  /** Warns once of what the model's generation_config.json says and answers do not heed. */
  checkGeneration(): void {
    const { notFollowed } = this.#config.generation;
    if (notFollowed.length === 0 || this.#warned.has(this.#config)) return;
    this.#warned.add(this.#config);
    this.#onWarning?.({
      code: 'GENERATION_NOT_FOLLOWED',
      adapter: undefined,
      message:
        this.#config.layout === 'hf'
          ? 'generation_config.json asks for what is not computed here; answers may differ from those of transformers'
          : 'generation_config.json is not followed in the original layout, whose own code does not read it',
      remedy: 'give what is meant with each request, and take these keys out of the file',
      differences: notFollowed,
    });
  }

  #compare(
    used: ResolvedPromptOptions,
    owner: object,
    adapter: string | undefined,
    recorded: ServingSettings | undefined,
    request: RequestFacts,
  ): void {
    if (recorded === undefined || this.#warned.has(owner)) return;
    const differences = settingDifferences(used, recorded, this.#config, request);
    if (differences.length === 0) return;
    this.#warned.add(owner);
    const subject = adapter === undefined ? 'the model' : `the adapter ${adapter}`;
    const warning: ModelWarning = {
      code: 'SETTINGS_DIFFER',
      adapter,
      message: `${subject} is used with other settings than it was trained with; answers may be worse`,
      remedy: 'leave these options out to use the recorded ones',
      differences,
    };
    this.#onWarning?.(warning);
  }
}
