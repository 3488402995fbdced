/** Flags of `facellm annotate`; help and usage errors load this file and nothing that annotates. */
import { type Command, InvalidArgumentError as UsageError, Option } from 'commander';

import type { MissedStatus } from '../annotate/index.js';
import { addFaceOptions } from './face-options.js';
import {
  addAdapterOption,
  addDeterministicOption,
  addEngineOptions,
  addJsonOption,
  addModelOptions,
  CALIBRATION,
  decimal,
  wholeNumber,
} from './options.js';

/** Complete, which the compiler checks, without loading what annotates. */
const MISSED: Readonly<Record<MissedStatus, true>> = {
  unreadable: true,
  'too-large': true,
  'model-error': true,
  'no-face': true,
  'too-small': true,
};
const MISSED_STATUSES = Object.keys(MISSED) as readonly MissedStatus[];

/** Statuses of rows without an answer, parted by commas. */
function missedStatuses(text: string): readonly MissedStatus[] {
  const names = text.split(',');
  const unknown = names.filter((name) => !Object.hasOwn(MISSED, name));
  if (unknown.length === 0) return names as MissedStatus[];
  throw new UsageError(
    `Expected ${MISSED_STATUSES.join(', ')}, not ${unknown.join(', ')}; without any, another option or nothing follows.`,
  );
}

export function addAnnotateOptions(command: Command): Command {
  const model = addAdapterOption(
    addDeterministicOption(addEngineOptions(addModelOptions(command))),
  );
  return addFaceOptions(addJsonOption(model), 'each')
    .description(
      'a folder of pictures to one table: a row for each face, with the probability of every answer; the same command ' +
        'goes on with an interrupted one, in as many processes as RANK and WORLD_SIZE tell',
    )
    .argument('<folder>', 'pictures, or a text file with a path a line')
    .requiredOption('--output <file...>', '.jsonl, .csv or .parquet; the first names FILE.work')
    .option('--attributes <names>', 'gender,age,race,smile,expression,eyewear: built-in questions')
    .option(
      '--questions <file>',
      'YAML or JSON: name, question, choices, values, minProbability; or type: text, maxTokens',
    )
    .option(
      '--schema <file>',
      'JSON schema, or a .ts or .js with one or a zod type as its default export: an object about each face, its properties as columns',
    )
    .option(
      '--question <text>',
      "what is asked with the schema (default: the schema's description)",
    )
    .option('--max-new-tokens <n>', 'of an object of the schema (default: 500)', wholeNumber(1))
    .option(
      '--groups <file>',
      'CSV with a column file: a report of answers by group; columns named as questions hold their labels',
    )
    .option('--group-columns <names>', 'its columns, parted by commas')
    .addOption(new Option('--group-from <what>', 'groups without a CSV').choices(['folder']))
    .option('--sheet <file.html>', 'the rows that the model is least sure of, with their pictures')
    .option('--sheet-rows <n>', 'of the sheet (default: 100)', wholeNumber(1))
    .option(...CALIBRATION)
    .option(
      '--csv-raw',
      'no apostrophe before texts that begin as a formula: for programs, not for spreadsheets',
    )
    .option('--limit <n>', 'only the first pictures of the list', wholeNumber(1))
    .option(
      '--retry-failed [statuses]',
      `ask pictures again that could not be read or answered, or only those of statuses, parted by commas: ${MISSED_STATUSES.join(', ')}`,
      missedStatuses,
    )
    .addOption(
      new Option(
        '--changed <how>',
        'answered pictures whose bytes are others now: ask again, or keep their rows (default: refuse)',
      ).choices(['redo', 'keep']),
    )
    .option('--export', 'write the outputs of what is answered so far; ask nothing, load no model')
    .option('--dry-run', 'tell what is to do and how long it will take; keep nothing')
    .option('--processes <n>', 'in n processes of this machine, one a GPU', wholeNumber(1))
    .option('--max-failures <share>', 'failed rows that are no failure (default: 0.01)', decimal);
}
