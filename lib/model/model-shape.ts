/** The sizes of a model that is made from nothing: everything of InternVL3's configuration that is a choice. */
import { z } from 'zod';

import { InvalidArgumentError } from '../errors.js';
import { unknownFields } from '../options/index.js';

export interface ModelShape {
  /** Side of a tile in pixels. */
  readonly imageSize: number;
  /** Side of a patch in pixels; an even number of them must fill the side of a tile, since four become a token. */
  readonly patchSize: number;
  readonly visionWidth: number;
  readonly visionLayers: number;
  readonly visionHeads: number;
  readonly visionIntermediate: number;
  readonly textWidth: number;
  readonly textLayers: number;
  readonly textHeads: number;
  /** Query heads share keys and values in groups of textHeads / textKeyValueHeads. */
  readonly textKeyValueHeads: number;
  readonly textIntermediate: number;
  /** Longest sequence in tokens, those of pictures among them. */
  readonly maxPositions: number;
  /** Base of the rotary embedding's wavelengths. */
  readonly ropeTheta: number;
  /** The head is the embedding; else it has weights of its own, as in all released sizes. */
  readonly tiesEmbeddings: boolean;
}

/** About a million parameters: one face in 16 tokens, short answers, minutes of training on a CPU. */
export function nanoShape(): ModelShape {
  return Object.freeze({
    imageSize: 64,
    patchSize: 8,
    visionWidth: 128,
    visionLayers: 3,
    visionHeads: 4,
    visionIntermediate: 512,
    textWidth: 128,
    textLayers: 2,
    textHeads: 4,
    textKeyValueHeads: 2,
    textIntermediate: 384,
    maxPositions: 512,
    ropeTheta: 1e6, // all released sizes
    tiesEmbeddings: true,
  });
}

// The limits of config.json's own schema (lib/checkpoint/schema.ts).
const size = z
  .number()
  .int()
  .min(1)
  .max(1 << 20);
const layers = z.number().int().min(1).max(1024);
const pixels = z.number().int().min(1).max(8192);

const sizes = {
  imageSize: pixels,
  patchSize: pixels,
  visionWidth: size,
  visionLayers: layers,
  visionHeads: size,
  visionIntermediate: size,
  textWidth: size,
  textLayers: layers,
  textHeads: size,
  textKeyValueHeads: size,
  textIntermediate: size,
  maxPositions: z
    .number()
    .int()
    .min(1)
    .max(2 ** 31 - 1),
  ropeTheta: z.number().gt(1),
  tiesEmbeddings: z.boolean(),
};
const schema = z.strictObject(sizes, { error: unknownFields(sizes) });

/** Between fields, said of the first; each looks only at fields that are sound on their own. */
const RULES: readonly {
  readonly fields: readonly (keyof ModelShape)[];
  readonly holds: (shape: ModelShape) => boolean;
  readonly text: (shape: ModelShape) => string;
}[] = [
  {
    fields: ['patchSize', 'imageSize'],
    holds: (s) => Number.isInteger(s.imageSize / s.patchSize / 2),
    text: (s) =>
      `expected an even number of patches along imageSize ${s.imageSize}, got ` +
      `${s.imageSize} / ${s.patchSize} = ${Number((s.imageSize / s.patchSize).toFixed(3))}`,
  },
  {
    fields: ['visionHeads', 'visionWidth'],
    holds: (s) => s.visionWidth % s.visionHeads === 0,
    text: (s) => `expected a divisor of visionWidth ${s.visionWidth}, got ${s.visionHeads}`,
  },
  {
    fields: ['textHeads', 'textWidth'],
    holds: (s) => s.textWidth % s.textHeads === 0 && (s.textWidth / s.textHeads) % 2 === 0,
    text: (s) =>
      `expected to divide textWidth ${s.textWidth} into even heads, which RoPE turns in ` +
      `pairs, got ${s.textHeads}`,
  },
  {
    fields: ['textKeyValueHeads', 'textHeads'],
    holds: (s) => s.textHeads % s.textKeyValueHeads === 0,
    text: (s) => `expected a divisor of textHeads ${s.textHeads}, got ${s.textKeyValueHeads}`,
  },
  {
    fields: ['maxPositions', 'patchSize', 'imageSize'],
    holds: (s) =>
      !Number.isInteger(s.imageSize / s.patchSize / 2) || s.maxPositions > tokensOfTile(s) + 2,
    text: (s) =>
      `expected more than the ${tokensOfTile(s) + 2} tokens of one picture, got ${s.maxPositions}`,
  },
];

/** Tokens that one tile becomes: half as many along a side as it has patches. */
export function tokensOfTile({ imageSize, patchSize }: ModelShape): number {
  return (imageSize / patchSize / 2) ** 2;
}

/** A shape of which a model can be made. */
export const modelShape: z.ZodType<ModelShape> = z.unknown().transform((value, context) => {
  const parsed = schema.safeParse(value);
  const issues: z.core.$ZodIssue[] = [...(parsed.error?.issues ?? [])];
  const wrong = new Set(issues.map(({ path }) => path[0]));
  if (typeof value === 'object' && value !== null) {
    const shape = value as ModelShape;
    for (const { fields, holds, text } of RULES) {
      if (fields.some((field) => wrong.has(field)) || holds(shape)) continue;
      issues.push({ code: 'custom', path: fields.slice(0, 1), message: text(shape) });
    }
  }
  for (const issue of issues)
    context.issues.push({ ...issue, input: value } as z.core.$ZodRawIssue);
  return parsed.success && issues.length === 0 ? parsed.data : z.NEVER;
});

/**
 * The shape with `key=value` settings, values written as JSON (`textLayers=4`, `tiesEmbeddings=false`). Whether they
 * make a model is for {@link modelShape} to say.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every wrong setting
 */
export function overrideShape(shape: ModelShape, settings: readonly string[]): ModelShape {
  const known = Object.keys(schema.shape);
  const details: string[] = [];
  const changes: Record<string, unknown> = {};
  for (const setting of settings) {
    const [, key = '', text = ''] = /^(\w+)=(.*)$/s.exec(setting) ?? [];
    if (!known.includes(key)) {
      details.push(`${setting}: expected key=value with one of ${known.join(', ')}`);
      continue;
    }
    try {
      changes[key] = JSON.parse(text) as unknown;
    } catch {
      details.push(`${setting}: expected a number, true or false`);
    }
  }
  if (details.length > 0) {
    throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the settings are wrong', {
      details,
    });
  }
  return { ...shape, ...changes };
}
