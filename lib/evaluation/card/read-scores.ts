/** Scores of a finished evaluation for a model's card, and only of that model. */
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { z } from 'zod';

import type { CardScores } from '../../card/index.js';
import { createError } from '../../errors.js';
import { parseJson, readDataText, readJournal } from '../../files/index.js';
import { problemsOf } from '../../options/index.js';
import { hashFolder } from '../face-llm-contender.js';

const RANK = /^rank-\d+$/;
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

interface Header {
  readonly settings?: {
    readonly model?: { readonly model?: string; readonly adapters?: readonly string[] };
  };
}

/** The evaluation's own name of the model in `directory`, by the hashes that its journals begin with. */
async function nameIn(folder: string, directory: string, isAdapter: boolean): Promise<string> {
  const hash = await hashFolder(directory, 'model', {
    emit: () => undefined,
    signal: new AbortController().signal,
  });
  const ranks = (await readdir(folder)).filter((entry) => RANK.test(entry)).sort();
  for (const rank of ranks) {
    const names = (await readdir(join(folder, rank))).filter((entry) => entry.endsWith('.jsonl'));
    for (const name of names.sort()) {
      let header: Header | undefined;
      await readJournal(join(folder, rank, name), (entry) => (header ??= entry as Header));
      const { model, adapters = [] } = header?.settings?.model ?? {};
      const isSame = isAdapter
        ? adapters.length === 1 && adapters[0] === hash
        : model === hash && adapters.length === 0;
      if (isSame) return name.replace(/\.jsonl$/, '');
    }
  }
  throw createError(
    'FACELLM_DATA_INVALID',
    `${folder} holds no answers of the model in ${resolve(directory)}: expected the output of facellm evaluate --benchmark attributes on these very weights`,
  );
}

/**
 * @param folder output of `evaluate` with the benchmark `attributes`
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID where the report is another, or of another model
 */
export async function readScores(
  folder: string,
  directory: string,
  isAdapter: boolean,
): Promise<CardScores> {
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
  const model = await nameIn(folder, directory, isAdapter);
  const { isPartial, notes, smallGroup, attributes } = parsed.data;
  return {
    ...{ benchmark: 'attributes', isPartial, notes, smallGroup },
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
