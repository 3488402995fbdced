/**
 * The base that an adapter was trained upon, as facellm_training.json records it: which weights, and in which form. An adapter
 * of the weights as they are stored works on any form of them; one that learnt on weights in 8 or 4 bits has learnt to mend
 * those, and is exact on them alone (docs/quantisation.md, "Training").
 */
import { z } from 'zod';

import type { NativeWeightForms } from '../binding/native.js';
import type { StoredQuantisation } from '../checkpoint/index.js';
import { createError } from '../errors.js';
import { WEIGHT_FORMS, type WeightForm } from './weight-forms.js';

export interface TrainedBase {
  /** Of the checkpoint's weights, by samples of every tensor. */
  readonly weightsHash: string;
  /** In which form the text layers were, and int4's columns of a scale. */
  readonly form: WeightForm;
  readonly group: number;
}

export const trainedBase: z.ZodType<TrainedBase> = z.object({
  weightsHash: z.string(),
  form: z.enum(WEIGHT_FORMS),
  group: z.number().int(),
});

/** What an adapter is to work on. */
export interface OfferedBase {
  readonly weightsHash: string;
  readonly quantisation: StoredQuantisation | undefined;
  readonly weights: Pick<NativeWeightForms, 'text' | 'group'>;
}

function formText({ form, group }: Pick<TrainedBase, 'form' | 'group'>): string {
  if (form === 'stored') return 'weights as they are stored';
  return form === 'int4' ? `int4 in groups of ${group}` : form;
}

/** One line each; empty where the adapter is on its own base, or nothing is recorded. */
export function baseDifferences(
  trained: TrainedBase | undefined,
  { weightsHash, quantisation, weights }: OfferedBase,
): string[] {
  if (trained === undefined) return [];
  const differences: string[] = [];
  const isSame = trained.weightsHash === weightsHash;
  // Other files may be the same weights, quantised: nothing tells.
  if (!isSame && (quantisation === undefined || trained.form !== 'stored')) {
    const [was, is] = [trained.weightsHash, weightsHash].map((hash) => hash.slice(0, 12));
    differences.push(`weights of the base: trained upon ${was}…, this model has ${is}…`);
  }
  const offered = { form: weights.text, group: weights.group };
  if (trained.form !== 'stored' && formText(trained) !== formText(offered)) {
    differences.push(
      `form of the base: trained upon ${formText(trained)}, this model keeps ${formText(offered)}`,
    );
  }
  return differences;
}

/**
 * AWQ's tools fold a factor a column into the weights, and its inverse into what comes before: what a layer multiplies is no longer
 * what an adapter of the original has learnt to multiply.
 *
 * @throws CheckpointError FACELLM_ADAPTER_INVALID for an adapter that is known to be of other weights than these
 */
export function refuseFolded(
  name: string,
  trained: TrainedBase | undefined,
  { weightsHash, quantisation }: Pick<OfferedBase, 'weightsHash' | 'quantisation'>,
): void {
  if (quantisation?.method !== 'awq' || trained === undefined) return;
  if (trained.weightsHash === weightsHash) return;
  throw createError(
    'FACELLM_ADAPTER_INVALID',
    `the adapter ${name} was trained upon other weights than this AWQ checkpoint's, whose columns are scaled and whose ` +
      'norms are divided by the same factors, so that its layers see other inputs; load the original weights ' +
      "(with weights: 'int4' for the same size), or train the adapter upon this checkpoint",
  );
}
