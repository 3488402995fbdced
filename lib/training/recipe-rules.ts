/** What must hold between the fields of a recipe. A rule is asked where all that it looks at is right by itself. */
import type { TrainedPart, TrainingRecipe } from './recipe.js';
import { LAST, METRICS } from './validation/figures.js';

type Field = keyof TrainingRecipe;

interface Rule {
  readonly fields: readonly Field[];
  readonly problems: (recipe: TrainingRecipe) => readonly string[];
}

/** @param problems sees no other fields than those, so that it is not asked about one that is wrong */
function rule<F extends Field>(
  fields: readonly F[],
  problems: (recipe: Pick<TrainingRecipe, F>) => readonly string[],
): Rule {
  return { fields, problems };
}

const told = (isTold: boolean, problem: string): readonly string[] => (isTold ? [problem] : []);

const RULES: readonly Rule[] = [
  rule(['lora', 'parts'], ({ lora, parts }) =>
    told((lora === null) === (parts.length === 0), 'recipe: expected either lora or parts'),
  ),
  rule(['groupsByLength', 'groupsByPicture'], ({ groupsByLength, groupsByPicture }) =>
    told(
      groupsByLength && groupsByPicture,
      'recipe: expected groupsByLength or groupsByPicture, not both',
    ),
  ),
  rule(['cooldown', 'schedule'], ({ cooldown, schedule }) =>
    told(
      cooldown > 0 && schedule !== 'constant',
      `recipe.cooldown: expected schedule constant; ${schedule} falls to 0 by itself`,
    ),
  ),
  rule(['cooldown', 'patience'], ({ cooldown, patience }) =>
    told(
      cooldown === 1 && patience > 0,
      'recipe.cooldown: expected a share below 1 beside patience, which otherwise ends nothing earlier',
    ),
  ),
  rule(['sharesPrefix', 'groupsByPicture'], ({ sharesPrefix, groupsByPicture }) =>
    told(
      sharesPrefix && !groupsByPicture,
      'recipe.sharesPrefix: expected groupsByPicture, without which samples of a picture rarely meet',
    ),
  ),
  rule(['learningRate', 'learningRates'], ({ learningRate, learningRates }) =>
    told(
      Object.keys(learningRates).length > 0 && learningRate === 0,
      'recipe.learningRate: expected a number above 0 beside learningRates',
    ),
  ),
  // What full fine-tuning trains is known here, what LoRA's targets reach only with the model (modules.ts).
  rule(['learningRates', 'parts', 'lora'], ({ learningRates, parts, lora }) =>
    (Object.keys(learningRates) as TrainedPart[])
      .filter((part) => (lora === null ? !parts.includes(part) : part === 'head'))
      .map((part) => `recipe.learningRates.${part}: the recipe does not train this part`),
  ),
  rule(['expectedReward', 'preference'], ({ expectedReward, preference }) =>
    told(
      expectedReward !== null && preference !== null,
      'recipe: expected expectedReward or preference, not both',
    ),
  ),
  rule(['faces', 'maxTiles'], ({ faces, maxTiles }) =>
    told(
      faces !== 'off' && faces.onNoFace === 'whole' && maxTiles > 0,
      'recipe.faces.onNoFace: whole pictures beside chips need maxTiles 0',
    ),
  ),
  ...(['evaluateEvery', 'patience'] as const).map((field) =>
    rule(['validation', field], (recipe) =>
      told(recipe.validation === null && recipe[field] > 0, needsValidation(field)),
    ),
  ),
  rule(['validation', 'bestMetric'], ({ validation, bestMetric }) =>
    told(validation === null && bestMetric !== METRICS[0], needsValidation('bestMetric')),
  ),
  rule(['bestMetric', 'patience'], ({ bestMetric, patience }) =>
    told(
      bestMetric === LAST && patience > 0,
      'recipe.patience: expected a bestMetric to wait for; last names none',
    ),
  ),
  rule(['validation', 'patience', 'evaluateEvery'], ({ validation, patience, evaluateEvery }) =>
    told(
      validation !== null && patience > 0 && evaluateEvery === 0,
      'recipe.patience: expected evaluateEvery above 0; with one validation, after the last update, there is nothing to wait for',
    ),
  ),
  rule(['base', 'lora'], ({ base, lora }) =>
    told(
      base !== 'stored' && lora === null,
      'recipe.base: expected lora, weights of 8 or 4 bits take no gradient',
    ),
  ),
  rule(['base', 'shardsWeights'], ({ base, shardsWeights }) =>
    told(
      base !== 'stored' && shardsWeights,
      'recipe.base: expected stored with shardsWeights, or every process with all of them',
    ),
  ),
  rule(['shardsWeights', 'lora'], ({ shardsWeights, lora }) => [
    ...told(
      shardsWeights && lora === null,
      'recipe.shardsWeights: expected lora, whose base takes no gradient',
    ),
    ...told(
      shardsWeights && lora?.usesDora === true,
      'recipe.shardsWeights: DoRA needs the norms of whole weights',
    ),
  ]),
  rule(['shardsWeights', 'checkpointsActivations'], ({ shardsWeights, checkpointsActivations }) =>
    told(
      shardsWeights && !checkpointsActivations,
      'recipe.shardsWeights: expected checkpointsActivations, which the gathering relies on',
    ),
  ),
];

function needsValidation(field: Field): string {
  return `recipe.${field}: expected validation, without which nothing is evaluated`;
}

/**
 * @param wrong fields that are not right by themselves
 * @returns one line each
 */
export function contradictionsOf(recipe: TrainingRecipe, wrong: ReadonlySet<unknown>): string[] {
  return RULES.filter(({ fields }) => !fields.some((field) => wrong.has(field))).flatMap(
    ({ problems }) => problems(recipe),
  );
}
