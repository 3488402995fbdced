/** What is served under which id: the base model, and each adapter as a model of its own. */
import type { Adapter, FaceLlm } from '../model/index.js';
import { ApiError } from './api-error.js';

export class Catalogue {
  readonly base: string;
  readonly #model: FaceLlm;
  readonly #createdAt: number;

  constructor(model: FaceLlm, base: string) {
    this.#model = model;
    this.base = base;
    this.#createdAt = Math.floor(Date.now() / 1000);
  }

  get ids(): string[] {
    return [this.base, ...this.#model.adapters.map(({ name }) => name)];
  }

  /**
   * The adapters that work under an id, and those of `stack` beside them.
   *
   * @throws ApiError 404 model_not_found
   */
  adapters(id: string, stack: readonly string[] = []): readonly Adapter[] {
    const names = id === this.base ? stack : [id, ...stack];
    const loaded = new Map(this.#model.adapters.map((adapter) => [adapter.name, adapter]));
    return names.map((name) => {
      const adapter = loaded.get(name);
      if (adapter !== undefined) return adapter;
      const there = this.ids.join(', ');
      throw new ApiError(404, 'model_not_found', `there is no such model; there is ${there}`, {
        param: name === id ? 'model' : 'adapters',
      });
    });
  }

  list(): object {
    return { object: 'list', data: this.ids.map((id) => this.entry(id)) };
  }

  /** @throws ApiError 404 model_not_found */
  entry(id: string): object {
    const [adapter] = this.adapters(id);
    const { config, info } = this.#model;
    const { tileSize, minTiles, maxTiles, useThumbnail } = config;
    return {
      id,
      object: 'model',
      created: this.#createdAt,
      owned_by: 'facellm',
      parent: adapter === undefined ? null : this.base,
      max_model_len: this.#model.maxContext,
      facellm: {
        modalities: ['text', 'image'],
        tiles: { size: tileSize, min: minTiles, max: maxTiles, thumbnail: useThumbnail },
        dtype: info.dtype,
        device: info.device,
        ...(adapter && { adapter: { touches_vision: adapter.facts.touchesVision } }),
      },
    };
  }
}
