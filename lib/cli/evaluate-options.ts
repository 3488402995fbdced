/** Flags of `facellm evaluate` and `facellm calibrate`; help and usage errors load this file and no benchmark. */
import { type Command, Option } from 'commander';

import { addPictureOptions } from './face-options.js';
import {
  addAdapterOption,
  addDeterministicOption,
  addEngineOptions,
  addJsonOption,
  addModelOptions,
  decimal,
  wholeNumber,
} from './options.js';

function choice(flag: string, text: string, choices: readonly string[]): Option {
  return new Option(flag, text).choices(choices);
}

function addAskedOptions(command: Command): Command {
  const model = addDeterministicOption(addEngineOptions(addModelOptions(command))).option(
    '--no-deterministic',
    'sooner where bf16 has no hardware; last digits depend on what was asked together (default: deterministic where it can be)',
  );
  return addJsonOption(addPictureOptions(addAdapterOption(model)));
}

const NO_CHARTS = [
  '--no-charts',
  'leave plots out of the report; they need the packages vega and vega-lite',
] as const;

export function addCalibrateOptions(command: Command): Command {
  return addAskedOptions(command)
    .description(
      'fit on labelled pictures how sure a model may be of each answer, so that its probabilities can be taken at their ' +
        'word; the same command goes on with an interrupted run',
    )
    .addOption(
      choice('--benchmark <name>', 'what the labels are', ['attributes']).makeOptionMandatory(),
    )
    .requiredOption(
      '--data <dir>',
      'folder with labels and pictures that the model was not trained on',
    )
    .requiredOption('--output <dir>', 'folder of the run; gets calibration.json and report/')
    .option('--labels <csv>', 'label file (default: the usual names in --data)')
    .option('--columns <what=column...>', 'columns of the label file')
    .option('--split <name>', 'rows of this split only')
    .option('--where <column=value...>', 'rows with these values only')
    .option('--attributes <name...>', 'which (default: those labelled)')
    .option('--groups <name...>', 'what to tell apart (default: race, gender, age)')
    .option(
      '--schema <file>',
      'JSON schema, or a .ts or .js with one or a zod type as its default export: its fields are calibrated, for extract; needs --question',
    )
    .option('--question <text>', 'what is asked with the schema')
    .option('--max-new-tokens <n>', 'of an object of the schema (default: 500)', wholeNumber(1))
    .option(
      '--folds <n>',
      'parts that are scaled by what the others fit (default: 5)',
      wholeNumber(2),
    )
    .option('--limit <n>', 'only the first pictures', wholeNumber(1))
    .option('--skip-invalid', 'leave out what is faulty or has no picture')
    .option(...NO_CHARTS)
    .option('--batch-size <n>', 'questions under way at a time (default: 8)', wholeNumber(1))
    .option('--seed <n>', 'of dealing pictures into parts (default: 0)', wholeNumber(0));
}

/** What is asked about, and how much of it. */
function addBenchmarkOptions(command: Command, longest: string): Command {
  return command
    .addOption(
      choice('--setting <name>', 'facexbench: prompts (default: zero-shot)', [
        'zero-shot',
        'in-context',
      ]),
    )
    .option('--labels <csv>', 'attributes, pairs: label file (default: the usual names in --data)')
    .option('--columns <what=column...>', 'attributes, pairs: columns of the label file')
    .option('--split <name>', 'attributes, pairs: rows of this split only')
    .option('--where <column=value...>', 'attributes, pairs: rows with these values only')
    .option('--attributes <name...>', 'attributes: which (default: those labelled)')
    .option('--groups <name...>', 'attributes: what to tell apart (default: race, gender, age)')
    .option('--pairs <file>', 'pairs: list of pairs (default: in --data, else drawn from people)')
    .option(
      '--limit <n>',
      'only the first questions (facexbench: of each file), pictures or pairs',
      wholeNumber(1),
    )
    .option('--skip-invalid', 'leave out what is faulty or has no picture')
    .addOption(
      choice('--on-failure <what>', 'a question that cannot be asked (default: record)', [
        'record',
        'stop',
      ]),
    )
    .option(...NO_CHARTS)
    .option('--max-new-tokens <n>', `longest reply (default: ${longest})`, wholeNumber(1))
    .option('--batch-size <n>', 'questions under way at a time (default: 8)', wholeNumber(1))
    .option('--seed <n>', 'of drawing pairs and resampling (default: 0)', wholeNumber(0));
}

export function addEvaluateOptions(command: Command): Command {
  const asked = addAskedOptions(command)
    .description(
      'score a model on a benchmark, and beside it the model with adapters or a tuned one; the same command ' +
        'goes on with an interrupted run',
    )
    .addOption(
      choice('--benchmark <name>', 'what to score', [
        'facexbench',
        'attributes',
        'pairs',
      ]).makeOptionMandatory(),
    )
    .requiredOption('--data <dir>', 'folder of the benchmark, with its pictures')
    .requiredOption('--output <dir>', 'folder of the run')
    .option('--tuned <dir>', 'second checkpoint, instead of adapters')
    .addOption(
      choice('--reading <name>', 'how answers are read (default: both, of pairs: probability)', [
        'text',
        'probability',
        'both',
      ]),
    )
    .option(
      '--gallery <n>',
      'wrong answers of each model on the page report/gallery.html, surest first; 0: none (default: 50)',
      wholeNumber(0),
    )
    .option('--gallery-pictures', 'put the pictures into that page')
    .option(
      '--calibration <file...>',
      'attributes: of `facellm calibrate`, for a model of the run and its questions: calibrated probabilities and their ECE, too',
    );
  return addBenchmarkOptions(asked, '2048, 64 or 16, by benchmark');
}

export function addCompareOptions(command: Command): Command {
  const asked = addAskedOptions(command)
    .description(
      'what a form of weights or another checkpoint loses beside a reference: KL, flipped decisions, calibration, by group; ' +
        'the same command goes on with an interrupted run',
    )
    .option('--against <dir>', 'reference (default: the model itself, its weights as stored)')
    .option(
      '--against-adapter <dir...>',
      'of the reference (default: as of the model, without --against)',
    )
    .addOption(
      choice('--benchmark <name>', 'what is asked', ['attributes', 'facexbench', 'pairs']).default(
        'attributes',
      ),
    )
    .requiredOption('--data <dir>', 'folder with labels and pictures')
    .requiredOption('--output <dir>', 'folder of the run')
    .option('--no-yardstick', "leave out the reference's other dtype")
    .option('--max-kl <nats>', 'ends with code 1 where the mean KL a token is above', decimal);
  return addBenchmarkOptions(asked, '64');
}
