/**
 * `facellm choose PHOTO "QUESTION" --model DIR --choices A B C`: the probability of each answer; with `--items FILE`
 * to each of several questions about the picture, in one go.
 */
import { createError, InvalidArgumentError } from '../errors.js';
import { jsonFault, parseJson, readDataText } from '../files/index.js';
import type { ChoiceResult } from '../generation/index.js';
import type { ChooseItem, FaceLlm } from '../model/index.js';
import { loadOptions } from '../model/load.js';
import { chooseItemsOptions, chooseOptions, idsOf } from '../model/requests.js';
import { checkArguments } from '../options/index.js';
import type { ModelFlags, OutputFlags, PromptFlags } from './options.js';
import { loadOptionsOf, promptOptions } from './options.js';
import { type Console, table } from './output.js';
import { withModel } from './with-model.js';

export interface ChooseFlags extends ModelFlags, PromptFlags, OutputFlags {
  readonly choices?: readonly string[];
  readonly items?: string;
}

export async function runChoose(
  photo: string,
  question: string | undefined,
  flags: ChooseFlags,
  streams: Console,
): Promise<void> {
  const asked = await readQuestions(question, flags);
  const shared = { image: photo, ...promptOptions(flags) };
  const load = [loadOptions, loadOptionsOf(flags)] as const;
  // Before anything is fetched or loaded.
  const what = 'the flags are wrong';
  if ('items' in asked) {
    const { items } = asked;
    checkArguments(what, load, [chooseItemsOptions, { ...shared, items }]);
    idsOf(items);
    return withModel(flags, streams, async (model, signal) => {
      const results = await model.choose({ ...shared, items, signal });
      const listed = results.map((result) => ({ id: result.id, ...describe(result) }));
      const object = { results: listed, timings: { load: model.info.loadMs } };
      const texts = results.map(
        (result, i) => `${result.id}: ${items[i]?.question}\n${tableOf(result)}`,
      );
      print(flags.json ? JSON.stringify(object) : texts.join('\n\n'), streams);
    });
  }
  checkArguments(what, load, [chooseOptions, { ...shared, ...asked }]);
  return withModel(flags, streams, async (model, signal) => {
    const result = await model.choose({ ...shared, ...asked, signal });
    print(flags.json ? JSON.stringify(describe(result, model)) : tableOf(result), streams);
  });
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
  const choices = result.choices.map(({ text, label, logProb, probability }) => ({
    text,
    ...(label === text ? {} : { label }),
    ...{ logProb, probability },
  }));
  return {
    ...{ choices, best: result.best.text, mass, entropy, promptTokens, imageTokens },
    timings: { ...(model === undefined ? {} : { load: model.info.loadMs }), ...timings },
    peakBytes,
  };
}

function tableOf(result: ChoiceResult): string {
  const rows = [...result.choices]
    .sort((a, b) => b.logProb - a.logProb)
    .map(({ text, label, logProb, probability }) => [
      `${(100 * probability).toFixed(2)} %`,
      logProb.toFixed(4),
      label === text ? text : `${label} (${text})`,
    ]);
  const covered = `the list covers ${(100 * result.mass).toFixed(2)} % of what the model would say`;
  return `${table([['probability', 'log-prob', 'choice'], ...rows])}\n${covered}`;
}
