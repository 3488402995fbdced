/** Which answers a record is learnt from by, what they earn, and parts with their own ranks and rates. */
import assert from 'node:assert/strict';

import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { checkRecord } from '../../lib/data/check-record.js';
import type { TrainingRecord } from '../../lib/data/index.js';
import { BARE_LAYOUT } from '../../lib/data/layout.js';
import {
  checkRecipe,
  facellm1b,
  FaceLlmError,
  nano,
  type TrainingRecipe,
} from '../../lib/index.js';
import { adapterConfigJson } from '../../lib/lora/index.js';
import { alternativesOf } from '../../lib/training/answers/answers.js';
import { rewardsOf } from '../../lib/training/answers/rewards.js';
import { loraInPeftTerms, trainedModules } from '../../lib/training/modules.js';
import { BASE } from '../support/training.js';

function detailsOf(action: () => unknown): readonly string[] {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof FaceLlmError);
    assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
    return error.details;
  }
  throw new Error('expected an error');
}

const AGES = ['child', 'young', 'middle', 'old', 'ancient'];
const record = (index: number, user: string, assistant: string): TrainingRecord => ({
  ...{ index, images: [], system: undefined, facts: {} },
  turns: [{ user, assistant }],
});
const ages = Array.from({ length: 16 }, (_, i) => record(i, 'How old?', AGES[i % 4] ?? ''));
const gender = Array.from({ length: 8 }, (_, i) => record(i, 'Which?', i % 2 ? 'man' : 'woman'));
const open = Array.from({ length: 4 }, (_, i) => record(i, 'Describe.', `It is number ${i}.`));

describe('unit: answers that are learnt from by their probabilities', () => {
  it('the true answer earns 1; others by their distance where there is an order', () => {
    assert.deepEqual(rewardsOf(['b', 'a', 'c'], { ordered: [] }), [1, 0, 0]);
    assert.deepEqual(rewardsOf(['young', 'child', 'old'], { ordered: [AGES] }), [1, 3 / 4, 1 / 2]);
    assert.deepEqual(rewardsOf(['young', 'nobody'], { ordered: [AGES] }), [1, 0]);
  });

  const rewarding = (changed: Partial<NonNullable<TrainingRecipe['expectedReward']>> = {}) =>
    checkRecipe({
      ...nano(),
      expectedReward: { kl: 0.1, supervised: 0.5, ordered: [AGES], ...changed },
    });

  it('closed questions of the data, the own answer before the others', () => {
    const all = [...ages, ...gender, ...open];
    const of = alternativesOf(rewarding(), all, all);
    assert.deepEqual(of?.(ages[1] as TrainingRecord), {
      objective: 'expected-reward',
      others: ['child', 'middle', 'old'],
      rewards: [1, 3 / 4, 3 / 4, 1 / 2],
    });
    assert.deepEqual(of(gender[0] as TrainingRecord)?.rewards, [1, 0]);
    assert.equal(of(open[0] as TrainingRecord), undefined);
    assert.equal(alternativesOf(nano(), all, all), undefined);
  });

  it('what the data cannot give is told all at once', () => {
    const all = [...gender, ...open];
    const recipe = rewarding({ supervised: 0 });
    assert.deepEqual(
      detailsOf(() => alternativesOf(recipe, all, all)).map((text) => text.split(':')[0]),
      ['recipe.expectedReward.ordered[0]', 'recipe.expectedReward.supervised'],
    );
    assert.match(
      detailsOf(() => alternativesOf(rewarding({ ordered: [] }), open, open)).join(),
      /none/,
    );
    const preferring = { ...nano(), preference: { beta: 0.1, supervised: 0 } };
    assert.match(detailsOf(() => alternativesOf(preferring, open, open)).join(), /rejected/);
    const rejected = { ...open[0], rejected: 'No.' } as TrainingRecord;
    assert.deepEqual(alternativesOf(preferring, [rejected], [])?.(rejected), {
      ...{ objective: 'preference', others: ['No.'], rewards: [] },
    });
  });

  it('recipes: wrong fields and what does not go together', () => {
    const wrong = {
      ...facellm1b(),
      sharesPrefix: true,
      learningRates: { head: 1e-3 },
      expectedReward: { kl: 0, supervised: 1, ordered: [] },
      preference: { beta: 0.1, supervised: 0 },
    };
    assert.deepEqual(
      detailsOf(() => checkRecipe(wrong)).map((text) => text.split(':')[0]),
      ['recipe.sharesPrefix', 'recipe.learningRates.head', 'recipe'],
    );
    const fields = {
      ...nano(),
      layerDecay: 1.5,
      learningRates: { vision: -1 },
      expectedReward: { kl: -1, supervised: 1, ordered: [['a', 'a']] },
      preference: { beta: 0, supervised: 1 },
    };
    assert.deepEqual(
      detailsOf(() => checkRecipe(fields)).map((text) => text.split(':')[0]),
      [
        'recipe.learningRates.vision',
        'recipe.layerDecay',
        'recipe.expectedReward.kl',
        'recipe.expectedReward.ordered[0]',
        'recipe.preference.beta',
      ],
    );
    const frozen = { ...nano(), parts: ['text' as const], learningRates: { vision: 1e-5 } };
    assert.match(detailsOf(() => checkRecipe(frozen)).join(), /does not train/);
  });
});

