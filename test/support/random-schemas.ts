/** Schemas of the subset that answers are held to, small, at random. */
import fc from 'fast-check';

const { object } = fc.letrec<Record<'any' | 'leaf' | 'object' | 'list', object>>((tie) => ({
  leaf: fc.oneof(
    fc
      .uniqueArray(fc.string({ maxLength: 4 }), { minLength: 1, maxLength: 4 })
      .map((values) => ({ enum: values })),
    fc.record({ const: fc.oneof(fc.integer(), fc.string({ maxLength: 3 }), fc.constant(null)) }),
    fc.constantFrom(
      { type: 'boolean' },
      { type: ['boolean', 'null'] },
      { type: 'string', maxLength: 6 },
      { type: ['string', 'null'], maxLength: 3 },
      { type: 'integer', minimum: -3, maximum: 12 },
      { type: 'integer', minimum: -30_000, maximum: 9999 },
      { type: ['number', 'null'], minimum: -1, exclusiveMaximum: 2 },
    ),
  ),
  object: fc
    .array(fc.tuple(fc.string({ minLength: 1, maxLength: 3 }), tie('any'), fc.boolean()), {
      maxLength: 3,
    })
    .map((all) => ({
      type: 'object',
      properties: Object.fromEntries(all.map(([name, schema]) => [name, schema])),
      required: [...new Set(all.filter(([, , isRequired]) => isRequired).map(([name]) => name))],
      additionalProperties: false,
    })),
  list: fc.record({
    type: fc.constant('array'),
    items: tie('leaf'),
    minItems: fc.constant(1),
    maxItems: fc.integer({ min: 1, max: 3 }),
  }),
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('leaf'),
    tie('object'),
    tie('list'),
  ),
}));

export const randomSchemas: fc.Arbitrary<object> = object;
