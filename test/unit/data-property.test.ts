/** lib/data: whatever valid records are written, they read back; whatever else, a typed error. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import { readDataset } from '../../lib/data/index.js';
import { DataError } from '../../lib/errors.js';
import { TestFolder } from './checkpoint-folder.js';

const IMAGES = ['a.jpg', 'b c.jpg', '顔.jpg', 'sub/d.jpg'];

/** Any text that is not blank and holds no placeholder by accident. */
const text = fc
  .string({ unit: 'binary', minLength: 1 })
  .map((value) => value.replaceAll('<image>', ''))
  .filter((value) => value.trim() !== '');

interface Turn {
  readonly parts: readonly string[];
  readonly images: readonly string[];
  readonly assistant: string;
}

const turn: fc.Arbitrary<Turn> = fc
  .array(fc.constantFrom(...IMAGES), { maxLength: 3 })
  .chain((images) =>
    fc.record({
      parts: fc.array(text, { minLength: images.length + 1, maxLength: images.length + 1 }),
      images: fc.constant(images),
      assistant: text,
    }),
  )
  // Two texts around a placeholder must not make up a second one.
  .filter(
    ({ parts, images }) => parts.join('<image>').split('<image>').length === images.length + 1,
  );

const record = fc.record({
  turns: fc.array(turn, { minLength: 1, maxLength: 4 }),
  system: fc.option(fc.record({ text, isTurn: fc.boolean() }), { nil: undefined }),
  key: fc.constantFrom('images', 'image'),
  answerer: fc.constantFrom('gpt', 'assistant'),
});

const style = fc.record({
  isLines: fc.boolean(),
  end: fc.constantFrom('\n', '\r\n'),
  mark: fc.constantFrom('', '\uFEFF'),
  indent: fc.constantFrom(0, 2),
});

type Style = typeof style extends fc.Arbitrary<infer T> ? T : never;
type Sample = typeof record extends fc.Arbitrary<infer T> ? T : never;

function toRecord({ turns, system, key, answerer }: Sample): object {
  const conversations = turns.flatMap(({ parts, assistant }) => [
    { from: 'human', value: parts.join('<image>') },
    { from: answerer, value: assistant },
  ]);
  if (system?.isTurn) conversations.unshift({ from: 'system', value: system.text });
  return {
    conversations,
    [key]: turns.flatMap(({ images }) => images),
    ...(system?.isTurn === false ? { system: system.text } : {}),
  };
}

function toText(records: readonly object[], { isLines, end, mark, indent }: Style): string {
  const body = isLines
    ? records.map((item) => JSON.stringify(item)).join(end)
    : JSON.stringify(records, null, indent).replaceAll('\n', end);
  return mark + body;
}

describe('readDataset: properties', () => {
  let folder: TestFolder;

  before(async () => {
    folder = await TestFolder.create();
    for (const image of IMAGES) await folder.write(image, 'x');
  });
  after(() => folder.remove());

  it('reads back whatever valid records are written', async () => {
    const samples = fc.array(record, { minLength: 1, maxLength: 6 });
    const property = fc.asyncProperty(samples, style, async (list, look) => {
      await folder.write('data.json', toText(list.map(toRecord), look));
      const { records, skipped } = await readDataset(folder.at('data.json'));
      assert.deepEqual(skipped, []);
      assert.deepEqual(
        records,
        list.map(({ turns, system }, index) => ({
          index,
          images: turns.flatMap(({ images }) => images.map((image) => folder.at(image))),
          system: system?.text,
          facts: {},
          turns: turns.map(({ parts, assistant }) => ({ user: parts.join('<image>'), assistant })),
        })),
      );
    });
    await fc.assert(property, { numRuns: 200 });
  });

  it('gives a typed error or a dataset for any JSON', async () => {
    const property = fc.asyncProperty(
      fc.json(),
      fc.constantFrom('x.json', 'x.jsonl'),
      async (content, name) => {
        await folder.write(name, content);
        await readDataset(folder.at(name)).catch((error: unknown) => {
          assert.ok(error instanceof DataError, String(error));
        });
      },
    );
    await fc.assert(property, { numRuns: 200 });
  });

  it('names the place of the damage in any array that was cut', async () => {
    const samples = fc.array(record, { minLength: 1, maxLength: 2 });
    const property = fc.asyncProperty(samples, fc.nat(), async (list, seed) => {
      const whole = toText(list.map(toRecord), { isLines: false, end: '\n', mark: '', indent: 2 });
      const cut = whole.slice(0, 1 + (seed % (whole.length - 1)));
      await folder.write('cut.json', cut);
      const error: unknown = await readDataset(folder.at('cut.json')).catch((e: unknown) => e);
      assert.ok(error instanceof DataError, String(error));
      const place = /line (\d+), column (\d+): /.exec(error.message);
      assert.ok(place !== null, error.message);
      const lines = cut.split('\n');
      const line = lines[Number(place[1]) - 1];
      assert.ok(line !== undefined && Number(place[2]) <= line.length + 1, error.message);
      // What was cut off is the fault, so it lies in the last token: that of the last filled line.
      const after = lines.slice(Number(place[1])).join('').trim();
      assert.equal(after, '');
    });
    await fc.assert(property, { numRuns: 200 });
  });
});
