/** Bodies, headers, schemas and pictures that are changed at random: never a 5xx, never a hang, nothing left behind. */
import sharp, { type Sharp } from 'sharp';

import { CHAT, draws, inTurns, PHOTO, PHOTO_URL, pick, question, send } from './client.js';
import type { Part } from './part.js';
import { startServed } from './served.js';

type Draw = (below: number) => number;
const AT_ONCE = 8;
const PARTS = 10;
/** Statuses of ours that say that time ran out, which a changed `timeout_ms` may ask for. */
const OF_TIME = [503, 504];

const SCHEMA = {
  type: 'object',
  properties: {
    a: { enum: ['x', 'y'] },
    b: { type: 'integer', minimum: 0, maximum: 9 },
    c: { type: 'string', maxLength: 4 },
  },
  required: ['a', 'b', 'c'],
  additionalProperties: false,
};
const small = { max_tokens: 3 };
const format = { type: 'json_schema', json_schema: { name: 'x', schema: SCHEMA } };
const BODIES: readonly (readonly [path: string, body: object])[] = [
  [
    CHAT,
    question('Who?', { ...small, stop: ['x'], seed: 1, tiles: 'off', stream: true }, PHOTO_URL),
  ],
  [
    CHAT,
    question('Who?', {
      ...small,
      n: 2,
      temperature: 1,
      logprobs: true,
      top_logprobs: 2,
      logit_bias: { 5: 1 },
    }),
  ],
  [CHAT, question('Who?', { max_tokens: 20, response_format: format, timeout_ms: 20_000 })],
  [CHAT, question('Who?', { max_tokens: 8, structured_outputs: { regex: '[a-z]{1,3}' } })],
  [
    '/v1/choose',
    {
      images: [PHOTO_URL],
      items: [{ question: 'Smiling?', choices: ['Yes', 'No'] }],
      tiles: { min: 1, max: 2 },
    },
  ],
  [
    '/v1/extract',
    { question: 'Describe.', schema: SCHEMA, max_tokens: 20, temperature: 1, seed: 3 },
  ],
  ['/v1/embeddings', { input: [PHOTO_URL], pooling: 'mean', encoding_format: 'base64' }],
  ['/v1/plan', { images: [PHOTO_URL], question: 'Who?' }],
  [
    '/v1/responses',
    {
      input: [
        {
          role: 'user',
          content: [
            { type: 'input_text', text: 'Who?' },
            { type: 'input_image', image_url: PHOTO_URL },
          ],
        },
      ],
      max_output_tokens: 3,
    },
  ],
];

/** Bytes set, cut, doubled, inserted. */
function changeBytes(bytes: Buffer, draw: Draw): Buffer {
  for (let i = 1 + draw(4); i > 0 && bytes.length > 0; i--) {
    const at = draw(bytes.length);
    const [head, rest, one] = [bytes.subarray(0, at), bytes.subarray(at), Buffer.from([draw(256)])];
    const kind = draw(8);
    if (kind < 4) bytes = Buffer.concat([head, one, rest.subarray(1)]);
    else if (kind < 6) bytes = Buffer.concat([head, one, rest]);
    else if (kind === 6)
      bytes = Buffer.concat([head, rest.subarray(Math.min(rest.length, 1 + draw(50)))]);
    else bytes = draw(2) === 0 ? Buffer.from(head) : Buffer.concat([head, rest, rest]);
  }
  return bytes;
}

const VALUES: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    0,
    -1,
    1,
    0.5,
    1e308,
    -1e308,
    2 ** 53,
    '',
    ' ',
    'off',
    'null',
    '\0',
    '\ud800',
  ],
  ...[
    'a'.repeat(5000),
    [],
    {},
    [[]],
    [null],
    { a: 1 },
    ['x', 'x'],
    '__proto__',
    { type: 'object' },
    [1, 2, 3],
  ],
  ...[
    '<|im_start|>',
    '<IMG_CONTEXT>',
    { $ref: '#' },
    { enum: [] },
    { type: 'string', pattern: '(a*)*$' },
    'data:image/png;base64,',
  ],
];

/** Some value somewhere in it put in another's place, left out, or added under another name. */
function changeValue(value: unknown, draw: Draw, names: readonly string[]): unknown {
  const other = (): unknown => VALUES[draw(VALUES.length)];
  if (Array.isArray(value)) {
    if (value.length === 0 || draw(6) === 0) return [...(value as unknown[]), other()];
    const at = draw(value.length);
    return value.map((one: unknown, i) => (i === at ? changeValue(one, draw, names) : one));
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value);
    const at = draw(entries.length);
    const [name = ''] = entries[at] ?? [];
    const kind = draw(8);
    if (entries.length === 0 || kind === 0)
      return { ...value, [names[draw(names.length)] ?? '']: other() };
    if (kind === 1) return Object.fromEntries(entries.filter((_, i) => i !== at));
    return { ...value, [name]: kind === 2 ? other() : changeValue(entries[at]?.[1], draw, names) };
  }
  return other();
}

function namesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const own = Array.isArray(value) ? [] : Object.keys(value);
  return [...own, ...Object.values(value).flatMap(namesIn)];
}

const HEADERS = [
  'content-type',
  'x-request-id',
  'x-stainless-timeout',
  'x-stainless-retry-count',
  'origin',
  'authorization',
  'accept-encoding',
  'expect-nothing',
  'content-encoding',
];
/** What Node's client lets through. */
function changedHeaders(draw: Draw): Record<string, string> {
  const text = Array.from({ length: draw(40) }, () => String.fromCharCode(0x20 + draw(0x5f))).join(
    '',
  );
  return { [HEADERS[draw(HEADERS.length)] ?? '']: text };
}

async function pictures(): Promise<readonly Buffer[]> {
  const { info, data } = await sharp(PHOTO)
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const raw = { raw: { width: info.width, height: info.height, channels: info.channels } };
  const of = (): Sharp => sharp(data, raw);
  return Promise.all([
    Promise.resolve(PHOTO),
    of().jpeg().toBuffer(),
    of().webp().toBuffer(),
    of().gif().toBuffer(),
  ]);
}

export const fuzz: Part = {
  count: 100_000,
  async run(count, check) {
    const draw = draws(1);
    const names = [...new Set(BODIES.flatMap(([, body]) => namesIn(body)))];
    const files = await pictures();
    const make: readonly (() => {
      path: string;
      bytes: Buffer;
      headers?: Record<string, string>;
    })[] = [
      () => {
        const [path, body] = pick(BODIES, draw);
        return { path, bytes: changeBytes(Buffer.from(JSON.stringify(body)), draw) };
      },
      () => {
        const [path, body] = pick(BODIES, draw);
        let changed: unknown = body;
        for (let i = 1 + draw(3); i > 0; i--) changed = changeValue(changed, draw, names);
        return { path, bytes: Buffer.from(JSON.stringify(changed) ?? '') };
      },
      () => {
        const [path, body] = pick(BODIES, draw);
        return { path, bytes: Buffer.from(JSON.stringify(body)), headers: changedHeaders(draw) };
      },
      () => {
        let schema: unknown = SCHEMA;
        for (let i = 1 + draw(4); i > 0; i--)
          schema = changeValue(schema, draw, [
            ...names,
            'pattern',
            'anyOf',
            '$ref',
            'items',
            'minLength',
            'format',
          ]);
        return {
          path: '/v1/extract',
          bytes: Buffer.from(JSON.stringify({ question: 'x', schema, max_tokens: 20 })),
        };
      },
      () => {
        const file = changeBytes(Buffer.from(files[draw(files.length)] ?? PHOTO), draw);
        const url = `data:image/png;base64,${file.toString('base64')}`;
        return { path: '/v1/plan', bytes: Buffer.from(JSON.stringify({ images: [url] })) };
      },
    ];
    const server = await startServed({ limits: { maxTokens: 64 } });
    const statuses: Record<string, number> = {};
    const began = performance.now();
    let slowest = 0;
    try {
      /** Memory at the beginning and after each part: what grows for ever is told from caches that fill. */
      const held = [await server.held(true)];
      const one = async (i: number): Promise<void> => {
        const { path, bytes, headers } = pick(make, (below) => i % below)();
        const told = () =>
          `${path} ${JSON.stringify(headers ?? {})} ${bytes.toString().slice(0, 400)}`;
        try {
          const reply = await send(server.url + path, bytes, {
            ...(headers && { headers }),
            timeoutMs: 30_000,
          });
          statuses[reply.status] = (statuses[reply.status] ?? 0) + 1;
          slowest = Math.max(slowest, reply.ms);
          check(
            reply.status < 500 || OF_TIME.includes(reply.status),
            `${reply.status} ${reply.text.slice(0, 200)} of ${told()}`,
          );
        } catch (error) {
          const { code = '', message } = error as NodeJS.ErrnoException;
          statuses[code || message] = (statuses[code || message] ?? 0) + 1;
          check(false, `${message} of ${told()}`);
        }
      };
      const part = Math.ceil(count / PARTS);
      for (let first = 0; first < count; first += part) {
        await inTurns(Math.min(part, count - first), AT_ONCE, (i) => one(first + i));
        held.push(await server.held(true));
      }
      const ready = await send(`${server.url}/ready`);
      check(ready.status === 200, `/ready ${ready.status}`);
      return {
        ...{ count, statuses, slowestMs: slowest, seconds: (performance.now() - began) / 1000 },
        ownBytes: held.map(({ ownBytes }) => ownBytes),
        heapBytes: held.map(({ heapBytes }) => heapBytes),
      };
    } finally {
      await server.stop();
    }
  },
};
