/** Flags of how an answer is drawn, how long it is, how many there are and what is told of its tokens. */
import { type Command, InvalidArgumentError as UsageError, Option } from 'commander';

import type { GenerationOptions } from '../generation/index.js';
import { decimal, wholeNumber } from './options.js';

export interface AnswerFlags extends Omit<GenerationOptions, 'doSample' | 'signal' | 'mask'> {
  readonly greedy?: boolean;
}

type Biases = Readonly<Record<number, number>>;

/** `ID=BIAS`, several of them; the library says which ids and which values may be. */
function bias(text: string, before: Biases = {}): Biases {
  const match = /^(\d{1,9})=(-?\d+(?:\.\d+)?)$/.exec(text);
  if (match === null) throw new UsageError('Expected ID=BIAS such as 1234=-5.');
  const id = Number(match[1]);
  if (id in before) throw new UsageError(`Id ${id} has a bias already.`);
  return { ...before, [id]: Number(match[2]) };
}

export function addAnswerOptions(command: Command): Command {
  return command
    .option(
      '--max-new-tokens <n>',
      'longest answer (default: by generation_config.json, else 500)',
      wholeNumber(1),
    )
    .option('--min-tokens <n>', 'the answer does not end by itself before so many', wholeNumber(0))
    .option('--greedy', 'never draw, whatever generation_config.json says')
    .option('--temperature <t>', 'draw instead of taking the most probable token', decimal)
    .option('--top-k <k>', 'draw among the k most probable tokens', wholeNumber(0))
    .option('--top-p <p>', 'draw among tokens that make up this probability', decimal)
    .option('--min-p <p>', 'leave out tokens below this share of the most probable', decimal)
    .option('--repetition-penalty <x>', 'above 1 discourages repetition', decimal)
    .option(
      '--frequency-penalty <x>',
      "-2..2, taken from a token's score for each time it was said",
      decimal,
    )
    .option('--presence-penalty <x>', "-2..2, taken from a said token's score once", decimal)
    .option('--logit-bias <id=bias...>', '-100..100, added to the scores of token ids', bias)
    .option(
      '--seed <n>',
      'of the draws (default: another one each time, told in JSON)',
      wholeNumber(0),
    )
    .option('--n <n>', 'so many answers, 1..64; the prompt is computed once', wholeNumber(1))
    .option('--stop <text...>', 'texts that end the answer')
    .option(
      '--top-log-probs <k>',
      'told in JSON: the k most probable tokens at each place, 0..20',
      wholeNumber(0),
    )
    .addOption(
      new Option(
        '--log-probs <whose>',
        "told in JSON: each token's log-probability, the model's own or that of the draw",
      ).choices(['raw', 'processed']),
    );
}

/** Flags to the API's options; absent ones stay absent. */
export function answerOptions(flags: AnswerFlags): GenerationOptions {
  const { maxNewTokens, minTokens, temperature, topK, topP, minP, seed, n, stop } = flags;
  const { repetitionPenalty, frequencyPenalty, presencePenalty, logitBias } = flags;
  const { topLogProbs, logProbs } = flags;
  return {
    ...{ maxNewTokens, minTokens, temperature, topK, topP, minP, seed, n, stop },
    ...{ repetitionPenalty, frequencyPenalty, presencePenalty, logitBias, topLogProbs, logProbs },
    ...(flags.greedy === true ? { doSample: false } : {}),
  };
}
