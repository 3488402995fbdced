/** Stage 5: from the people who were held out, how far the model's probabilities can be taken at their word. */
import { join } from 'node:path';

import { calibrate, type Calibration, loadCalibration } from 'facellm';

import { ATTRIBUTES, type Demo, GROUPS, PROMPT } from '../demo.js';
import { Interrupted } from '../interruption.js';
import { FACES } from '../portraits.js';
import type { Stage } from '../stage-cache.js';
import { RUN_FOLDER } from './training.js';

/** Of each question. */
export type Temperatures = readonly { readonly name: string; readonly temperature: number }[];

export const CALIBRATION_FOLDER = 'calibration';
export const CALIBRATION = 'calibration.json';

const fileOf = ({ cache }: Demo): string => cache.path(join(CALIBRATION_FOLDER, CALIBRATION));

/** Undefined where nobody was held out. */
export async function calibrationOf(demo: Demo): Promise<Calibration | undefined> {
  return demo.options.isFullRun ? undefined : loadCalibration(fileOf(demo));
}

async function fit(demo: Demo): Promise<Temperatures> {
  const { screen, interruption, cache, options, labels } = demo;
  const run = calibrate({
    ...{ benchmark: 'attributes', data: FACES, labels, split: 'validation' },
    ...{ attributes: ATTRIBUTES, groups: GROUPS, prompt: PROMPT, charts: false },
    ...{ model: cache.path(RUN_FOLDER), output: cache.path(CALIBRATION_FOLDER), device: 'cpu' },
    ...{ threads: options.threads, onFailure: 'stop' },
    rank: { rank: 0, worldSize: 1 },
  });
  const { file } = await interruption.during(run, async () => {
    for await (const event of run) {
      if (event.type === 'batch') screen.progress(event.done, event.total, 'questions');
    }
  });
  if (file === undefined) throw new Interrupted('interrupted');
  const { questions } = (await loadCalibration(file)).file;
  return questions.map(({ name, temperature }) => ({ name, temperature }));
}

export function calibrationStage(demo: Demo): Stage<Temperatures> {
  return {
    name: 'calibration',
    inputs: { attributes: ATTRIBUTES, prompt: PROMPT },
    outputs: [CALIBRATION_FOLDER],
    run: () => fit(demo),
  };
}
