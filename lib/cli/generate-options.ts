/** The flags of `facellm generate`, and their values checked before anything is read. */
import { type Command, InvalidArgumentError as UsageError, Option } from 'commander';

import { addAskedFaceOptions } from './face-options.js';
import { addDeterministicOption, addEngineOptions, decimal, wholeNumber } from './options.js';

type Pairs = Readonly<Record<string, string>>;

/** `key=value`, given once or several times; the value may hold further `=` or be empty. */
function pair(text: string, before: Pairs = {}): Pairs {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError('Expected NAME=VALUE.');
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

function amount(text: string): number {
  const value = decimal(text);
  if (value < 0) throw new UsageError('Expected an amount of at least 0.');
  return value;
}

export function addGenerateOptions(command: Command): Command {
  const count = wholeNumber(1);
  const asking = command
    .usage('--labels CSV --images DIR --teacher NAME --output DIR [options]')
    .requiredOption('--labels <csv>', "label file: FairFace's, or any with --column")
    .requiredOption('--images <dir>', 'folder of the pictures')
    .requiredOption('--output <dir>', 'folder of the dataset and its journal')
    .addOption(
      new Option('--teacher <name>', 'who answers: the labels alone, an API, or one of our models')
        .choices(['labels', 'openai', 'model'])
        .makeOptionMandatory(),
    )
    .option('--prompts <name>', 'fairfacegpt (default), attributes, or a YAML or JSON file')
    .option('--questions <id...>', "only these of the set's questions (default: all)")
    .option('--column <attribute=name>', 'column of an attribute, file or person; repeatable', pair)
    .option('--value <attribute:word=label>', "a CSV's own word for a label; repeatable", pair)
    .option('--where <column=text>', 'only rows that say this; repeatable', pair)
    .option('--max-images <n>', 'only the first pictures', count)
    .option('--skip-invalid', 'leave bad rows out, listed in set_aside.jsonl')
    .option('--model <name>', "the API's model (default: gpt-4o-2024-11-20), or our checkpoint")
    .option('--download', 'fetch what the cache lacks of our checkpoint, a hub id')
    .option('--base-url <url>', 'of the API (default: OPENAI_BASE_URL, else OpenAI)')
    .option('--adapter <dir...>', 'PEFT adapters on our checkpoint')
    .option('--max-tokens <n>', 'longest answer (default: 1024; our models 500)', count)
    .option('--temperature <t>', "of the API's answers (default: its own)", decimal)
    .option('--timeout <s>', 'seconds for one request (default: 120)', decimal)
    .option('--seed <n>', 'of the wordings of the labels teacher (default: 0)', wholeNumber(0))
    .option('--device <name>', 'of our models: cpu, cuda or cuda:N (default: a GPU if usable)')
    .option('--threads <n>', 'of our models', count);
  return addAskedFaceOptions(addDeterministicOption(addEngineOptions(asking)))
    .option('--concurrency <n>', 'requests at a time (default: 16 for an API)', count)
    .option('--requests-per-minute <n>', 'limit of the API', count)
    .option('--tokens-per-minute <n>', 'limit of the API', count)
    .option('--max-retries <n>', 'of a request that fails in passing (default: 6)', wholeNumber(0))
    .option('--max-attempts <n>', 'answers to a question until it is set aside (default: 3)', count)
    .option('--spending-limit <usd>', 'never passed, by all sessions of the run together', amount)
    .option('--price-input <usd>', 'for a million prompt tokens (default: as known)', amount)
    .option('--price-output <usd>', 'for a million tokens of answers', amount)
    .option('--batch', 'use the Batch API: half the price, answers within a day')
    .option('--poll <s>', 'seconds between looks at a batch (default: 60)', decimal)
    .option('--retry-set-aside', 'ask again for what was set aside')
    .option('--judge <model>', 'our checkpoint that is asked what the answers claim')
    .option('--judge-adapter <dir...>', 'PEFT adapters on the judge')
    .option('--judge-threshold <p>', 'least probability of a claim (default: 0.2)', decimal)
    .addOption(
      new Option('--judge-action <what>', 'with answers below it (default: drop)').choices([
        'drop',
        'mark',
      ]),
    )
    .option('--judge-sheet-rows <n>', 'of judge.html (default: 100; 0: none)', wholeNumber(0))
    .option('--license <name>', 'of the texts, for the data card')
    .option('--dry-run', 'check the labels and estimate tokens and cost; ask and write nothing');
}

/** `gender:M=Male` as commander collects it, to the API's form. */
export function valueMap(values: Pairs | undefined): Record<string, Record<string, string>> {
  const result: Record<string, Record<string, string>> = {};
  for (const [key, label] of Object.entries(values ?? {})) {
    const at = key.indexOf(':');
    const attribute = at === -1 ? key : key.slice(0, at);
    result[attribute] = { ...result[attribute], [at === -1 ? '' : key.slice(at + 1)]: label };
  }
  return result;
}
