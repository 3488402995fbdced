/**
 * What requests to known models take and cost. Prices are those that the provider published for its
 * standard tier when this table was made (see `PRICES_AS_OF`); they change, so options overrule them.
 */
import type { TokenPrices } from './teacher.js';

export const PRICES_AS_OF = '2025-07';

/** The provider's Batch API charges half. */
export const BATCH_PRICE_FACTOR = 0.5;

/**
 * How a model counts a picture: by 512-pixel squares after scaling into 2048 and down to a shorter
 * side of 768, or by 32-pixel patches, 1536 of them at most, times a factor.
 */
type PictureRule =
  | { readonly by: 'squares'; readonly base: number; readonly each: number }
  | { readonly by: 'patches'; readonly factor: number };

interface KnownModel {
  readonly name: RegExp;
  readonly prices: TokenPrices;
  readonly picture: PictureRule;
}

const SQUARES = { by: 'squares', base: 85, each: 170 } as const;

const KNOWN_MODELS: readonly KnownModel[] = [
  {
    name: /^gpt-4o-mini\b/,
    prices: { input: 0.15, output: 0.6 },
    picture: { by: 'squares', base: 2833, each: 5667 },
  },
  { name: /^gpt-4o\b/, prices: { input: 2.5, output: 10 }, picture: SQUARES },
  {
    name: /^gpt-4\.1-nano\b/,
    prices: { input: 0.1, output: 0.4 },
    picture: { by: 'patches', factor: 2.46 },
  },
  {
    name: /^gpt-4\.1-mini\b/,
    prices: { input: 0.4, output: 1.6 },
    picture: { by: 'patches', factor: 1.62 },
  },
  { name: /^gpt-4\.1\b/, prices: { input: 2, output: 8 }, picture: SQUARES },
];

function known(model: string): KnownModel | undefined {
  return KNOWN_MODELS.find(({ name }) => name.test(model));
}

/** Undefined for a model that is not in the table. */
export function knownPrices(model: string): TokenPrices | undefined {
  return known(model)?.prices;
}

function squares(width: number, height: number): number {
  const toFit = Math.min(1, 2048 / Math.max(width, height));
  const scale = toFit * Math.min(1, 768 / (Math.min(width, height) * toFit));
  return Math.ceil((width * scale) / 512) * Math.ceil((height * scale) / 512);
}

/** Tokens that a picture is charged as; for an unknown model as gpt-4o counts. */
export function pictureTokens(model: string, width: number, height: number): number {
  const rule = known(model)?.picture ?? SQUARES;
  if (rule.by === 'squares') return rule.base + rule.each * squares(width, height);
  const patches = Math.min(1536, Math.ceil(width / 32) * Math.ceil(height / 32));
  return Math.ceil(patches * rule.factor);
}
