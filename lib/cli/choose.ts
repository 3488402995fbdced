/** `facellm choose PHOTO "QUESTION" --model DIR --choices A B C`: the probability of each answer. */
import type { ModelFlags, OutputFlags, PromptFlags } from './options.js';
import { promptOptions } from './options.js';
import { type Console, table } from './output.js';
import { withModel } from './with-model.js';

export interface ChooseFlags extends ModelFlags, PromptFlags, OutputFlags {
  readonly choices: readonly string[];
}

export async function runChoose(
  photo: string,
  question: string,
  flags: ChooseFlags,
  streams: Console,
): Promise<void> {
  await withModel(flags, streams, async (model, signal) => {
    const { choices } = flags;
    const result = await model.choose({
      image: photo,
      question,
      choices,
      ...promptOptions(flags),
      signal,
    });
    if (flags.json) {
      const { mass, entropy, promptTokens, imageTokens, timings, peakBytes } = result;
      const listed = result.choices.map(({ text, logProb, probability }) => ({
        text,
        logProb,
        probability,
      }));
      const object = {
        choices: listed,
        best: result.best.text,
        ...{ mass, entropy },
        promptTokens,
        imageTokens,
        timings: { load: model.info.loadMs, ...timings },
        peakBytes,
      };
      streams.stdout.write(`${JSON.stringify(object)}\n`);
      return;
    }
    const rows = [...result.choices]
      .sort((a, b) => b.logProb - a.logProb)
      .map(({ text, logProb, probability }) => [
        `${(100 * probability).toFixed(2)} %`,
        logProb.toFixed(4),
        text,
      ]);
    const covered = `the list covers ${(100 * result.mass).toFixed(2)} % of what the model would say`;
    streams.stdout.write(
      `${table([['probability', 'log-prob', 'choice'], ...rows])}\n${covered}\n`,
    );
  });
}
