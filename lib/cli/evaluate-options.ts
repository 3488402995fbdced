/** Flags of `facellm evaluate`; help and usage errors load this file and no benchmark. */
import { type Command, Option } from 'commander';

import {
  addAdapterOption,
  addJsonOption,
  addModelOptions,
  addPromptOptions,
  wholeNumber,
} from './options.js';

function choice(flag: string, text: string, choices: readonly string[]): Option {
  return new Option(flag, text).choices(choices);
}

export function addEvaluateOptions(command: Command): Command {
  return addJsonOption(addPromptOptions(addAdapterOption(addModelOptions(command))))
    .description(
      'score a model on a benchmark, and beside it the model with adapters or a tuned one; the same command ' +
        'goes on with an interrupted run',
    )
    .addOption(choice('--benchmark <name>', 'what to score', ['facexbench']).makeOptionMandatory())
    .requiredOption('--data <dir>', 'folder of the benchmark, with its pictures')
    .requiredOption('--output <dir>', 'folder of the run')
    .option('--tuned <dir>', 'second checkpoint, instead of adapters')
    .addOption(
      choice('--setting <name>', 'prompts of facexbench (default: zero-shot)', [
        'zero-shot',
        'in-context',
      ]),
    )
    .addOption(
      choice('--reading <name>', 'how answers are read (default: both)', [
        'text',
        'probability',
        'both',
      ]),
    )
    .option('--limit <n>', 'only the first questions of each file; a partial set', wholeNumber(1))
    .option('--skip-invalid', 'leave out questions whose files or pictures are faulty or absent')
    .addOption(
      choice('--on-failure <what>', 'a question that cannot be asked (default: record)', [
        'record',
        'stop',
      ]),
    )
    .option('--max-new-tokens <n>', 'longest reply (default: 2048)', wholeNumber(1))
    .option('--batch-size <n>', 'questions computed together (default: 8)', wholeNumber(1))
    .option('--seed <n>', 'recorded; greedy answers draw nothing (default: 0)', wholeNumber(0));
}
