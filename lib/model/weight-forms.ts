/** In which form a model keeps the weights of its linear layers. */
import type { z } from 'zod';

import type { NativeTextConfig, NativeWeightForm, NativeWeightForms } from '../binding/native.js';
import { field, fields, kindOf, word } from '../options/index.js';

/**
 * `stored`: in the model's dtype. `int8`: 8 bits and a scale a row. `int4`: 4 bits and a scale for every `group` columns
 * of a row. What they lose is measured with data, not promised: docs/quantisation.md.
 */
export type WeightForm = NativeWeightForm;

export interface WeightForms {
  /** The text layers' projections. @default stored */
  readonly text?: WeightForm | undefined;
  /** Over a quarter of what a token of a 1B reads in bf16. @default stored */
  readonly head?: WeightForm | undefined;
  /** The vision tower's layers, which compute bounds and not memory. @default stored */
  readonly vision?: WeightForm | undefined;
  /** Columns of an int4 scale. @default 64, or 128 from 7B on */
  readonly group?: 32 | 64 | 128 | undefined;
}

/** Hidden vectors of 7B. */
const LARGE = 3584;

const form = word('stored', 'int8', 'int4');
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
          group: group.optional(),
        }),
);

/** A word alone: the text layers so, and the head in 8 bits at least, which int4 would lose more in than it saves. */
export function resolveWeights(
  weights: WeightForm | WeightForms | undefined,
  text: Pick<NativeTextConfig, 'hiddenSize'>,
): NativeWeightForms {
  const given: WeightForms =
    weights === undefined
      ? {}
      : typeof weights === 'string'
        ? { text: weights, head: weights === 'stored' ? 'stored' : 'int8' }
        : weights;
  return {
    text: given.text ?? 'stored',
    head: given.head ?? 'stored',
    vision: given.vision ?? 'stored',
    group: given.group ?? (text.hiddenSize >= LARGE ? 128 : 64),
  };
}

/** As a report or a user reads it: `stored`, or `text int4 (groups of 64), head int8`. */
export function describeWeights({ group, ...forms }: NativeWeightForms): string {
  const parts = Object.entries(forms).flatMap(([part, form]) =>
    form === 'stored' ? [] : [`${part} ${form}${form === 'int4' ? ` (groups of ${group})` : ''}`],
  );
  return parts.length === 0 ? 'stored' : parts.join(', ');
}