describe('unit: records with a rejected answer', () => {
  const asked = [{ from: 'human', value: 'Who?' }];
  const answer = (value: string) => ({ from: 'gpt', value });
  const check = (more: object) => checkRecord({ conversations: asked, ...more }, BARE_LAYOUT);

  it("LLaMA-Factory's form, texts alone, and beside an answer in the conversation", () => {
    const turns = [{ user: 'Who?', assistant: 'A woman.' }];
    for (const more of [
      { chosen: answer('A woman.'), rejected: answer('A man.') },
      { chosen: 'A woman.', rejected: 'A man.' },
      { conversations: [...asked, answer('A woman.')], rejected: 'A man.' },
    ]) {
      const { problems, ...own } = check(more);
      assert.deepEqual(problems, []);
      assert.deepEqual([own.turns, own.rejected], [turns, 'A man.']);
    }
  });

  it('is refused where it is none, or the same as the other', () => {
    for (const more of [
      { chosen: 'A woman.' },
      { chosen: 'A woman.', rejected: 'A woman.' },
      { chosen: 'A woman.', rejected: '' },
      { chosen: 'A woman.', rejected: 5 },
      { chosen: 'A woman.', rejected: { from: 'human', value: 'A man.' } },
      { rejected: 'A man.' },
    ]) {
      assert.notDeepEqual(check(more).problems, [], JSON.stringify(more));
    }
  });
});

describe('unit: parts with their own ranks and rates', () => {
  it('ranks of the vision tower and the projector, in PEFT terms', async () => {
    const { model } = await readCheckpointConfig(BASE);
    const own = { rank: 4, alpha: 4 };
    const lora = { ...facellm1b().lora, vision: own, projector: { rank: 2, alpha: 8 } };
    const recipe = checkRecipe({ ...facellm1b(), lora: lora as TrainingRecipe['lora'] });
    const modules = trainedModules(model, recipe);
    const ranks = new Map(modules.map(({ name, rank, scaling }) => [name, [rank, scaling]]));
    assert.deepEqual(ranks.get('vision_tower.encoder.layer.0.mlp.fc1'), [4, 1]);
    assert.deepEqual(ranks.get('multi_modal_projector.linear_2'), [2, 4]);
    assert.deepEqual(ranks.get('language_model.model.layers.0.mlp.up_proj'), [16, 2]);
    assert.ok(recipe.lora !== null);
    const written = JSON.parse(
      adapterConfigJson(loraInPeftTerms(recipe.lora, model), modules, null),
    ) as Record<string, unknown>;
    assert.deepEqual(written['rank_pattern'], {
      'vision_tower\\..*': 4,
      'multi_modal_projector\\..*': 2,
    });
    assert.equal((written['target_modules'] as string[]).length, modules.length);
  });

  it("a layer's own pattern counts before its part's, also one that is written alike", async () => {
    const { model } = await readCheckpointConfig(BASE);
    const fc1 = String.raw`.*\.layer\.0\.mlp\.fc1`;
    const lora = {
      ...facellm1b().lora,
      vision: { rank: 4, alpha: 4 },
      projector: { rank: 2, alpha: 8 },
      rankPattern: { [fc1]: 8, [String.raw`multi_modal_projector\..*`]: 3 },
      alphaPattern: { [fc1]: 32 },
    };
    const recipe = checkRecipe({ ...facellm1b(), lora: lora as TrainingRecipe['lora'] });
    const modules = trainedModules(model, recipe);
    const ranks = new Map(modules.map(({ name, rank, scaling }) => [name, [rank, scaling]]));
    assert.deepEqual(ranks.get('vision_tower.encoder.layer.0.mlp.fc1'), [8, 4]);
    assert.deepEqual(ranks.get('vision_tower.encoder.layer.1.mlp.fc1'), [4, 1]);
    assert.deepEqual(ranks.get('multi_modal_projector.linear_2'), [3, 8 / 3]);
  });

  it('a rate of a head that is tied to the embedding is refused, one of its own is not', async () => {
    const { model } = await readCheckpointConfig(BASE);
    const recipe = checkRecipe({
      ...nano(),
      ...{ parts: ['text', 'head'], learningRates: { head: 1e-4 } },
    });
    assert.deepEqual(trainedModules({ ...model, tiesEmbeddings: false }, recipe), []);
    assert.throws(() => trainedModules({ ...model, tiesEmbeddings: true }, recipe), {
      code: 'FACELLM_INVALID_ARGUMENT',
      message: /learningRates\.head.*set learningRates\.text/,
    });
  });

  it('a rate of a part that nothing adapts is refused by name', async () => {
    const { model } = await readCheckpointConfig(BASE);
    const recipe = checkRecipe({ ...facellm1b(), learningRates: { vision: 1e-6, text: 1e-5 } });
    assert.deepEqual(
      detailsOf(() => trainedModules(model, recipe)).map((text) => text.split(':')[0]),
      ['recipe.learningRates.vision'],
    );
  });
});
