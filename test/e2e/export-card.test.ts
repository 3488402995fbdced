/** The card of a merged, converted or quantised model: whose licence it repeats, which trainings, and in how many bits the weights are. */
import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';

import {
  type CardFacts,
  type CardTraining,
  readCardFacts,
  writeCard,
} from '../../lib/card/index.js';
import { exportModel, facellm1b, mergeAdapter, quantizeModel } from '../../lib/index.js';
import * as golden from '../support/golden.js';
import { TestFolder } from '../unit/checkpoint-folder.js';

const ADAPTER = join(golden.GOLDEN, 'train-lora', 'adapter_final');
const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');
const HASH = 'c'.repeat(64);

const training = (fingerprint: string): CardTraining => ({
  recipe: { ...facellm1b() },
  data: { name: `${fingerprint}.json`, sha256: HASH, records: 4 },
  ...{ fingerprint, steps: 1, totalSteps: 1, trainSamples: 4 },
});
const FACTS: CardFacts = {
  ...{ kind: 'model', base: { name: 'org/base', isHubId: true, weights: HASH } },
  ...{ merged: [], files: [], dtype: 'bf16', trainings: [] },
};

describe('end to end: cards of models that are written anew', function () {
  this.timeout(60_000);
  let folder: TestFolder;
  before(async () => {
    folder = await TestFolder.create();
    await cp(CHECKPOINT, folder.at('base'), { recursive: true });
    await cp(ADAPTER, folder.at('adapter'), { recursive: true });
    const trainings = [training('first')];
    await writeCard(folder.at('base'), { ...FACTS, license: 'mit', trainings });
    // As `train` writes it of an adapter on that base: what the base was trained on comes first.
    const both = [...trainings, training('second')];
    await writeCard(folder.at('adapter'), { ...FACTS, kind: 'adapter', license: 'own', trainings: both }); // prettier-ignore
  });
  after(() => folder.remove());

  const factsOf = async (name: string): Promise<CardFacts> => {
    const facts = await readCardFacts(folder.at(name));
    assert.ok(facts);
    return facts;
  };

  it('a merged model has the licence of none of its parts, and each training once', async () => {
    const adapters = [folder.at('adapter')];
    await mergeAdapter({ model: folder.at('base'), adapters, output: folder.at('merged') });
    const { license, trainings } = await factsOf('merged');
    assert.equal(license, undefined);
    assert.deepEqual(trainings.map(({ fingerprint }) => fingerprint), ['first', 'second']); // prettier-ignore
    await exportModel({ model: folder.at('base'), output: folder.at('copy') });
    assert.equal((await factsOf('copy')).license, 'mit');
  });

  it('quantised weights say so, and those that were decoded from them', async () => {
    const model = folder.at('base');
    await quantizeModel({ model, output: folder.at('int4'), weights: 'int4' });
    const { quantisation, dtype } = await factsOf('int4');
    assert.deepEqual([quantisation?.format, quantisation?.bits], ['pack-quantized', 4]);
    assert.ok(quantisation?.group);
    assert.equal(dtype, 'bf16');
    await exportModel({ model: folder.at('int4'), output: folder.at('plain'), dtype: 'fp32' });
    await exportModel({ model: folder.at('plain'), output: folder.at('later'), dtype: 'bf16' });
    for (const name of ['plain', 'later']) {
      const plain = await factsOf(name);
      assert.deepEqual([plain.quantisation, plain.decodedFrom], [undefined, quantisation], name);
    }
  });
});
