/**
 * What a model's card is written from, kept beside it as facellm_card.yaml: whoever merges an adapter, scores or calibrates a model adds
 * to it. No time, no machine and no absolute path is in it: equal models have equal cards. YAML, since the JSON files of a folder are
 * part of what a model is known by.
 */
import { join } from 'node:path';

import { parse } from 'yaml';
import { z } from 'zod';

import { createError } from '../errors.js';
import { readOptionalText } from '../files/index.js';
import { problemsOf } from '../options/index.js';

export const CARD_FACTS = 'facellm_card.yaml';
const FORMAT = 'facellm-card-1';

export interface CardEstimate {
  readonly value: number;
  /** Of the 95 % interval. */
  readonly low?: number | undefined;
  readonly high?: number | undefined;
}

export interface CardTraining {
  readonly recipe: Readonly<Record<string, unknown>>;
  /** By the name of its file; the licence as the README.md beside it says. */
  readonly data: {
    readonly name: string;
    readonly sha256: string;
    readonly records: number;
    readonly license?: string | undefined;
  };
  /** Hash of all that the run's numbers follow from. */
  readonly fingerprint: string;
  readonly steps: number;
  readonly totalSteps: number;
  readonly trainSamples: number;
  /** Of the weights kept, which were chosen by `metric`; `last`: they were not chosen. */
  readonly validation?:
    | {
        readonly samples: number;
        readonly metric: string;
        readonly step: number;
        readonly loss?: number | undefined;
        readonly accuracy?: number | undefined;
        readonly balancedAccuracy?: number | undefined;
        readonly groups: readonly {
          readonly fact: string;
          readonly value: string;
          readonly samples: number;
          readonly loss: number;
          readonly accuracy?: number | undefined;
        }[];
      }
    | undefined;
}

export interface CardScores {
  readonly benchmark: string;
  readonly notes: readonly string[];
  readonly isPartial: boolean;
  readonly smallGroup: number;
  /** Template, system turn, tiles, dtype; absent of cards that older versions wrote. */
  readonly asked?: Readonly<Record<string, string>> | undefined;
  readonly attributes: readonly {
    readonly name: string;
    readonly reading: string;
    readonly count: number;
    readonly accuracy?: CardEstimate | undefined;
    readonly balancedAccuracy?: CardEstimate | undefined;
    readonly ece?: CardEstimate | undefined;
    readonly groups: readonly {
      readonly by: string;
      readonly group: string;
      readonly count: number;
      readonly isSmall: boolean;
      readonly accuracy?: CardEstimate | undefined;
    }[];
  }[];
}

/** Of the text layers' projections. */
export interface CardQuantisation {
  readonly format: string;
  /** Of a code. */
  readonly bits: number;
  /** Columns that share a scale; 0: a row does. */
  readonly group: number;
}

export interface CardFacts {
  readonly kind: 'adapter' | 'model';
  /** Of the weights, as the user states it. */
  readonly license?: string | undefined;
  readonly base: {
    /** A hub id, or the name of a folder. */
    readonly name: string;
    readonly isHubId: boolean;
    /** sha256 over samples of every tensor. */
    readonly weights: string;
    readonly license?: string | undefined;
  };
  /** Folded into the weights, in this order. */
  readonly merged: readonly { readonly name: string; readonly sha256: string }[];
  readonly files: readonly { readonly name: string; readonly sha256: string }[];
  /** Of a model, whose files are large: sha256 over samples of every tensor. */
  readonly weights?: string | undefined;
  /** Of what is not quantised. */
  readonly dtype: string;
  /** In which form the weights here are. @default as plain numbers */
  readonly quantisation?: CardQuantisation | undefined;
  /** Plain weights that were quantised before: what that took from them is gone. */
  readonly decodedFrom?: CardQuantisation | undefined;
  /** The last one last. */
  readonly trainings: readonly CardTraining[];
  readonly scores?: CardScores | undefined;
  readonly calibration?:
    | readonly {
        readonly name: string;
        readonly count: number;
        readonly temperature: number;
        readonly eceBefore: number;
        readonly eceAfter: number;
      }[]
    | undefined;
}

const text = z.string().min(1);
const count = z.number().int();
const figure = z.number().optional();
const estimate = z.strictObject({ value: z.number(), low: figure, high: figure }).optional();
const named = z.array(z.strictObject({ name: text, sha256: text }));
const data = z.strictObject({ name: text, sha256: text, records: count, license: text.optional() });
const group = z.strictObject({
  ...{ fact: text, value: text, samples: count },
  ...{ loss: z.number(), accuracy: figure },
});
const validation = z.strictObject({
  ...{ samples: count, metric: text, step: count },
  ...{ loss: figure, accuracy: figure, balancedAccuracy: figure, groups: z.array(group) },
});
const training: z.ZodType<CardTraining> = z.strictObject({
  ...{ recipe: z.record(z.string(), z.unknown()), data, fingerprint: text },
  ...{ steps: count, totalSteps: count, trainSamples: count, validation: validation.optional() },
});
const scoredGroup = z.strictObject({
  ...{ by: text, group: text, count, isSmall: z.boolean(), accuracy: estimate },
});
const attribute = z.strictObject({
  ...{ name: text, reading: text, count },
  ...{ accuracy: estimate, balancedAccuracy: estimate, ece: estimate },
  groups: z.array(scoredGroup),
});
const scores: z.ZodType<CardScores> = z.strictObject({
  ...{ benchmark: text, notes: z.array(z.string()), isPartial: z.boolean(), smallGroup: count },
  asked: z.record(z.string(), z.string()).optional(),
  attributes: z.array(attribute),
});
const calibration = z.strictObject({
  ...{ name: text, count, temperature: z.number(), eceBefore: z.number(), eceAfter: z.number() },
});
const base = z.strictObject({
  ...{ name: text, isHubId: z.boolean(), weights: text, license: text.optional() },
});
const quantisation = z.strictObject({ format: text, bits: count, group: count }).optional();
type Written = CardFacts & { readonly format: typeof FORMAT };
const schema: z.ZodType<Written> = z.strictObject({
  ...{ format: z.literal(FORMAT), kind: z.enum(['adapter', 'model']), license: text.optional() },
  ...{ base, merged: named, files: named, weights: text.optional(), dtype: text },
  ...{ quantisation, decodedFrom: quantisation, trainings: z.array(training) },
  scores: scores.optional(),
  calibration: z.array(calibration).optional(),
});

/** With the form that {@link readCardFacts} reads. */
export const withFormat = (facts: CardFacts): Written => ({ format: FORMAT, ...facts });

/**
 * Of a folder of weights; undefined where there are none.
 *
 * @throws DataError FACELLM_DATA_INVALID listing all that is wrong
 */
export async function readCardFacts(directory: string): Promise<CardFacts | undefined> {
  const path = join(directory, CARD_FACTS);
  const written = await readOptionalText(path, {
    unreadable: 'FACELLM_DATA_INVALID',
    invalid: 'FACELLM_DATA_INVALID',
  });
  if (written === undefined) return undefined;
  let value: unknown;
  try {
    value = parse(written);
  } catch {
    value = undefined; // told below
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) {
    const facts: CardFacts & { format?: string } = { ...parsed.data };
    delete facts.format;
    return facts;
  }
  throw createError(
    'FACELLM_DATA_INVALID',
    `${path} is none that this version has written; remove it, and the card is made without it`,
    { details: problemsOf(parsed.error) },
  );
}
