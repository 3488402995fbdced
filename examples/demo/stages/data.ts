/** Stage 1: labelled portraits become questions with answers. */
import { generateDataset, labelsTeacher, PROMPT_SETS, promptSetHash, readDataset } from 'facellm';

import { ATTRIBUTES, type Demo } from '../demo.js';
import { Interrupted } from '../interruption.js';
import { FACES, fingerprintOf } from '../portraits.js';
import type { Stage } from '../stage-cache.js';

export interface DataResult {
  readonly pictures: number;
  readonly people: number;
  readonly pairs: number;
  /** The first pair, to look at. */
  readonly question: string;
  readonly answer: string;
}

export const DATA_FOLDER = 'data';

const PROMPTS = 'attributes';

async function makeData(demo: Demo): Promise<DataResult> {
  const { screen, cache, interruption, labels, portraits, options } = demo;
  await using teacher = labelsTeacher({ seed: options.seed });
  const run = generateDataset({
    ...{ labels, images: FACES, output: cache.path(DATA_FOLDER), teacher },
    prompts: PROMPTS,
    questions: ATTRIBUTES,
    where: { split: 'train' },
    columns: { age: 'age_bracket', race: '', person: 'identity' },
    license: 'pictures: public domain and CC BY 4.0, see examples/faces/ATTRIBUTION.md',
  });
  const result = await interruption.during(run, async () => {
    for await (const event of run) {
      if (event.type === 'progress') screen.progress(event.settled, event.total, 'questions');
    }
  });
  if (result.end !== 'complete') throw new Interrupted('interrupted');
  const { records } = await readDataset(cache.path(DATA_FOLDER));
  const first = records[0]?.turns[0];
  const taught = portraits.filter(({ split }) => split === 'train');
  return {
    pictures: taught.length,
    people: new Set(taught.map(({ identity }) => identity)).size,
    pairs: result.answered,
    question: (first?.user ?? '').replace('<image>\n', ''),
    answer: first?.assistant ?? '',
  };
}

export async function dataStage(demo: Demo): Promise<Stage<DataResult>> {
  const { portraits, options } = demo;
  const wording = PROMPT_SETS[PROMPTS];
  return {
    name: 'data',
    inputs: {
      portraits: await fingerprintOf(portraits),
      questions: ATTRIBUTES,
      wording: wording && promptSetHash(wording),
      seed: options.seed,
    },
    outputs: [DATA_FOLDER],
    run: () => makeData(demo),
  };
}
