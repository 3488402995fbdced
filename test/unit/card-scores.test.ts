/** Scores on a card are of these weights: of an adapter on its base, as they are stored, and how they were asked stands beside them. */
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';

import { type CardFacts, readCardFacts, writeCard } from '../../lib/card/index.js';
import { hashFolder } from '../../lib/evaluation/face-llm-contender.js';
import { JournalFile } from '../../lib/files/index.js';
import { updateModelCard } from '../../lib/index.js';
import { errorOf, TestFolder } from './checkpoint-folder.js';

const HASH = 'b'.repeat(64);
const facts = (kind: CardFacts['kind']): CardFacts => ({
  ...{ kind, base: { name: 'base', isHubId: false, weights: HASH } },
  ...{ merged: [], files: [], dtype: 'bf16', trainings: [] },
});
const ASKED = { template: 'training', system: 'look', tiling: 'off', dtype: 'as stored' };

interface Measured {
  readonly name: string;
  readonly model: string;
  readonly adapters?: readonly string[];
  readonly load?: string;
  readonly prompt?: Readonly<Record<string, unknown>>;
}

describe('scores on a card', () => {
  let folder: TestFolder;
  let hashes: Record<'base' | 'other' | 'adapter', string>;
  beforeEach(async () => {
    folder = await TestFolder.create();
    for (const name of ['base', 'other', 'adapter']) {
      await mkdir(folder.at(name));
      await folder.write(`${name}/config.json`, '{}');
      await folder.write(`${name}/model.safetensors`, name);
    }
    await writeCard(folder.at('base'), facts('model'));
    await writeCard(folder.at('adapter'), facts('adapter'));
    const hash = (name: string): Promise<string> =>
      hashFolder(folder.at(name), name, {
        emit: () => undefined,
        signal: new AbortController().signal,
      });
    const [base, other, adapter] = [await hash('base'), await hash('other'), await hash('adapter')];
    hashes = { base, other, adapter };
  });
  afterEach(() => folder.remove());

  /** As `evaluate` leaves it. */
  async function measure(...models: readonly Measured[]): Promise<string> {
    const scores = folder.at('scores');
    await mkdir(`${scores}/rank-0`, { recursive: true });
    await mkdir(`${scores}/report`, { recursive: true });
    for (const { name, model, adapters = [], load, prompt = ASKED } of models) {
      await using journal = await JournalFile.open(`${scores}/rank-0/${name}.jsonl`, () => undefined); // prettier-ignore
      const identity = { model, adapters, ...(load === undefined ? {} : { load }) };
      journal.append({ type: 'header', settings: { model: identity, prompt } });
      await journal.durable();
    }
    const overall = { count: 36, accuracy: { value: 0.5 } };
    const report = {
      ...{ format: 'facellm-fairness-1', isPartial: false, notes: [], smallGroup: 10 },
      attributes: [
        {
          name: 'smile',
          scores: models.map(({ name: model }) => ({
            ...{ model, reading: model, overall, groupings: [] },
          })),
        },
      ],
    };
    await folder.write('scores/report/fairness.json', JSON.stringify(report));
    return scores;
  }

  const readings = async (name: string): Promise<unknown> =>
    (await readCardFacts(folder.at(name)))?.scores?.attributes.map(({ reading }) => reading);

  it('of an adapter need its base, and are of this base', async () => {
    const adapters = [hashes.adapter];
    const scores = await measure({ name: 'elsewhere', model: hashes.other, adapters });
    const directory = folder.at('adapter');
    const none = await errorOf(updateModelCard({ directory, scores }));
    assert.match(`${none.code} ${none.message}`, /INVALID_ARGUMENT model: expected the base/);
    const wrong = await errorOf(updateModelCard({ directory, scores, model: folder.at('base') }));
    assert.match(`${wrong.code} ${wrong.message}`, /DATA_INVALID .*adapter on .*base/);
    await measure({ name: 'here', model: hashes.base, adapters }, { name: 'bare', model: hashes.base }); // prettier-ignore
    await updateModelCard({ directory, scores, model: folder.at('base') });
    assert.deepEqual(await readings('adapter'), ['here']);
    await updateModelCard({ directory: folder.at('base'), scores });
    assert.deepEqual(await readings('base'), ['bare']);
  });

  it('are refused where the weights were rounded while they were loaded', async () => {
    const directory = folder.at('base');
    const rounded = { model: hashes.base, prompt: { ...ASKED, weights: '"int4"' } };
    const scores = await measure({ name: 'a', ...rounded });
    const refused = await errorOf(updateModelCard({ directory, scores }));
    assert.match(`${refused.code} ${refused.message}`, /DATA_INVALID .*without --weights/);
    // Of one run of several forms the stored one counts, by its own load, too.
    const own = { model: hashes.base, load: '{"weights":{"text":"int8","group":64}}' };
    const kept = { ...rounded, load: '{"weights":"stored","dtype":"fp32"}' };
    await measure({ name: 'a', ...rounded }, { name: 'b', ...own }, { name: 'c', ...kept });
    await updateModelCard({ directory, scores });
    assert.deepEqual(await readings('base'), ['c']);
    const card = await readFile(folder.at('base/README.md'), 'utf8');
    assert.match(card, /\| dtype \| fp32 \|/);
  });

  it('tell how was asked', async () => {
    const directory = folder.at('base');
    const prompt = { ...ASKED, tiling: { maxTiles: 6 }, applyExif: true };
    await updateModelCard({ directory, scores: await measure({ name: 'a', model: hashes.base, prompt }) }); // prettier-ignore
    const card = await readFile(folder.at('base/README.md'), 'utf8');
    assert.match(card, /\| template \| training \|\n\| system \| look \|/);
    assert.match(card, /\| tiling \| \{"maxTiles":6\} \|\n\| dtype \| as stored \|/);
    assert.match(card, /\| applyExif \| true \|/);
  });
});
