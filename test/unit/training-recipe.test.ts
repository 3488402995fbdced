/** Recipes, their settings on the command line, and the learning rate. */
import assert from 'node:assert/strict';

import {
  checkRecipe,
  facellm1b,
  facellm8b,
  facellm38b,
  InvalidArgumentError,
  nano,
  overrideRecipe,
  RECIPES,
} from '../../lib/index.js';
import { recipeNamed } from '../../lib/training/index.js';
import { lastStepOf, learningRateAt, warmupOf } from '../../lib/training/schedule.js';
import { denominatorsOf } from '../../lib/training/updates.js';
import { goldenRecipe, goldenRun } from '../support/training.js';

function problemsOf(action: () => unknown): readonly string[] {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof InvalidArgumentError);
    assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
    return error.details;
  }
  throw new Error('expected an error');
}

describe('recipes', () => {
  it('are complete and frozen to the bottom', () => {
    for (const make of Object.values(RECIPES)) {
      const recipe = make();
      assert.ok(Object.isFrozen(recipe) && (recipe.lora === null || Object.isFrozen(recipe.lora)));
      assert.deepEqual(checkRecipe(recipe), recipe);
      assert.ok(!Object.values(recipe).includes(undefined));
    }
  });

  it("hold the authors' numbers", () => {
    for (const recipe of [facellm1b(), facellm8b(), facellm38b()]) {
      const { lora, learningRate, schedule, warmupSteps, maxGradNorm, epochs, cutoffLength } =
        recipe;
      assert.deepEqual(
        { learningRate, schedule, warmupSteps, maxGradNorm, epochs, cutoffLength },
        {
          learningRate: 1e-5,
          schedule: 'cosine',
          warmupSteps: 0,
          maxGradNorm: 1,
          epochs: 1,
          cutoffLength: 2048,
        },
      );
      assert.equal(lora?.rank, 16);
      assert.equal(lora.alpha, 32);
      assert.equal(lora.dropout, 0);
      assert.equal(lora.targets, 'all');
    }
    assert.deepEqual([facellm1b().batchSize, facellm1b().accumulation], [10, 8]);
    assert.deepEqual([facellm38b().batchSize, facellm38b().accumulation], [2, 6]);
    assert.throws(() => recipeNamed('facellm2b'), /facellm1b, facellm8b, facellm38b, nano/);
  });

  it('every wrong field is named at once', () => {
    const wrong = { ...facellm1b(), learningRate: -1, dtype: 'fp8', epochs: 0, extra: 1 };
    const problems = problemsOf(() => checkRecipe(wrong as never)).join('\n');
    for (const field of ['learningRate', 'dtype', 'epochs', 'extra']) {
      assert.ok(problems.includes(field), `${field} in ${problems}`);
    }
    const both = { ...facellm1b(), parts: ['text' as const] };
    assert.deepEqual(
      problemsOf(() => checkRecipe(both)),
      ['recipe: expected either lora or parts'],
    );
  });

  it('an augmentation is changed field by field where the recipe has one', () => {
    const off = { flip: 0, zoom: 0, shift: 0, brightness: 0, contrast: 0, saturation: 0, grey: 0 };
    const recipe = { ...facellm1b(), augmentation: off };
    assert.deepEqual(overrideRecipe(recipe, ['augmentation.flip=0.5']).augmentation, {
      ...off,
      flip: 0.5,
    });
    assert.equal(overrideRecipe(recipe, ['augmentation=null']).augmentation, null);
    assert.match(
      problemsOf(() => overrideRecipe(facellm1b(), ['augmentation.flip=0.5'])).join(),
      /expected key=value/,
    );
    const wrong = { ...off, zoom: 1, flip: 2 };
    const problems = problemsOf(() => checkRecipe({ ...recipe, augmentation: wrong }));
    assert.deepEqual(
      problems.map((problem) => problem.split(':')[0]),
      ['recipe.augmentation.flip', 'recipe.augmentation.zoom'],
    );
    const both = { ...recipe, groupsByLength: true, groupsByPicture: true };
    assert.equal(problemsOf(() => checkRecipe(both)).length, 1);
  });

  it('settings are JSON or words, and unknown keys are refused with the known ones', () => {
    const changed = overrideRecipe(facellm1b(), [
      'learningRate=2e-5',
      'schedule=linear',
      'lora.rank=8',
      'lora.targets=["q_proj","v_proj"]',
      'packing=true',
    ]);
    assert.equal(changed.learningRate, 2e-5);
    assert.equal(changed.schedule, 'linear');
    assert.equal(changed.lora?.rank, 8);
    assert.deepEqual(changed.lora.targets, ['q_proj', 'v_proj']);
    assert.equal(changed.packing, true);
    assert.equal(facellm1b().lora?.rank, 16);
    const full = overrideRecipe(facellm1b(), ['lora=null', 'parts=["text","head"]']);
    assert.equal(full.lora, null);
    const problems = problemsOf(() =>
      overrideRecipe(nano(), ['lr=1', 'learningRate', 'lora.rank=8', '__proto__.x=1']),
    );
    assert.equal(problems.length, 4);
    assert.match(problems[0] ?? '', /^lr=1: expected key=value with one of name, /);
  });

  it('what is wrong by itself hides no contradiction of the others', () => {
    const wrong = {
      ...nano(),
      epochs: -1,
      patience: 2,
      sharesPrefix: true,
      groupsByPicture: false,
    };
    assert.deepEqual(
      problemsOf(() => checkRecipe(wrong)).map((text) => text.split(':')[0]),
      ['recipe.epochs', 'recipe.sharesPrefix', 'recipe.patience'],
    );
    // Nor is a rule asked about a field that is wrong.
    const odd = { ...wrong, patience: 'two', validation: undefined } as never;
    assert.deepEqual(
      problemsOf(() => checkRecipe(odd))
        .map((text) => text.split(':')[0])
        .sort(),
      ['recipe.epochs', 'recipe.patience', 'recipe.sharesPrefix', 'recipe.validation'],
    );
    for (const none of [null, undefined, 'nano', 3, []]) {
      assert.ok(problemsOf(() => checkRecipe(none as never)).length > 0);
    }
  });
});

