/** A handle on an adapter in a model's memory. */
import type { z } from 'zod';

import { field, fields, text } from '../options/index.js';
import type { ServingSettings } from './serving-settings.js';

export interface LoadAdapterOptions {
  /** For messages. @default the folder's name */
  readonly name?: string | undefined;
  /** Multiplies the adapter's effect: 1 as trained, 0 none. @default 1 */
  readonly scale?: number | undefined;
}

export const loadAdapterOptions: z.ZodType<LoadAdapterOptions> = fields<LoadAdapterOptions>({
  name: text('a name').optional(),
  scale: field<number>('a finite number', Number.isFinite).optional(),
});

/** Everything about an adapter but what it holds. */
export interface AdapterFacts {
  readonly name: string;
  readonly directory: string;
  readonly scale: number;
  /** sha256 over its weights, targets and scale, in lower-case hex. */
  readonly contentHash: string;
  /** How it was trained, if that was recorded. */
  readonly settings: ServingSettings | undefined;
  readonly parameterCount: number;
  readonly bytes: number;
  /** Adapts the vision tower or the projector: pictures are encoded anew under it. */
  readonly touchesVision: boolean;
  readonly usesDora: boolean;
}

/**
 * An adapter loaded by {@link FaceLlm.loadAdapter}. It works where `setAdapter` or a request names it, in its
 * own model only.
 */
export class Adapter implements AsyncDisposable {
  readonly facts: AdapterFacts;
  readonly #unload: () => Promise<void>;

  /** @internal use {@link FaceLlm.loadAdapter} */
  constructor(facts: AdapterFacts, unload: () => Promise<void>) {
    this.facts = facts;
    this.#unload = unload;
  }

  get name(): string {
    return this.facts.name;
  }

  /**
   * Frees its memory once requests under way have ended; requests made from now on may not name it. Takes it out
   * of the model's default. May be called any number of times.
   */
  unload(): Promise<void> {
    return this.#unload();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.unload();
  }
}

/** Which adapters work: one, several (their effects add up), or none. */
export type AdapterSelection = Adapter | readonly Adapter[] | null;
