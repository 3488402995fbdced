/**
 * `facellm choose PHOTO "QUESTION" --model DIR --choices A B C`: the probability of each answer; with `--items FILE`
 * to each of several questions about the picture, in one go.
 */
import { loadCalibration } from '../calibration/index.js';
import { createError, InvalidArgumentError } from '../errors.js';
import { jsonFault, parseJson, readDataText } from '../files/index.js';
import {
  type ChoiceResult,
  type FacesSeen,
  facesOf,
  type ItemResult,
} from '../generation/index.js';
import type { ChooseItem, FaceLlm } from '../model/index.js';
import { loadOptions } from '../model/load.js';
import { chooseItemsOptions, chooseOptions, idsOf } from '../model/requests.js';
import { checkArguments } from '../options/index.js';
import { type AskedFaceFlags, pictureOptions } from './face-options.js';
import { describeFaces, faceTurns, oneFace } from './face-turns.js';
import type { ModelFlags, OutputFlags, PromptFlags } from './options.js';
import { loadOptionsOf } from './options.js';
import { type Console, table } from './output.js';
import { withModel } from './with-model.js';

export interface ChooseFlags extends ModelFlags, PromptFlags, AskedFaceFlags, OutputFlags {
  readonly choices?: readonly string[];
  readonly items?: string;
  readonly calibration?: string;
}

export async function runChoose(
  photo: string,
  question: string | undefined,
  flags: ChooseFlags,
  streams: Console,
): Promise<void> {
  const asked = await readQuestions(question, flags);
  const calibration =
    flags.calibration === undefined ? undefined : await loadCalibration(flags.calibration);
  const shared = { image: photo, calibration, ...pictureOptions(flags) };
  const checked = { ...shared, faces: oneFace(shared.faces) };
  // Before anything is fetched or loaded.
  const load = [loadOptions, loadOptionsOf(flags)] as const;
  if ('items' in asked) idsOf(asked.items);
  if ('items' in asked) {
    checkArguments('the flags are wrong', load, [chooseItemsOptions, { ...checked, ...asked }]);
  } else checkArguments('the flags are wrong', load, [chooseOptions, { ...checked, ...asked }]);
  return withModel(flags, streams, async (model, signal) => {
    const told: object[] = [];
    for (const { face, faces } of await faceTurns([photo], shared.faces, signal)) {
      const request = { ...shared, faces, signal };
      const one =
        'items' in asked
          ? itemsTold(await model.choose({ ...request, ...asked }), asked.items, model)
          : choiceTold(await model.choose({ ...request, ...asked }), model);
      told.push(face === undefined ? one.json : { face, ...one.json });
      if (flags.json === true) continue;
      streams.stderr.write(describeFaces(one.faces));
      print(face === undefined ? one.text : `face ${face}:\n${one.text}\n`, streams);
    }
    const isEach = typeof shared.faces === 'object' && shared.faces.which === 'each';
    if (flags.json === true) print(JSON.stringify(isEach ? { results: told } : told[0]), streams);
  });
}

interface Told extends FacesSeen {
  readonly json: object;
  readonly text: string;
}

function choiceTold(result: ChoiceResult, model: FaceLlm): Told {
  return { json: describe(result, model), text: tableOf(result), ...facesOf(result) };
}

function itemsTold(
  results: readonly ItemResult[],
  items: readonly ChooseItem[],
  model: FaceLlm,
): Told {
  const seen = facesOf(results[0] ?? {});
  return {
    json: {
      results: results.map((result) => ({ id: result.id, ...describe(result) })),
      ...seen,
      timings: { load: model.info.loadMs },
    },
    text: results
      .map((result, i) => `${result.id}: ${items[i]?.question}\n${tableOf(result)}`)
      .join('\n\n'),
    ...seen,
  };
}

type Asked =
  | { readonly question: string; readonly choices: readonly string[] }
  | { readonly items: readonly ChooseItem[] };

/** @throws InvalidArgumentError for both forms or half of one; DataError for a file that is no JSON */
async function readQuestions(question: string | undefined, flags: ChooseFlags): Promise<Asked> {
  const { items: file, choices } = flags;
  if (file === undefined && question !== undefined && choices !== undefined) {
    return { question, choices };
  }
  if (file === undefined || question !== undefined || choices !== undefined) {
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      'expected a question with --choices, or --items FILE alone, which has both',
    );
  }
  const { text } = await readDataText(file, (code) => `${file} cannot be read (${code})`);
  const parsed = parseJson(text);
  if (parsed.isValid) return { items: parsed.value as readonly ChooseItem[] };
  throw createError('FACELLM_DATA_INVALID', `${file} ${jsonFault(text, parsed.reason)}`);
}

function print(text: string, { stdout }: Console): void {
  stdout.write(`${text}\n`);
}

function describe(result: ChoiceResult, model?: FaceLlm): object {
  const { mass, entropy, promptTokens, imageTokens, timings, peakBytes } = result;
  const { calibrated } = result;
  const choices = result.choices.map(({ text, label, logProb, probability }, i) => ({
    text,
    ...(label === text ? {} : { label }),
    ...{ logProb, probability },
    ...(calibrated && { calibratedProbability: calibrated.probabilities[i] }),
  }));
  return {
    ...{ choices, best: result.best.text, mass, entropy, promptTokens, imageTokens },
    ...(model === undefined ? {} : facesOf(result)),
    ...(calibrated && { temperature: calibrated.temperature }),
    timings: { ...(model === undefined ? {} : { load: model.info.loadMs }), ...timings },
    peakBytes,
  };
}

function tableOf(result: ChoiceResult): string {
  const { calibrated } = result;
  const percent = (share = 0): string => `${(100 * share).toFixed(2)} %`;
  const rows = result.choices
    .map((choice, i) => ({ ...choice, scaled: calibrated?.probabilities[i] }))
    .sort((a, b) => b.logProb - a.logProb)
    .map(({ text, label, logProb, probability, scaled }) => [
      percent(probability),
      ...(calibrated ? [percent(scaled)] : []),
      logProb.toFixed(4),
      label === text ? text : `${label} (${text})`,
    ]);
  const titles = ['probability', ...(calibrated ? ['calibrated'] : []), 'log-prob', 'choice'];
  const covered = `the list covers ${percent(result.mass)} of what the model would say`;
  return `${table([titles, ...rows])}\n${covered}`;
}
