/** Schemas at random, ten answers each, drawn with different seeds: every whole one is accepted by another validator. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';

import { randomSchemas } from '../../test/support/random-schemas.js';
import { CHAT, inTurns, question, send } from './client.js';
import type { Part } from './part.js';
import { startServed } from './served.js';

const ANSWERS = 10;

/** Of what only a grammar holds to: patterns, formats, long lists, references. */
const GRAMMARS: readonly object[] = [
  { type: 'string', pattern: '^[A-Z][a-z]{1,4}$' },
  { type: 'string', pattern: '[0-9]{2}', maxLength: 6 },
  { type: 'string', format: 'date' },
  { type: 'string', format: 'uuid' },
  { type: 'array', items: { enum: ['a', 'b', 'ab'] }, maxItems: 100, minItems: 1 },
  {
    anyOf: [
      { type: 'string', maxLength: 3 },
      { type: 'array', items: { type: 'boolean' }, maxItems: 3 },
    ],
  },
];

export const schemas: Part = {
  count: 1000,
  async run(count, check) {
    const random = fc.sample(randomSchemas, { numRuns: count, seed: 1 });
    // Every eighth has a part that is written under a grammar, too.
    const all = random.map((schema, i) => {
      const grammar = i % 8 === 0 ? GRAMMARS[(i / 8) % GRAMMARS.length] : undefined;
      const { properties = {} } = schema as { properties?: object };
      return grammar === undefined
        ? schema
        : { ...schema, properties: { ...properties, grammar }, required: ['grammar'] };
    });
    const ajv = new Ajv2020({ strict: false, validateFormats: false, addUsedSchema: false });
    const server = await startServed();
    let [accepted, cutOff, refused, bySchema] = [0, 0, 0, 0];
    const codes: Record<string, number> = {};
    const began = performance.now();
    try {
      await inTurns(count, 4, async (i) => {
        const schema = all[i] ?? {};
        const validate = ajv.compile(schema);
        let isRefused = false;
        for (let seed = 0; seed < ANSWERS && !isRefused; seed++) {
          const body = question('Describe this face as JSON.', {
            ...{ max_tokens: 400, temperature: 1.5, seed },
            response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
          });
          const { status, text } = await send(server.url + CHAT, body).catch((error: unknown) => {
            throw new Error(`${JSON.stringify(schema)}, seed ${seed}`, { cause: error });
          });
          const told = JSON.parse(text) as {
            choices?: { message: { content: string }; finish_reason: string }[];
            error?: { code: string; param: string };
          };
          if (status !== 200) {
            isRefused = true;
            refused++;
            codes[told.error?.code ?? status] = (codes[told.error?.code ?? status] ?? 0) + 1;
            check(status === 400 && (told.error?.param ?? '') !== '', `${status} ${text}`);
            continue;
          }
          const [choice] = told.choices ?? [];
          if (choice?.finish_reason === 'length') cutOff++;
          else {
            const content = choice?.message.content ?? '';
            const holds = validate(JSON.parse(content));
            accepted += Number(holds);
            check(holds, `${JSON.stringify(schema)} ${content}`);
          }
        }
        bySchema += Number(!isRefused);
      });
      return {
        ...{ schemas: count, answered: bySchema, refused, codes, answers: accepted + cutOff },
        ...{ accepted, cutOffByLength: cutOff, seconds: (performance.now() - began) / 1000 },
      };
    } finally {
      await server.stop();
    }
  },
};
