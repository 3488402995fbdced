/** Questions about labelled pictures as fields of a schema: each picture's object is extracted once, and all its fields are read of it. */
import { createError } from '../../errors.js';
import {
  type ExtractResult,
  FaceLlm,
  formOf,
  type PromptOptions,
  schemaIdentity,
} from '../../model/index.js';
import type { ModelUnderTest } from '../model-under-test.js';
import type { Benchmark } from '../types.js';
import type { CalibratedSchema } from './options.js';

/** Pictures whose objects are kept until all their fields were asked for. */
const KEPT = 256;

const pathOf = (attribute: string): string => `/${attribute}`;

export function fieldOf(
  { schema }: CalibratedSchema,
  attribute: string,
): { readonly schema: string; readonly path: string } {
  return { schema: schemaIdentity(formOf({ schema })), path: pathOf(attribute) };
}

/**
 * The benchmark with the schema's question in place of each attribute's own.
 *
 * @throws DataError FACELLM_CALIBRATION_INVALID for attributes that are no enum of the schema with their answers;
 *   InvalidArgumentError for a schema that cannot be held to
 */
export function asFields(benchmark: Benchmark, { question, schema }: CalibratedSchema): Benchmark {
  const form = formOf({ schema });
  const node = 'node' in form && form.node.kind === 'object' ? form.node : undefined;
  const answers = new Map(
    benchmark.items.map(({ tags, choices }) => [tags['attribute'] ?? '', choices]),
  );
  const details = [...answers].flatMap(([attribute, choices]) => {
    const property = node?.properties.find(({ name }) => name === attribute)?.node;
    const values = property?.kind === 'values' ? property.values.map(({ value }) => value) : [];
    const isSame = values.length === choices.length && choices.every((one) => values.includes(one));
    const has = values.length === 0 ? 'no such property of given values' : JSON.stringify(values);
    return isSame
      ? []
      : [`${attribute}: expected an enum of ${JSON.stringify(choices)}, there is ${has}`];
  });
  if (details.length > 0) {
    throw createError(
      'FACELLM_CALIBRATION_INVALID',
      'the schema does not ask for the attributes; name those that it has, or mend it',
      { details },
    );
  }
  return { ...benchmark, items: benchmark.items.map((item) => ({ ...item, prompt: question })) };
}

/** The distribution of one field of a picture's object. */
export function chooseByField({
  question,
  schema,
  maxNewTokens,
}: CalibratedSchema): (model: FaceLlm, prompt: PromptOptions) => ModelUnderTest['choose'] {
  return (model, prompt) => {
    const known = new Map<string, Promise<ExtractResult<unknown>>>();
    return async ({ images, choices, tags }, signal) => {
      const key = JSON.stringify(images);
      let asked = known.get(key);
      if (asked === undefined) {
        asked = model.extract({
          ...{ image: images, question, schema, maxNewTokens, ...prompt, signal },
        });
        known.set(key, asked);
        // Another attempt may meet a mended picture.
        asked.catch(() => known.delete(key));
        const [oldest] = known.keys();
        if (known.size > KEPT && oldest !== undefined) known.delete(oldest);
      }
      const { fields, promptHash, promptTokens, imageTokens } = await asked;
      const found = fields.find(({ path }) => path === pathOf(tags['attribute'] ?? ''));
      const all = found === undefined ? [] : [found, ...found.alternatives];
      const probabilities = choices.map(
        (choice) => all.find(({ value }) => value === choice)?.probability ?? NaN,
      );
      if (probabilities.some(Number.isNaN)) {
        throw createError(
          'FACELLM_PROMPT_TOO_LONG',
          'the object was not whole within its tokens; give it more (maxNewTokens of extract, --max-new-tokens) and another output',
        );
      }
      return { probabilities, promptHash, promptTokens, imageTokens };
    };
  };
}
