/**
 * A model's adapters: loaded, chosen by default, held by the requests under way. A request takes a lease when it is
 * made, before anything is awaited, so that unloading never pulls an adapter from under it.
 */
import { basename } from 'node:path';

import type { NativeModel } from '../binding/native.js';
import type { CheckpointConfig } from '../checkpoint/index.js';
import {
  CancelledError,
  createError,
  DisposedError,
  fromNative,
  InvalidArgumentError,
} from '../errors.js';
import { readAdapter, resolveAdapter } from '../lora/index.js';
import { checkArguments, name as nonEmpty } from '../options/index.js';
import {
  Adapter,
  type AdapterSelection,
  type LoadAdapterOptions,
  loadAdapterOptions,
} from './adapter.js';
import { adapterIdentity } from './fingerprint.js';
import type { LoadOptions } from './load.js';
import { readServingSettings } from './serving-settings.js';
import { baseWarning, type OfferedBase, refuseFolded, type TrainedBase } from './trained-base.js';

interface Entry {
  readonly id: number;
  readonly modules: readonly string[];
  leases: number;
  /** Set by the first unload(). */
  unloading: Promise<void> | undefined;
  /** Calls back when the last lease has ended. */
  onFree: (() => void) | undefined;
}

export interface AdapterLease {
  readonly adapters: readonly Adapter[];
  readonly ids: readonly number[];
  /** To be called once, when the request has ended. */
  release(): void;
}

export interface BaseOfAdapters extends OfferedBase {
  readonly onWarning: LoadOptions['onWarning'];
}

export class AdapterSet {
  readonly #native: NativeModel;
  readonly #config: CheckpointConfig;
  readonly #base: BaseOfAdapters | undefined;
  readonly #entries = new WeakMap<Adapter, Entry>();
  readonly #loaded = new Set<Adapter>();
  #defaults: readonly Adapter[] = [];

  /** @param base what adapters are held against that record what they were trained upon. Undefined: nothing is */
  constructor(native: NativeModel, config: CheckpointConfig, base?: BaseOfAdapters) {
    this.#native = native;
    this.#config = config;
    this.#base = base;
  }

  get loaded(): readonly Adapter[] {
    return [...this.#loaded];
  }

  get defaults(): readonly Adapter[] {
    return this.#defaults;
  }

  async load(folder: string, options: LoadAdapterOptions): Promise<Adapter> {
    const [place, { scale = 1, name }] = checkArguments(
      'the adapter cannot be loaded so',
      [nonEmpty('a folder, or a hub id in the local cache'), folder, 'folder'],
      [loadAdapterOptions, options],
    );
    const directory = await resolveAdapter(place);
    const [{ config, source }, settings] = await Promise.all([
      readAdapter(directory, this.#config.model, scale),
      readServingSettings(directory, 'FACELLM_ADAPTER_INVALID'),
    ]);
    this.#holdAgainstBase(name ?? basename(directory), settings?.base);
    // First, since it reads the file: where that has gone meanwhile, nothing is left in the engine that nobody can unload.
    const contentHash = await adapterIdentity(source);
    const info = await this.#native.loadAdapter(source).promise.catch((error: unknown) => {
      throw fromNative(error);
    });
    const { id, ...sizes } = info;
    const facts = {
      name: name ?? basename(directory),
      directory,
      ...{ scale, contentHash, settings },
      ...sizes,
      usesDora: config.usesDora,
    };
    const adapter: Adapter = new Adapter(facts, () => this.#unload(adapter));
    const modules = source.modules.map((module) => module.name);
    this.#entries.set(adapter, {
      id,
      modules,
      leases: 0,
      unloading: undefined,
      onFree: undefined,
    });
    this.#loaded.add(adapter);
    return adapter;
  }

  /** @throws as {@link lease} */
  setDefaults(selection: AdapterSelection): void {
    this.#defaults = this.#check(selection);
  }

  /**
   * Holds the chosen adapters, by default the default ones, until released.
   *
   * @throws InvalidArgumentError for another model's adapter, or one named twice
   * @throws DisposedError FACELLM_DISPOSED for one that was unloaded
   * @throws CheckpointError FACELLM_ADAPTER_INVALID where DoRA meets another adapter on a module
   */
  lease(selection: AdapterSelection | undefined): AdapterLease {
    const adapters = selection === undefined ? this.#defaults : this.#check(selection);
    const entries = adapters.map((adapter) => this.#entryOf(adapter));
    for (const entry of entries) entry.leases++;
    let isReleased = false;
    return {
      adapters,
      ids: entries.map(({ id }) => id),
      release: () => {
        if (isReleased) return;
        isReleased = true;
        for (const entry of entries) if (--entry.leases === 0) entry.onFree?.();
      },
    };
  }

  /** @throws as refuseFolded() */
  #holdAgainstBase(adapter: string, trained: TrainedBase | undefined): void {
    if (this.#base === undefined) return;
    refuseFolded(adapter, trained, this.#base);
    const warning = baseWarning(adapter, trained, this.#base, 'load');
    if (warning !== undefined) this.#base.onWarning?.(warning);
  }

  #entryOf(adapter: Adapter): Entry {
    const entry = this.#entries.get(adapter);
    if (entry !== undefined && entry.unloading === undefined) return entry;
    if (entry !== undefined) {
      throw new DisposedError(
        'FACELLM_DISPOSED',
        `the adapter ${adapter.name} has been unloaded; load it again`,
      );
    }
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      `adapters: expected what this model's loadAdapter() gave, got ` +
        (adapter instanceof Adapter
          ? `${adapter.name}, which belongs to another model`
          : 'no adapter'),
    );
  }

  #check(selection: AdapterSelection): readonly Adapter[] {
    const list = Array.isArray(selection)
      ? (selection as readonly Adapter[])
      : [selection as Adapter];
    const adapters = selection === null ? [] : [...list];
    const owners = new Map<string, Adapter>();
    const clashes: string[] = [];
    for (const [i, adapter] of adapters.entries()) {
      const { modules } = this.#entryOf(adapter);
      if (adapters.indexOf(adapter) !== i) {
        throw new InvalidArgumentError(
          'FACELLM_INVALID_ARGUMENT',
          `adapters: ${adapter.name} is named twice; load it with another scale instead`,
        );
      }
      for (const module of modules) {
        const owner = owners.get(module);
        if (owner !== undefined && (owner.facts.usesDora || adapter.facts.usesDora)) {
          clashes.push(`${module}: ${owner.name} and ${adapter.name}`);
        }
        owners.set(module, adapter);
      }
    }
    if (clashes.length === 0) return adapters;
    throw createError(
      'FACELLM_ADAPTER_INVALID',
      'a DoRA adapter cannot be stacked on another; merge one of them into the model',
      { details: clashes },
    );
  }

  #unload(adapter: Adapter): Promise<void> {
    const entry = this.#entries.get(adapter);
    if (entry === undefined) return Promise.resolve();
    entry.unloading ??= this.#free(adapter, entry);
    return entry.unloading;
  }

  async #free(adapter: Adapter, entry: Entry): Promise<void> {
    this.#loaded.delete(adapter);
    this.#defaults = this.#defaults.filter((one) => one !== adapter);
    if (entry.leases > 0) await new Promise<void>((resolve) => (entry.onFree = resolve));
    try {
      await this.#native.unloadAdapter(entry.id).promise;
    } catch (error) {
      const known = fromNative(error);
      // A disposed model has freed its adapters already.
      const isGone = known instanceof DisposedError || known instanceof CancelledError;
      if (!isGone) throw known;
    }
  }
}
