/**
 * How prompts and pictures were made in training, recorded beside the weights (facellm_training.json), and
 * what a request makes of it: serving does as training did unless told otherwise.
 */
import { join } from 'node:path';

import { z } from 'zod';

import { DEFAULT_SYSTEM, TEMPLATE_NAMES, type TemplateName } from '../chat/index.js';
import type { CheckpointConfig, CheckpointLayout } from '../checkpoint/index.js';
import { createError, type ErrorCode } from '../errors.js';
import {
  askedFaces,
  faceSettings,
  type ResolvedAskedFaces,
  resolvePictureFaces,
} from '../faces/index.js';
import { jsonFault, parseJson, readOptionalText } from '../files/index.js';
import type { TilingOptions } from '../image/index.js';
import type { PromptOptions, ResolvedPromptOptions } from './prompt-options.js';
import { type TrainedBase, trainedBase } from './trained-base.js';

export const SETTINGS_FILE = 'facellm_training.json';

/** Settings that answers depend on. */
export interface ServingSettings {
  readonly template: TemplateName;
  /** Text of the system turn; '': none. */
  readonly system: string;
  readonly tiling: TilingOptions;
  /** The bound of 768 x 768 pixels on a picture before it is cut. */
  readonly limitsImageArea: boolean;
  readonly applyExif: boolean;
  /** How the chips were cut that it was trained on; `off`: on pictures as they are. */
  readonly faces: ResolvedAskedFaces | 'off';
  /** Of an adapter: what it was trained upon, where that is recorded. */
  readonly base?: TrainedBase;
}

const count = z.number().int().min(1).max(4096);
const schema = z.object({
  template: z.enum(TEMPLATE_NAMES),
  system: z.string(),
  tiles: z.union([z.literal('off'), z.object({ minTiles: count, maxTiles: count })]),
  limitsImageArea: z.boolean(),
  // The training path leaves pictures as stored (docs/internvl3.md, section 4.1).
  applyExif: z.boolean().default(false),
  faces: z.union([z.literal('off'), askedFaces]).default('off'),
  base: trainedBase.optional(),
});

/**
 * The settings recorded in a folder of weights; undefined where there are none, as in adapters of other
 * programs.
 *
 * @throws FaceLlmError `code`, listing every problem of the file
 */
