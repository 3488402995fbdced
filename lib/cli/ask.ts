/** `facellm ask PHOTO... "QUESTION" --model DIR`: streams the answer to stdout. */
import type { GenerationOptions } from '../generation/index.js';
import type { ModelFlags, OutputFlags, PromptFlags } from './options.js';
import { promptOptions } from './options.js';
import type { Console } from './output.js';
import { withModel } from './with-model.js';

type Drawing = Omit<GenerationOptions, 'doSample' | 'signal'>;

export interface AskFlags extends ModelFlags, PromptFlags, OutputFlags, Drawing {
  readonly greedy?: boolean;
}

/** @param words pictures, then the question */
export async function runAsk(
  words: readonly string[],
  flags: AskFlags,
  streams: Console,
): Promise<void> {
  const question = words.at(-1) ?? '';
  const image = words.slice(0, -1);
  await withModel(flags, streams, async (model, signal) => {
    const { maxNewTokens, temperature, topK, topP, minP, repetitionPenalty, seed, stop } = flags;
    const answer = model.ask({
      image,
      question,
      ...promptOptions(flags),
      ...{ maxNewTokens, temperature, topK, topP, minP, repetitionPenalty, seed, stop },
      ...(flags.greedy === true ? { doSample: false } : {}),
      signal,
    });
    if (flags.json) {
      const result = await answer.result();
      const { text, tokenIds, promptTokens, imageTokens, finishReason } = result;
      const { sampling, timings, peakBytes } = result;
      const load = model.info.loadMs;
      const object = {
        text,
        tokenIds,
        promptTokens,
        imageTokens,
        finishReason,
        sampling,
        timings: { load, ...timings },
        peakBytes,
      };
      streams.stdout.write(`${JSON.stringify(object)}\n`);
      return;
    }
    for await (const piece of answer) streams.stdout.write(piece);
    streams.stdout.write('\n');
  });
}
