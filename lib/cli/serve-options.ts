/** Flags of `facellm serve`; each is also a key of `--config FILE.yaml`, without its dashes. */
import { type Command, Option } from 'commander';

import type { WeightForm } from '../model/index.js';
import { addAskedFaceOptions, type AskedFaceFlags } from './face-options.js';
import { decimal, weightsOption, wholeNumber } from './options.js';

/** Flag, what stands for its value, what it says, and how it is read. */
const NUMBERS: readonly (readonly [flag: string, text: string, least: number])[] = [
  ['--port <n>', '0 for any free one (default: 8000)', 0],
  ['--max-context <n>', "tokens of prompt and answer (default: the model's limit)", 2],
  ['--max-rows <n>', 'answers computed at a time (default: 16 on a CPU, 256 on a GPU)', 1],
  ['--kv-memory <bytes>', 'for keys and values', 0],
  ['--image-cache <bytes>', 'for vectors of pictures seen', 0],
  ['--prefix-cache <bytes>', 'for prompts already computed', 0],
  ['--max-tokens <n>', 'longest answer that a request may ask for (default: 4096)', 1],
  ['--default-max-tokens <n>', 'where a request does not say (default: 512)', 1],
  ['--max-n <n>', 'answers to one request (default: 8)', 1],
  ['--max-images <n>', 'pictures of a request (default: 8)', 1],
  ['--max-image-bytes <n>', 'of a picture (default: 12 MiB)', 1],
  ['--max-pixels <n>', 'of a picture (default: 50,000,000)', 1],
  ['--max-tiles <n>', "of a request's pictures together (default: 40)", 1],
  ['--max-body <bytes>', 'of a request (default: 24 MiB)', 1],
  ['--max-bodies <bytes>', 'of all requests under way (default: 256 MiB)', 1],
  ['--max-decoded <bytes>', 'of decoded pictures that wait (default: 400,000,000)', 1],
  ['--max-queue <n>', 'requests that wait (default: 256)', 0],
  ['--max-grammars <n>', 'new schemas of a key, compiled or waiting for it (default: 32)', 1],
  ['--max-wait <ms>', 'work that waits, at the measured rate (default: 30000)', 1],
  ['--queue-timeout <ms>', 'until a request begins (default: 60000)', 1],
  ['--header-timeout <ms>', 'for headers to come in (default: 10000)', 1],
  ['--body-timeout <ms>', 'for a request to come in (default: 30000)', 1],
  ['--answer-timeout <ms>', 'for an answer that is not streamed (default: 280000)', 1],
  ['--stream-timeout <ms>', 'for a streamed answer (default: 600000)', 1],
  ['--stall-timeout <ms>', 'for a reader that takes nothing (default: 30000)', 1],
  ['--stream-interval-ms <ms>', 'joins steps of a stream that are closer (default: 0)', 0],
  ['--drain-timeout <ms>', 'for requests under way when told to end (default: 30000)', 1],
  ['--stall-limit <ms>', 'without progress, then /health is 503 (default: 60000)', 1],
  ['--max-batch-file <bytes>', 'of a file of requests (default: 64 MiB)', 1],
  ['--max-batch-bytes <bytes>', 'of all such files (default: 4 GiB)', 1],
  ['--keep-batches <ms>', 'files, and batches that are over (default: 30 days)', 1000],
  ['--max-connections <n>', '(default: 1024)', 1],
];