describe('learning rate', () => {
  it("is the reference's at every step of both golden runs", () => {
    for (const name of ['train-lora', 'train-lora-accum', 'train-full']) {
      const run = goldenRun(name);
      const recipe = goldenRecipe(run);
      run.steps.forEach(({ lr }, k) => {
        const own = learningRateAt(k, run.steps.length, recipe, null);
        assert.ok(Math.abs(own - lr) <= 1e-12, `${name} step ${k}: ${own}, expected ${lr}`);
      });
    }
  });

  it('rises, then falls to zero by a line, or stays', () => {
    const at = (schedule: 'linear' | 'constant', k: number): number =>
      learningRateAt(k, 10, { ...facellm1b(), learningRate: 1, schedule, warmupSteps: 2 }, null);
    assert.deepEqual(
      [0, 1, 2, 6, 9].map((k) => at('linear', k)),
      [0, 0.5, 1, 0.5, 0.125],
    );
    assert.deepEqual(
      [0, 1, 2, 6, 9].map((k) => at('constant', k)),
      [0, 0.5, 1, 1, 1],
    );
    const ratio = { ...facellm1b(), warmupRatio: 0.03 };
    assert.equal(warmupOf(ratio, 1096), 33);
  });

  it('a constant rate falls to zero in its last updates, or in as many after waiting has ended', () => {
    const recipe = {
      ...facellm1b(),
      ...{ learningRate: 1, schedule: 'constant' as const, warmupSteps: 2, cooldown: 0.4 },
    };
    const rates = (endedAt: number | null): number[] =>
      Array.from({ length: lastStepOf(recipe, 10, endedAt) }, (_, k) =>
        learningRateAt(k, 10, recipe, endedAt),
      );
    assert.deepEqual(rates(null), [0, 0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]);
    assert.deepEqual(rates(4), [0, 0.5, 1, 1, 1, 0.75, 0.5, 0.25]);
    // Where the fall has begun it goes on.
    assert.deepEqual(rates(8), rates(null));
    // Nor does it begin before the rise has ended.
    assert.deepEqual(rates(1), [0, 0.5, 1, 0.75, 0.5, 0.25]);
    const stays = { ...recipe, cooldown: 0 };
    assert.deepEqual([lastStepOf(stays, 10, 4), lastStepOf(stays, 10, null)], [4, 10]);
    assert.deepEqual([learningRateAt(9, 10, stays, null), learningRateAt(4, 10, stays, 4)], [1, 1]);
    // 0.07 * 100 is a little more than 7.
    assert.equal(lastStepOf({ ...recipe, cooldown: 0.07 }, 100, 50), 57);
    // Where they meet, the lower of rise and fall.
    const short = { ...recipe, warmupSteps: 4, cooldown: 0.8 };
    assert.deepEqual(
      [0, 1, 2, 3, 4].map((k) => learningRateAt(k, 5, short, null)),
      [0, 0.25, 0.5, 0.5, 0.25],
    );
    assert.throws(() => checkRecipe({ ...recipe, cooldown: 1, patience: 2 }), {
      message: /the recipe has/,
    });
    assert.throws(() => checkRecipe({ ...facellm1b(), cooldown: 0.2 }), {
      details: ['recipe.cooldown: expected schedule constant; cosine falls to 0 by itself'],
    });
  });
});

describe('loss normalisation', () => {
  it('over a window every token counts the same; by micro-batch every micro-batch does', () => {
    assert.deepEqual(denominatorsOf([3, 5], 'window'), [8, 8]);
    assert.deepEqual(denominatorsOf([3, 5], 'micro-batch'), [6, 10]);
    assert.deepEqual(denominatorsOf([3, 0, 5], 'micro-batch'), [6, 0, 10]);
  });
});
