/** What a model reads and writes in training on a dataset: the texts to learn a vocabulary from. */
import type { TrainingRecord } from './types.js';

/** Every turn as the templates put it, with its role's word in front and cut where pictures stand. */
export function datasetTexts(records: readonly TrainingRecord[]): string[] {
  return records.flatMap(({ system, turns }) => [
    ...(system === undefined ? [] : [`system\n${system}`]),
    ...turns.flatMap(({ user, assistant }) => [
      ...`user\n${user}`.split('<image>'),
      `assistant\n${assistant}`,
    ]),
  ]);
}
