/** Scores of a finished evaluation for a model's card, and only of that model. */
import { join } from 'node:path';

import { z } from 'zod';

import type { CardScores } from '../../card/index.js';
import { createError } from '../../errors.js';
import { parseJson, readDataText } from '../../files/index.js';
import { problemsOf } from '../../options/index.js';
import { type MeasuredWeights, measuredRun } from './measured-run.js';

const share = z.object({
  value: z.number(),
  low: z.number().optional(),
  high: z.number().optional(),
});
const figures = z.object({
  count: z.number(),
  accuracy: share.optional(),
  balancedAccuracy: share.optional(),
  ece: share.optional(),
});
/** What of fairness.json a card repeats. */
const report = z.object({
  format: z.literal('facellm-fairness-1'),
  isPartial: z.boolean(),
  notes: z.array(z.string()),
  smallGroup: z.number().int(),
  attributes: z.array(
    z.object({
      name: z.string(),
      scores: z.array(
        z.object({
          model: z.string(),
          reading: z.string(),
          overall: figures,
          groupings: z.array(
            z.object({
              by: z.array(z.string()),
              groups: z.array(z.object({ name: z.string(), isSmall: z.boolean(), figures })),
            }),
          ),
        }),
      ),
    }),
  ),
});

/**
 * @param folder output of `evaluate` with the benchmark `attributes`
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID where the report is another, or of another model
 */
export async function readScores(folder: string, weights: MeasuredWeights): Promise<CardScores> {
  const path = join(folder, 'report', 'fairness.json');
  const { text } = await readDataText(
    path,
    (code) =>
      `${path} cannot be read (${code}); expected the output of facellm evaluate --benchmark attributes, finished`,
  );
  const json = parseJson(text);
  const parsed = report.safeParse(json.isValid ? json.value : undefined);
  if (!parsed.success) {
    throw createError('FACELLM_DATA_INVALID', `${path} is no fairness report of this version`, {
      details: problemsOf(parsed.error),
    });
  }
  const { name: model, asked } = await measuredRun(folder, weights);
  const { isPartial, notes, smallGroup, attributes } = parsed.data;
  return {
    ...{ benchmark: 'attributes', isPartial, notes, smallGroup, asked },
    attributes: attributes.flatMap(({ name, scores }) =>
      scores
        .filter((score) => score.model === model)
        .map(({ reading, overall, groupings }) => ({
          ...{ name, reading, ...overall },
          groups: groupings
            .filter(({ by }) => by.length === 1)
            .flatMap(({ by: [by = ''], groups }) =>
              groups.map(({ name: group, isSmall, figures: { count, accuracy } }) => ({
                ...{ by, group, count, isSmall },
                ...(accuracy === undefined ? {} : { accuracy }),
              })),
            ),
        })),
    ),
  };
}
