/** What all stages share: settings, screen, cache, interruption. */
import type { DemoOptions } from './options.js';
import type { Interruption } from './interruption.js';
import type { Portrait } from './portraits.js';
import type { Screen } from './screen.js';
import type { StageCache } from './stage-cache.js';

/** Asked about, taught and scored; all are closed questions of the prompt set `attributes`. */
export const ATTRIBUTES = ['gender', 'eyewear', 'smile'] as const;
export type DemoAttribute = (typeof ATTRIBUTES)[number];

/** What faces are told apart by, to see whether the model serves them alike. */
export const GROUPS = ['source', 'gender', 'age'] as const;

/** What the model sees of a picture: its face, turned upright and cut out, so that all portraits are framed alike. */
export const CHIPS = { which: 'main', margin: 0, size: 128 } as const;

/** Prompts as in training: no system turn, one tile a picture, faces cut out of pictures as they are stored. */
export const PROMPT = { template: 'training', system: '', applyExif: false, faces: CHIPS } as const;

export interface Demo {
  readonly options: DemoOptions;
  readonly screen: Screen;
  readonly cache: StageCache;
  readonly interruption: Interruption;
  /** The label file: of all portraits, or of a smoke test's few. */
  readonly labels: string;
  readonly portraits: readonly Portrait[];
}
