/** What is served under which id: the base model, and each adapter as a model of its own. */
import { createError } from '../errors.js';
import type { Adapter, FaceLlm } from '../model/index.js';
import { ApiError } from './api-error.js';

/** Adapters that stay in memory until they are released. */
export interface HeldAdapters {
  readonly adapters: readonly Adapter[];
  /** Idempotent. */
  readonly release: () => void;
}

/**
 * @param summary of the error
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT where two models would answer to one id
 */
export function checkNames(ids: readonly string[], summary: string): void {
  const doubled = ids.filter((id, i) => ids.indexOf(id) !== i);
  if (doubled.length === 0) return;
  throw createError('FACELLM_INVALID_ARGUMENT', summary, {
    details: doubled.map(
      (id) => `models: the id ${id} is given twice; rename a folder, or give servedName`,
    ),
  });
}

export class Catalogue {
  readonly base: string;
  readonly #model: FaceLlm;
  readonly #createdAt: number;
  /** Requests that work with each. */
  readonly #holders = new Map<Adapter, number>();
  readonly #leaving = new Map<Adapter, () => void>();
  readonly #loading = new Set<string>();

  constructor(model: FaceLlm, base: string) {
    this.#model = model;
    this.base = base;
    this.#createdAt = Math.floor(Date.now() / 1000);
  }

  get ids(): string[] {
    return [this.base, ...this.#served().map(({ name }) => name)];
  }

  /**
   * The adapters that work under an id, and those of `stack` beside them; none is unloaded while it is held.
   *
   * @throws ApiError 404 model_not_found
   */
  hold(id: string, stack: readonly string[] = []): HeldAdapters {
    const adapters = this.#find(id, stack);
    for (const one of adapters) this.#holders.set(one, (this.#holders.get(one) ?? 0) + 1);
    let isHeld = true;
    return {
      adapters,
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        for (const one of adapters) this.#let(one);
      },
    };
  }

  /** @throws ApiError 400 for an id that is there already, or what `load` throws */
  async load(name: string, load: () => Promise<Adapter>): Promise<void> {
    const others = [...this.#leaving.keys()].map((adapter) => adapter.name);
    if ([...this.ids, ...others, ...this.#loading].includes(name)) {
      const message = 'name: there is a model of this id; unload it first';
      throw new ApiError(400, 'invalid_value', message, { param: 'name' });
    }
    this.#loading.add(name);
    try {
      await load();
    } finally {
      this.#loading.delete(name);
    }
  }

  /**
   * Nobody gets it any more; once those who have it are through, it is unloaded.
   *
   * @throws ApiError 404 model_not_found, 400 for the base model
   */
  async unload(name: string): Promise<void> {
    if (name === this.base) {
      throw new ApiError(400, 'invalid_value', 'the base model cannot be unloaded');
    }
    const [adapter] = this.#find(name, []);
    if (adapter === undefined) return;
    const free = new Promise<void>((resolve) => this.#leaving.set(adapter, resolve));
    if (this.#holders.has(adapter)) await free;
    await adapter.unload();
    this.#leaving.delete(adapter);
  }

  /** The id of what was loaded from this folder and is served still; of several the first. */
  loadedFrom(folder: string): string | undefined {
    return this.#served().find(({ facts }) => facts.directory === folder)?.name;
  }

  list(): object {
    return { object: 'list', data: this.ids.map((id) => this.entry(id)) };
  }

  /** @throws ApiError 404 model_not_found */
  entry(id: string): object {
    const [adapter] = this.#find(id, []);
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
        deterministic: this.#model.deterministic,
        ...(adapter && { adapter: { touches_vision: adapter.facts.touchesVision } }),
      },
    };
  }

  #served(): readonly Adapter[] {
    return this.#model.adapters.filter((adapter) => !this.#leaving.has(adapter));
  }

  #find(id: string, stack: readonly string[]): readonly Adapter[] {
    const names = id === this.base ? stack : [id, ...stack];
    const loaded = new Map(this.#served().map((adapter) => [adapter.name, adapter]));
    return names.map((name) => {
      const adapter = loaded.get(name);
      if (adapter !== undefined) return adapter;
      const there = this.ids.join(', ');
      throw new ApiError(404, 'model_not_found', `there is no such model; there is ${there}`, {
        param: name === id ? 'model' : 'adapters',
      });
    });
  }

  #let(adapter: Adapter): void {
    const left = (this.#holders.get(adapter) ?? 1) - 1;
    if (left > 0) {
      this.#holders.set(adapter, left);
      return;
    }
    this.#holders.delete(adapter);
    this.#leaving.get(adapter)?.();
  }
}
