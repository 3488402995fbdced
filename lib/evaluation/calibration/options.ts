/** What `calibrate()` is given, checked all at once before a file is read. */
import type { z } from 'zod';

import { checkArguments, field, fields, name, type Shape, whole } from '../../options/index.js';
import type { ExtractSchema } from '../../model/index.js';
import { attributesShape, type EvaluateOptions } from '../evaluate-options.js';

type Attributes = Extract<EvaluateOptions, { benchmark: 'attributes' }>;

/** A schema whose fields are calibrated in place of single questions: those named as the attributes. */
export interface CalibratedSchema {
  /** What is asked, exactly as it will be asked. */
  readonly question: string;
  /** As `extract` takes it; each attribute's property an enum of the attribute's answers. */
  readonly schema: ExtractSchema;
  /** Of a picture's object: one that is longer has no probabilities. @default 500, as of `extract` */
  readonly maxNewTokens?: number | undefined;
}

export interface CalibrateOptions extends Omit<
  Attributes,
  'tuned' | 'reading' | 'maxNewTokens' | 'calibration'
> {
  /** Parts into which pictures are dealt: each is scaled by what the others fit. @default 5 */
  readonly folds?: number | undefined;
  /** @default each attribute's own question, as `choose` asks it */
  readonly extract?: CalibratedSchema | undefined;
}

const ownShape = {
  folds: whole(2, 100).optional(),
  extract: fields<CalibratedSchema>({
    question: name('a text of at least one character'),
    schema: field<ExtractSchema>(
      'a zod type or a JSON schema',
      (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    ),
    maxNewTokens: whole(1).optional(),
  }).optional(),
};
/** Of an evaluation, and of no calibration. */
const OTHERS: readonly string[] = ['tuned', 'reading', 'maxNewTokens', 'calibration'];
const shared = Object.fromEntries(
  Object.entries(attributesShape).filter(([key]) => !OTHERS.includes(key)),
) as Shape<Omit<CalibrateOptions, keyof typeof ownShape>>;
const calibrateOptions: z.ZodType<CalibrateOptions> = fields<CalibrateOptions>({
  ...shared,
  ...ownShape,
});

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing everything that can be told without reading a file */
export function checkCalibrateOptions(options: CalibrateOptions): void {
  checkArguments('the calibration options are wrong', [calibrateOptions, options]);
}
