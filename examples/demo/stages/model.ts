/** Stage 2: a model from nothing, with a vocabulary learnt from the data's own texts. */
import { rm } from 'node:fs/promises';

import { createModel, datasetTexts, nanoShape, readDataset } from 'facellm';

import type { Demo } from '../demo.js';
import type { Stage } from '../stage-cache.js';
import { DATA_FOLDER } from './data.js';

export interface ModelResult {
  readonly parameters: number;
  readonly vocabularySize: number;
}

export const MODEL_FOLDER = 'model';

export function modelStage(demo: Demo): Stage<ModelResult> {
  const { cache, interruption, options } = demo;
  const shape = nanoShape();
  const { seed } = options;
  return {
    name: 'model',
    inputs: { shape, seed },
    outputs: [MODEL_FOLDER],
    run: async () => {
      const { records } = await readDataset(cache.path(DATA_FOLDER));
      const output = cache.path(MODEL_FOLDER);
      // Whole or not there at all: nothing to go on from.
      await rm(output, { recursive: true, force: true });
      const { parameters, vocabularySize } = await createModel({
        ...{ output, shape, seed },
        texts: datasetTexts(records),
      });
      interruption.check();
      return { parameters, vocabularySize };
    },
  };
}