export async function readServingSettings(
  directory: string,
  code: ErrorCode,
): Promise<ServingSettings | undefined> {
  const path = join(directory, SETTINGS_FILE);
  const text = await readOptionalText(path, { unreadable: code, invalid: code });
  if (text === undefined) return undefined;
  const json = parseJson(text);
  if (!json.isValid) throw createError(code, `${path} ${jsonFault(text, json.reason)}`);
  const parsed = schema.safeParse(json.value);
  if (!parsed.success) {
    throw createError(code, `${path} does not hold the settings of a training run`, {
      details: parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`),
    });
  }
  const { tiles, faces, base, ...settings } = parsed.data;
  const cut = resolvePictureFaces(faces);
  return {
    ...{ ...settings, tiling: tiles, faces: cut === 'cropped' ? 'off' : cut },
    ...(base === undefined ? {} : { base }),
  };
}

/**
 * The form in which a checkpoint is asked by its own reference: the original layout's code writes InternVL's chat form
 * itself and never looks at the tokenizer's template, which knows no pictures.
 */
export function defaultTemplate(layout: CheckpointLayout): TemplateName {
  return layout === 'original' ? 'original' : 'hub';
}

/** What the options stand for where nothing is recorded. */
function resolveAlone(options: PromptOptions, layout: CheckpointLayout): ResolvedPromptOptions {
  const template = options.template ?? defaultTemplate(layout);
  const isTraining = template === 'training';
  return {
    ...options,
    template,
    tiling: options.tiling ?? (isTraining ? 'off' : undefined),
    limitsImageArea: options.limitsImageArea ?? isTraining,
    applyExif: options.applyExif ?? true,
    faces: resolvePictureFaces(options.faces),
  };
}

/**
 * Fills in what the caller left open: from the record, if there is one and the caller asks for no other form of
 * prompt; else by the form, the layout's own if none is named. A form named by the caller brings its own defaults,
 * not half of the record's.
 */
export function resolvePromptOptions(
  options: PromptOptions,
  recorded: ServingSettings | undefined,
  layout: CheckpointLayout,
): ResolvedPromptOptions {
  const follows = options.template === undefined || options.template === recorded?.template;
  if (recorded === undefined || !follows) return resolveAlone(options, layout);
  return {
    ...options,
    template: recorded.template,
    system: options.system ?? recorded.system,
    tiling: options.tiling ?? recorded.tiling,
    limitsImageArea: options.limitsImageArea ?? recorded.limitsImageArea,
    applyExif: options.applyExif ?? recorded.applyExif,
    faces: resolvePictureFaces(options.faces, recorded.faces),
  };
}

function systemText({ template, system }: Pick<ResolvedPromptOptions, 'template' | 'system'>) {
  return system ?? (template === 'hub' ? '' : DEFAULT_SYSTEM);
}

function tilingText(tiling: TilingOptions | undefined, config: CheckpointConfig): string {
  if (tiling === 'off') return '1..1';
  const { minTiles, maxTiles, thumbnail } = tiling ?? {};
  const most = maxTiles ?? config.maxTiles;
  const withThumbnail = most > 1 && (thumbnail ?? config.useThumbnail);
  return `${minTiles ?? config.minTiles}..${most}${withThumbnail ? ' and a thumbnail' : ''}`;
}

/** What a chip looks like; which of several faces it shows is the question's affair. */
function facesText(faces: ResolvedAskedFaces | 'off'): string {
  if (faces === 'off') return 'off';
  const { margin, size, align, detector } = faceSettings(faces);
  return `margin ${margin}, ${size} pixels, ${align === true ? 'upright' : 'not turned'}, ${detector}`;
}

function shorten(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}

/** How a prompt is written and its pictures are cut, in words that two of them are compared by. */
export interface FormText {
  readonly template: TemplateName;
  readonly system: string;
  /** `1..12 and a thumbnail`. */
  readonly tiles: string;
  readonly limitsImageArea: boolean;
  readonly applyExif: boolean;
  readonly faces: string;
}

/** With every default in place, the checkpoint's tiles, too. */
export function formText(used: ResolvedPromptOptions, config: CheckpointConfig): FormText {
  const { template, tiling, limitsImageArea, applyExif } = used;
  const tiles = tilingText(tiling, config);
  const faces = used.faces === 'cropped' ? used.faces : facesText(used.faces);
  return { template, system: systemText(used), tiles, limitsImageArea, applyExif, faces };
}

/** What decides which settings matter to a request. */
export interface RequestFacts {
  readonly hasImages: boolean;
  /** False: image vectors only. */
  readonly hasText: boolean;
  /** The conversation begins with a system turn. */
  readonly hasOwnSystem: boolean;
}

/** One line for each setting in which a request departs from the record. */
export function settingDifferences(
  used: ResolvedPromptOptions,
  recorded: ServingSettings,
  config: CheckpointConfig,
  request: RequestFacts,
): string[] {
  const differences: string[] = [];
  const compare = (name: string, trained: string, now: string): void => {
    if (trained !== now) differences.push(`${name}: trained with ${trained}, now ${now}`);
  };
  if (request.hasText) compare('template', recorded.template, used.template);
  // A conversation that brings its own system turn says what it wants.
  if (request.hasText && !request.hasOwnSystem && systemText(used) !== recorded.system) {
    differences.push(
      `system: trained with ${shorten(recorded.system)}, now ${shorten(systemText(used))}`,
    );
  }
  if (request.hasImages) {
    compare('tiles', tilingText(recorded.tiling, config), tilingText(used.tiling, config));
    compare('limitsImageArea', String(recorded.limitsImageArea), String(used.limitsImageArea));
    compare('applyExif', String(recorded.applyExif), String(used.applyExif));
    if (used.faces !== 'cropped') {
      compare('faces', facesText(recorded.faces), facesText(used.faces));
    }
  }
  return differences;
}
