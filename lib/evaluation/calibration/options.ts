/** What `calibrate()` is given, checked all at once before a file is read. */
import type { z } from 'zod';

import { type AskedSchema, askedSchema } from '../../model/index.js';
import { checkArguments, fields, type Shape, whole } from '../../options/index.js';
import { attributesShape, type EvaluateOptions } from '../evaluate-options.js';

type Attributes = Extract<EvaluateOptions, { benchmark: 'attributes' }>;

/**
 * A schema whose fields are calibrated in place of single questions: those named as the attributes, each attribute's property an
 * enum of the attribute's answers. Asked exactly as it will be asked.
 */
export type CalibratedSchema = AskedSchema;

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
  extract: askedSchema.optional(),
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
