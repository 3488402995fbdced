/** Training runs: recipes, the run itself, and what it tells. */
export { checkRecipe } from './check-recipe.js';
export { overrideRecipe } from './override-recipe.js';
export {
  ANSWER_TOKENS,
  type PlannedSample,
  planTraining,
  SAMPLE_TOKENS,
  type TrainingPlan,
} from './memory-plan.js';
export type { ResultCard, TrainingEvent, TrainingResult } from './events.js';
export {
  type RecipeBase,
  type RecipeLora,
  type RecipeLoraPart,
  type RecipePreference,
  type RecipeReward,
  type TrainingRecipe,
  type ValidationData,
  type ValidationShare,
} from './recipe.js';
export { facellm1b, facellm8b, facellm38b, nano, recipeNamed, RECIPES } from './recipes.js';
export { TrainingProgress } from './run/progress.js';
export { train } from './train.js';
export type { TrainOptions } from './train-options.js';
export type { TrainingRun } from './training-run.js';
export type { OwnValidation, ValidationRecord } from './validation/validation.js';
