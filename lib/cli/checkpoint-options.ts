/** Flags of the commands that write a checkpoint: `facellm init`, `merge` and `quantize`. */
import { type Command, Option } from 'commander';

import { addJsonOption, DOWNLOAD, shardSize, wholeNumber } from './options.js';

const MODEL = ['--model <dir>', 'checkpoint: folder, or hub id in the local cache'] as const;
const OUTPUT = ['--output <dir>', 'new folder; must not hold anything'] as const;
const SHARD_SIZE = [
  '--max-shard-size <size>',
  'largest weight file, such as 5GB (default: 5GB)',
  shardSize,
] as const;

function layout(): Option {
  return new Option('--layout <name>', "default: the checkpoint's").choices(['hf', 'original']);
}

export function addInitOptions(command: Command): Command {
  return addJsonOption(command)
    .description(
      "a small model of InternVL's architecture: random weights, a tokenizer learnt from the data",
    )
    .requiredOption('--data <path...>', 'ShareGPT .json or .jsonl, dataset_info.json, or text')
    .requiredOption(...OUTPUT)
    .option('--dataset <name>', 'entry of the dataset_info.json')
    .option('--image-root <dir>', 'where relative picture paths start')
    .option('--set <key=value...>', 'sizes of the model, e.g. textLayers=4 tiesEmbeddings=false')
    .option('--vocabulary <n>', 'tokens at most (default: 2048)', wholeNumber(1))
    .option('--seed <n>', 'of the weights (default: 42)', wholeNumber(0));
}

export function addMergeOptions(command: Command): Command {
  return addJsonOption(command)
    .description(
      'fold adapters into a checkpoint; without one, write it anew in another layout or dtype',
    )
    .requiredOption(...MODEL)
    .option('--adapter <dir...>', 'PEFT adapters, folded in in this order')
    .option(...DOWNLOAD)
    .requiredOption(...OUTPUT)
    .addOption(layout())
    .addOption(new Option('--dtype <name>', 'default: as stored').choices(['bf16', 'fp32']))
    .option(...SHARD_SIZE)
    .option(
      '--onto-quantised',
      'fold into a checkpoint that is stored quantised: into what its codes stand for',
    );
}

export function addQuantizeOptions(command: Command): Command {
  return addJsonOption(command)
    .description(
      "write a checkpoint with its text layers' weights in 8 or 4 bits (compressed-tensors), for this program, transformers and vLLM",
    )
    .requiredOption(...MODEL)
    .addOption(
      new Option('--weights <form>', 'of the text layers')
        .choices(['int4', 'int8', 'fp8'])
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--group <n>', 'columns of an int4 scale (default: 128 where it fits)').choices([
        ...['32', '64', '128'],
      ]),
    )
    .option('--adapter <dir...>', 'PEFT adapters, folded in before')
    .option(...DOWNLOAD)
    .requiredOption(...OUTPUT)
    .addOption(layout())
    .addOption(
      new Option('--dtype <name>', 'of everything else; default: as stored').choices([
        'bf16',
        'fp32',
      ]),
    )
    .option(...SHARD_SIZE)
    .option('--onto-quantised', 'as `merge` has it');
}
