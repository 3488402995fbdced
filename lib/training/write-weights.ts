/** A run's weights, and what makes them loadable by transformers, PEFT and this package. */
import { copyFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { NativeTrainedModule, NativeTrainer } from '../binding/native.js';
import {
  type CheckpointConfig,
  isCompanion,
  readRequiredJson,
  readTensorNames,
} from '../checkpoint/index.js';
import { resolvePictureFaces } from '../faces/index.js';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapterConfigJson } from '../lora/index.js';
import {
  configFor,
  type ExportSource,
  SETTINGS_FILE,
  type TrainedBase,
  writeCompanions,
  writeJson,
} from '../model/index.js';
import { tilingOf } from './image-tiles.js';
import { loraInPeftTerms } from './modules.js';
import type { TrainingRecipe } from './recipe.js';

export interface WeightsSource {
  readonly trainer: NativeTrainer;
  readonly recipe: TrainingRecipe;
  readonly modules: readonly NativeTrainedModule[];
  /** The base as the user named it; its folder and configuration. */
  readonly model: string;
  readonly directory: string;
  readonly config: CheckpointConfig;
  /** Of the base's weights, by samples. */
  readonly weightsHash: string;
}

/** Into a folder that exists: an adapter in PEFT's layout, or a whole model in the HF layout. */
export async function writeWeights(source: WeightsSource, target: string): Promise<void> {
  if (source.recipe.lora === null) await writeModel(source, target);
  else await writeAdapter(source, target);
  await writeFile(join(target, SETTINGS_FILE), settingsJson(source));
}

/** The tokenizer's files go along, as LLaMA-Factory leaves them. */
async function writeAdapter(source: WeightsSource, target: string): Promise<void> {
  const { trainer, recipe, modules, model, directory, config } = source;
  await trainer.saveAdapter(join(target, ADAPTER_WEIGHTS)).promise;
  if (recipe.lora !== null) {
    const lora = loraInPeftTerms(recipe.lora, config.model);
    await writeFile(join(target, ADAPTER_CONFIG), adapterConfigJson(lora, modules, model));
  }
  for (const name of await readdir(directory)) {
    if (isCompanion(name, config.layout, config.layout)) {
      await copyFile(join(directory, name), join(target, name));
    }
  }
}

async function writeModel(
  { trainer, recipe, directory, config }: WeightsSource,
  target: string,
): Promise<void> {
  const weights = join(target, 'model.safetensors');
  await trainer.saveWeights(weights).promise;
  const source: ExportSource = {
    directory,
    raw: await readRequiredJson(join(directory, 'config.json'), 'the base model is incomplete'),
    config,
    layout: config.layout,
    target: 'hf',
    dtype: recipe.dtype,
    quantisation: undefined,
    adapters: [],
  };
  await writeCompanions(source, target);
  const isTied = !(await readTensorNames(weights)).includes('language_model.lm_head.weight');
  await writeJson(join(target, 'config.json'), configFor(source, isTied));
}

/** How prompts and pictures were made: serving should do the same. */
function settingsJson({ recipe, trainer, config, weightsHash }: WeightsSource): string {
  const { system, maxTiles, limitsImageArea, dtype } = recipe;
  const { text, group } = trainer.info().model.weights;
  const { quantisation } = config;
  const base: TrainedBase = { weightsHash, form: text, group, quantisation };
  // Training leaves pictures as stored (image-tiles.ts).
  const settings = {
    ...{ template: 'training', system, tiles: tilingOf({ maxTiles }) },
    ...{ limitsImageArea, applyExif: false, dtype },
    faces: resolvePictureFaces(recipe.faces),
    // What an adapter stands on; a whole model stands on nothing.
    ...(recipe.lora === null ? {} : { base }),
  };
  return `${JSON.stringify(settings, null, 2)}\n`;
}
