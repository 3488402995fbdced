/** Fields that every question has: model, adapters, how its pictures are cut, how it is queued. */
import { type TemplateName, TEMPLATE_NAMES } from '../chat/index.js';
import type { TilingOptions } from '../image/index.js';
import type { PromptOptions } from '../model/index.js';
import { readFaces } from './face-fields.js';
import type { Policy } from './options.js';
import type { Fields } from './values.js';

export interface PromptFields {
  readonly model: string | undefined;
  readonly adapters: readonly string[];
  readonly prompt: Pick<
    PromptOptions,
    'template' | 'tiling' | 'limitsImageArea' | 'applyExif' | 'faces'
  >;
  readonly reusePrefix: boolean | undefined;
  readonly priority: number;
  readonly timeoutMs: number | undefined;
}

export const PROMPT_FIELDS = [
  'model',
  'adapters',
  'tiles',
  'mm_processor_kwargs',
  'template',
  'limit_area',
  'apply_exif',
  'faces',
  'reuse_prefix',
  'cache_salt',
  'priority',
  'timeout_ms',
] as const;

/** Facts about who sends, for others: they change no answer. Never logged. */
export const IGNORED_FIELDS = [
  'user',
  'safety_identifier',
  'metadata',
  'service_tier',
  'parallel_tool_calls',
  'prompt_cache_key',
  'prompt_cache_retention',
  'prompt_cache_options',
] as const;

const MOST_ADAPTERS = 8;

function readTiles(fields: Fields, policy: Policy): TilingOptions | undefined {
  const { problems } = fields;
  if (fields.raw('tiles') === 'off') return 'off';
  const most = policy.limits.tiles;
  const tiles = fields.object('tiles', ['min', 'max', 'thumbnail']);
  const alias = fields.object('mm_processor_kwargs', ['min_dynamic_patch', 'max_dynamic_patch']);
  if (tiles !== undefined && alias !== undefined) {
    problems.wrong('tiles', 'either tiles or mm_processor_kwargs');
  }
  const minTiles = tiles?.whole('min', 1, most) ?? alias?.whole('min_dynamic_patch', 1, most);
  const maxTiles = tiles?.whole('max', 1, most) ?? alias?.whole('max_dynamic_patch', 1, most);
  const thumbnail = tiles?.flag('thumbnail');
  if (minTiles !== undefined && maxTiles !== undefined && minTiles > maxTiles) {
    problems.wrong('tiles', 'min to be at most max');
  }
  if (tiles === undefined && alias === undefined) return undefined;
  return {
    ...(minTiles !== undefined && { minTiles }),
    ...(maxTiles !== undefined && { maxTiles }),
    ...(thumbnail !== undefined && { thumbnail }),
  };
}

export function readPromptFields(fields: Fields, policy: Policy): PromptFields {
  const { problems } = fields;
  const names = fields.list('adapters', 0, MOST_ADAPTERS) ?? [];
  if (!names.every((name) => typeof name === 'string')) {
    problems.wrong('adapters', 'a list of names');
  }
  // Needs salted roots in the block cache.
  if (fields.raw('cache_salt') !== undefined) problems.unsupported('cache_salt');
  return {
    model: fields.text('model', 256),
    adapters: names.map(String),
    prompt: {
      template: fields.word<TemplateName>('template', ...TEMPLATE_NAMES),
      tiling: readTiles(fields, policy),
      limitsImageArea: fields.flag('limit_area'),
      applyExif: fields.flag('apply_exif'),
      faces: readFaces(fields) ?? policy.faces,
    },
    reusePrefix: fields.flag('reuse_prefix'),
    priority: fields.whole('priority', -10, 10) ?? 0,
    timeoutMs: fields.whole('timeout_ms', 1, 2 ** 31 - 1),
  };
}
