/**
 * The base that an adapter was trained upon, as facellm_training.json records it: which weights, and in which form. An adapter
 * of the weights as they are stored works on any form of them; one that learnt on weights in 8 or 4 bits has learnt to mend
 * those, and is exact on them alone, as one is that learnt on quantised files (docs/quantisation.md, "Training").
 */
import { z } from 'zod';

import type { NativeWeightForms } from '../binding/native.js';
import type { StoredQuantisation } from '../checkpoint/index.js';
import { createError } from '../errors.js';
import type { ModelWarning } from './warning.js';
import { keptForm, WEIGHT_FORMS, type WeightForm } from './weight-forms.js';

export interface TrainedBase {
  /** Of the checkpoint's weights, by samples of every tensor. */
  readonly weightsHash: string;
  /** In which form the text layers were, and int4's columns of a scale. */
  readonly form: WeightForm;
  readonly group: number;
  /** Of quantised files: how they are. Absent: they were not, or the record is older than this field. */
  readonly quantisation?: StoredQuantisation | undefined;
}

const STORED_FORMATS = [
  ...(['pack-quantized', 'int-quantized', 'float-quantized'] as const),
  ...(['awq', 'gptq', 'gptq_v2', 'nf4'] as const),
] as const;

const stored: z.ZodType<StoredQuantisation> = z.object({
  method: z.string(),
  format: z.enum(STORED_FORMATS),
  bits: z.union([z.literal(4), z.literal(8)]),
  group: z.number().int(),
  isSymmetric: z.boolean(),
  isDouble: z.boolean().optional(),
});

export const trainedBase: z.ZodType<TrainedBase> = z.object({
  weightsHash: z.string(),
  form: z.enum(WEIGHT_FORMS),
  group: z.number().int(),
  quantisation: stored.optional(),
});

/** What an adapter is to work on. */
export interface OfferedBase {
  readonly weightsHash: string;
  readonly quantisation: StoredQuantisation | undefined;
  readonly weights: Pick<NativeWeightForms, 'text' | 'group'>;
}

/** What the numbers are: files' codes, wherever they are kept or put back, are one form. */
function formText(
  { form, group }: Pick<TrainedBase, 'form' | 'group'>,
  files: StoredQuantisation | undefined,
): string {
  if (form === 'int4') return `int4 in groups of ${group}`;
  // Nothing is rounded a second time: the files' own numbers.
  if (form === 'nf4-double' && files?.isDouble === true) return 'nf4';
  if (form !== 'stored') return form;
  if (files === undefined) return 'weights as they are stored';
  const kept = keptForm(files);
  if (kept !== undefined) return formText({ form: kept.text, group: kept.group }, undefined);
  const scales = files.group === 0 ? 'a scale a row' : `groups of ${files.group}`;
  return `the codes of ${files.method} files, ${files.bits} bits, ${scales}`;
}

/** One line each; empty where the adapter is on its own base, or nothing is recorded. */
export function baseDifferences(
  trained: TrainedBase | undefined,
  { weightsHash, quantisation, weights }: OfferedBase,
): string[] {
  if (trained === undefined) return [];
  const differences: string[] = [];
  const isSame = trained.weightsHash === weightsHash;
  // The same files are quantised now as they were then, whatever the record's age.
  const files = isSame ? quantisation : trained.quantisation;
  const isOfStored = trained.form === 'stored' && files === undefined;
  // Other files may be the same weights, quantised: nothing tells.
  if (!isSame && (quantisation === undefined || !isOfStored)) {
    const [was, is] = [trained.weightsHash, weightsHash].map((hash) => hash.slice(0, 12));
    differences.push(`weights of the base: trained upon ${was}…, this model has ${is}…`);
  }
  const was = formText(trained, files);
  const is = formText({ form: weights.text, group: weights.group }, quantisation);
  if (!isOfStored && was !== is) {
    differences.push(`form of the base: trained upon ${was}, this model keeps ${is}`);
  }
  return differences;
}

/** What is to be done with the adapter, which says how a difference is mended. */
export type BaseUse = 'load' | 'merge' | 'train';

function remedyOf(use: BaseUse, { form }: TrainedBase): string {
  const own = 'the model that it was trained upon';
  if (form === 'stored') {
    return {
      load: `load it into ${own}`,
      merge: `merge it into ${own}`,
      train: `train upon ${own}`,
    }[use];
  }
  // A merged model of stored weights has no codes: the adapter stays beside what it mends.
  if (use === 'train') return `train upon ${own}, with base: ${form}`;
  const loading = `load ${own}, with weights: ${form} for its text layers`;
  return use === 'load' ? loading : `${loading}, and the adapter beside it`;
}

/** Undefined where nothing differs that is recorded. */
export function baseWarning(
  adapter: string,
  trained: TrainedBase | undefined,
  offered: OfferedBase,
  use: BaseUse,
): ModelWarning | undefined {
  const differences = baseDifferences(trained, offered);
  if (trained === undefined || differences.length === 0) return undefined;
  return {
    code: 'BASE_DIFFERS',
    adapter,
    message: `the adapter ${adapter} was trained upon another base; answers may be worse`,
    remedy: remedyOf(use, trained),
    differences,
  };
}

/**
 * AWQ's tools fold a factor a column into the weights, and its inverse into what comes before: what a layer multiplies is no longer
 * what an adapter of the original has learnt to multiply, nor the other way round.
 *
 * @throws CheckpointError FACELLM_ADAPTER_INVALID for an adapter that is known to be of other weights than these
 */
export function refuseFolded(
  name: string,
  trained: TrainedBase | undefined,
  { weightsHash, quantisation }: Pick<OfferedBase, 'weightsHash' | 'quantisation'>,
): void {
  if (trained === undefined || trained.weightsHash === weightsHash) return;
  if (quantisation?.method === 'awq') {
    throw createError(
      'FACELLM_ADAPTER_INVALID',
      `the adapter ${name} was trained upon other weights than this AWQ checkpoint's, whose columns are scaled and whose ` +
        'norms are divided by the same factors, so that its layers see other inputs; load the original weights ' +
        "(with weights: 'int4' for the same size), or train the adapter upon this checkpoint",
    );
  }
  if (trained.quantisation?.method === 'awq') {
    throw createError(
      'FACELLM_ADAPTER_INVALID',
      `the adapter ${name} was trained upon an AWQ checkpoint, whose columns are scaled and whose norms are divided by the ` +
        'same factors, so that layers of other weights see other inputs; use it with the checkpoint that it was trained upon',
    );
  }
}