export interface ServeFlags extends AskedFaceFlags {
  readonly model?: string;
  readonly subfolder?: string;
  readonly device?: string;
  readonly dtype?: 'fp32' | 'bf16';
  readonly weights?: WeightForm;
  readonly threads?: number;
  readonly mmap?: boolean;
  readonly adapter?: readonly string[];
  readonly calibration?: readonly string[];
  readonly config?: string;
  readonly host?: string;
  readonly port?: number;
  readonly servedName?: string;
  readonly apiKeys?: string;
  readonly deterministic?: boolean;
  readonly insecureNoAuth?: boolean;
  readonly allowHost?: readonly string[];
  readonly corsOrigin?: readonly string[];
  readonly adaptersRoot?: string;
  readonly imageHosts?: readonly string[];
  readonly anyImageHost?: boolean;
  readonly allowFormat?: readonly ('avif' | 'tiff')[];
  readonly defaultTemperature?: number;
  readonly unknownFields?: 'refuse' | 'ignore';
  readonly metricsPrefix?: string;
  readonly maxContext?: number;
  readonly maxRows?: number;
  readonly kvMemory?: number;
  readonly imageCache?: number;
  readonly prefixCache?: number;
  readonly maxTokens?: number;
  readonly defaultMaxTokens?: number;
  readonly maxN?: number;
  readonly maxImages?: number;
  readonly maxImageBytes?: number;
  readonly maxPixels?: number;
  readonly maxTiles?: number;
  readonly maxBody?: number;
  readonly maxBodies?: number;
  readonly maxDecoded?: number;
  readonly maxQueue?: number;
  readonly maxGrammars?: number;
  readonly maxWait?: number;
  readonly queueTimeout?: number;
  readonly headerTimeout?: number;
  readonly bodyTimeout?: number;
  readonly answerTimeout?: number;
  readonly streamTimeout?: number;
  readonly stallTimeout?: number;
  readonly streamIntervalMs?: number;
  readonly drainTimeout?: number;
  readonly stallLimit?: number;
  readonly maxBatchFile?: number;
  readonly maxBatchBytes?: number;
  readonly keepBatches?: number;
  readonly batches?: string;
  readonly runs?: readonly string[];
  readonly maxConnections?: number;
}

export function addServeOptions(command: Command): Command {
  command
    .description("serve a model over HTTP, in OpenAI's protocol (docs/serving.md)")
    .option('--model <dir>', 'checkpoint folder, or a hub id in the local Hugging Face cache')
    .option('--adapter <dir...>', 'PEFT adapters, each a model of its own beside the base')
    .option('--calibration <file...>', 'of `facellm calibrate`: calibrated probabilities, too')
    .option('--config <file>', 'YAML with any of these flags, without their dashes')
    .option('--served-name <id>', 'of the base model (default: the last part of its name)')
    .option('--host <address>', 'to listen on (default: 127.0.0.1)')
    .option('--api-keys <file>', 'lines name:sha256[:rights] (facellm keygen), or FACELLM_API_KEYS')
    .option('--deterministic', 'an answer is the same, bit for bit, whatever else is asked (CPU)')
    .option('--insecure-no-auth', 'without keys on an address that others reach: anybody may ask')
    .option('--allow-host <name...>', 'names that clients call the server by')
    .option('--cors-origin <origin...>', 'web pages that may ask, such as https://example.com')
    .option('--batches <dir>', 'takes files of requests and keeps them and their answers here')
    .option('--runs <dir...>', 'training runs, or folders of them, to watch on the page; only read')
    .option('--adapters-root <dir>', 'adapters below it may be loaded by keys with the right admin')
    .option(
      '--image-hosts <name...>',
      'hosts that pictures given by address are fetched from, https',
    )
    .option(
      '--any-image-host',
      'from any public host: who may ask can make the server ask strangers',
    )
    .addOption(
      new Option('--allow-format <name...>', 'beside JPEG, PNG, WebP, GIF').choices([
        'avif',
        'tiff',
      ]),
    )
    .option('--default-temperature <t>', 'where a request does not say (default: 0)', decimal)
    .addOption(
      new Option('--unknown-fields <what>', 'of requests (default: refuse)').choices([
        'refuse',
        'ignore',
      ]),
    )
    .option(
      '--metrics-prefix <text>',
      'vllm: gives the names of its dashboards (default: facellm:)',
    )
    .option('--subfolder <name>', 'folder inside the checkpoint')
    .option('--device <name>', 'cpu, cuda or cuda:N (default: a GPU if usable)')
    .addOption(new Option('--dtype <name>', 'default: as stored').choices(['fp32', 'bf16']))
    .addOption(weightsOption())
    .option('--threads <n>', 'threads of the engine', wholeNumber(1))
    .option('--no-mmap', 'copy the weights instead of mapping their files');
  for (const [flag, text, least] of NUMBERS) command.option(flag, text, wholeNumber(least));
  return addAskedFaceOptions(command);
}
