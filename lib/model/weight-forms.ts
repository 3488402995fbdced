/** In which form a model keeps the weights of its linear layers. */
import type { z } from 'zod';

import type {
  NativeQuantisation,
  NativeTextConfig,
  NativeWeightForm,
  NativeWeightForms,
} from '../binding/native.js';
import type { StoredQuantisation } from '../checkpoint/index.js';
import { field, fields, kindOf, word } from '../options/index.js';

/**
 * `stored`: in the model's dtype. `int8`: 8 bits and a scale a row. `int4`: 4 bits and a scale for every `group` columns
 * of a row. `fp8` (e4m3): 8 bits and a scale a row. `nf4`: 4 bits and a scale for 64 columns, as bitsandbytes makes them;
 * `nf4-double`: with its double quantisation of scales. int8 and int4 are multiplied as whole numbers; fp8 and nf4 take the
 * same room and are put back block by block, which is slower. What they lose is measured with data, not promised:
 * docs/quantisation.md.
 */
export type WeightForm = NativeWeightForm;

export interface WeightForms {
  /** The text layers' projections. @default stored */
  readonly text?: WeightForm | undefined;
  /** Over a quarter of what a token of a 1B reads in bf16. @default stored */
  readonly head?: WeightForm | undefined;
  /** The vision tower's layers, which compute bounds and not memory. @default stored */
  readonly vision?: WeightForm | undefined;
  /** Rows of `int8` are put back when a token is looked up. With a head that shares them: as `head`. @default stored */
  readonly embeddings?: 'stored' | 'int8' | undefined;
  /** Columns of an int4 scale. @default 64, or 128 from 7B on */
  readonly group?: 32 | 64 | 128 | undefined;
}

/** Hidden vectors of 7B. */
const LARGE = 3584;

/** As flags and recipes name them. */
export const WEIGHT_FORMS = ['stored', 'int8', 'int4', 'fp8', 'nf4', 'nf4-double'] as const;

const form = word(...WEIGHT_FORMS);
const group = field<32 | 64 | 128>('32, 64 or 128', (value) =>
  [32, 64, 128].includes(Number(value)),
);

export const weightForms: z.ZodType<WeightForm | WeightForms> = kindOf<WeightForm | WeightForms>(
  (value) =>
    typeof value === 'string'
      ? form
      : fields<WeightForms>({
          text: form.optional(),
          head: form.optional(),
          vision: form.optional(),
          embeddings: word('stored', 'int8').optional(),
          group: group.optional(),
        }),
);

const GROUPS: readonly number[] = [32, 64, 128];

/**
 * In which form the codes of quantised files are kept as they are: int8 and fp8 with a scale a row, int4 around 0 in
 * groups that the kernels have. Undefined: they are dequantised, into whatever form is asked for.
 */
export function keptForm(
  stored: NativeQuantisation | undefined,
): Pick<NativeWeightForms, 'text' | 'group'> | undefined {
  if (stored?.isSymmetric !== true) return undefined;
  const { bits, group } = stored;
  if (stored.format === 'nf4') return { text: 'nf4', group };
  if (stored.format === 'float-quantized')
    return group === 0 ? { text: 'fp8', group: 64 } : undefined;
  if (bits === 8) return group === 0 ? { text: 'int8', group: 64 } : undefined;
  return GROUPS.includes(group) ? { text: 'int4', group } : undefined;
}

/** `compressed-tensors, 4 bits in groups of 64: kept packed`, as `plan` and `doctor` tell it. */
export function describeStored(
  { method, format, bits, group, isSymmetric }: StoredQuantisation,
  kept: NativeWeightForms,
): string {
  const isKept =
    kept.text !== 'stored' && keptForm({ format, bits, group, isSymmetric })?.text === kept.text;
  const codes = format === 'float-quantized' ? 'fp8' : format === 'nf4' ? 'nf4' : `${bits} bits`;
  const scales = group === 0 ? 'a scale a row' : `groups of ${group}`;
  return `${method}, ${codes}, ${scales}${isSymmetric ? '' : ', zero points or an order of columns'}: ${
    isKept ? 'kept packed as stored' : 'dequantised while read'
  }`;
}

/**
 * A word alone: the text layers so, and the head in 8 bits at least, which int4 would lose more in than it saves.
 *
 * @param kept of quantised files, what `stored` means for the text layers
 */
export function resolveWeights(
  weights: WeightForm | WeightForms | undefined,
  text: Pick<NativeTextConfig, 'hiddenSize'>,
  kept?: Pick<NativeWeightForms, 'text' | 'group'>,
): NativeWeightForms {
  const given: WeightForms =
    weights === undefined
      ? {}
      : typeof weights === 'string'
        ? { text: weights, head: weights === 'stored' ? 'stored' : 'int8' }
        : weights;
  const { text: form = 'stored', head = 'stored', vision = 'stored' } = given;
  const isKept = form === 'stored' || (form === kept?.text && given.group === undefined);
  const ofFiles = isKept ? kept : undefined;
  return {
    ...{ text: ofFiles?.text ?? form, head, vision },
    group: ofFiles?.group ?? given.group ?? (text.hiddenSize >= LARGE ? 128 : 64),
    ...(given.embeddings === 'int8' ? { embeddings: given.embeddings } : {}),
  };
}

/** As a report or a user reads it: `stored`, or `text int4 (groups of 64), head int8`. */
export function describeWeights({ group, ...forms }: NativeWeightForms): string {
  const parts = Object.entries(forms).flatMap(([part, form]) =>
    form === 'stored' ? [] : [`${part} ${form}${form === 'int4' ? ` (groups of ${group})` : ''}`],
  );
  return parts.length === 0 ? 'stored' : parts.join(', ');
}
