/** `facellm ask PHOTO... "QUESTION" --model DIR`: streams the answer to stdout; of several the first, then the others. */
import { InvalidArgumentError } from '../errors.js';
import type { Answer, AnswerResult, AnswerStream } from '../generation/index.js';
import { askOptions } from '../model/requests.js';
import { loadOptions } from '../model/load.js';
import type { FaceLlm } from '../model/index.js';
import { checkArguments } from '../options/index.js';
import { type AnswerFlags, answerOptions } from './answer-options.js';
import { type AskedFaceFlags, pictureOptions } from './face-options.js';
import { describeFaces, faceTurns, oneFace } from './face-turns.js';
import type { ModelFlags, OutputFlags, PromptFlags } from './options.js';
import { loadOptionsOf } from './options.js';
import { type Console, describeError } from './output.js';
import { withModel } from './with-model.js';

export interface AskFlags
  extends ModelFlags, PromptFlags, AskedFaceFlags, OutputFlags, AnswerFlags {}

/** @param words pictures, then the question */
export async function runAsk(
  words: readonly string[],
  flags: AskFlags,
  streams: Console,
): Promise<void> {
  const pictures = words.slice(0, -1);
  const request = {
    ...{ image: pictures, question: words.at(-1) ?? '' },
    ...{ ...pictureOptions(flags), ...answerOptions(flags) },
  };
  const asked = { ...request, faces: oneFace(request.faces) };
  // Before anything is fetched or loaded.
  checkArguments('the flags are wrong', [loadOptions, loadOptionsOf(flags)], [askOptions, asked]);
  if (!flags.json && (flags.topLogProbs !== undefined || flags.logProbs !== undefined)) {
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      '--top-log-probs and --log-probs are told in JSON; give --json too',
    );
  }
  await withModel(flags, streams, async (model, signal) => {
    const told: object[] = [];
    for (const { face, faces } of await faceTurns(pictures, request.faces, signal)) {
      const answer = model.ask({ ...request, faces, signal });
      if (flags.json !== true) {
        if (face !== undefined) streams.stdout.write(`face ${face}:\n`);
        await printTexts(answer, flags.n ?? 1, streams);
        continue;
      }
      const one = tell(await answer.result(), model, flags);
      told.push(face === undefined ? one : { face, ...one });
    }
    const isEach = typeof request.faces === 'object' && request.faces.which === 'each';
    const whole = isEach ? { results: told } : told[0];
    if (flags.json === true) streams.stdout.write(`${JSON.stringify(whole)}\n`);
  });
}

function tell(result: AnswerResult, model: FaceLlm, flags: AskFlags): object {
  const { promptTokens, imageTokens, sampling, timings, peakBytes, faces } = result;
  const { text, tokenIds, finishReason, ...more } = describe(result, model, flags);
  return {
    ...{ text, tokenIds, promptTokens, imageTokens, finishReason, ...more },
    ...(flags.n === undefined
      ? {}
      : { answers: result.answers.map((one) => describe(one, model, flags)) }),
    ...(faces === undefined ? {} : { faces }),
    sampling,
    timings: { load: model.info.loadMs, ...timings },
    peakBytes,
  };
}

/** The first answer as it is written; the others, which cannot be mixed into it, when all are done. */
async function printTexts(answer: AnswerStream, n: number, streams: Console): Promise<void> {
  const { stdout, stderr } = streams;
  const heading = (index: number): string => (n > 1 ? `answer ${index + 1} of ${n}:\n` : '');
  stdout.write(heading(0));
  for await (const { index, text } of answer.pieces()) if (index === 0) stdout.write(text);
  stdout.write('\n');
  const { answers, faces } = await answer.result();
  stderr.write(describeFaces(faces));
  for (const [i, { text }] of answers.entries()) {
    if (i > 0) stdout.write(`\n${heading(i)}${text}\n`);
  }
  const failed = answers.flatMap(({ error }, i) => (error === undefined ? [] : { i, error }));
  for (const { i, error } of failed) {
    stderr.write(`answer ${i + 1} is cut off: ${describeError(error)}\n`);
  }
  if (failed[0] !== undefined) throw failed[0].error;
}

interface DescribedAnswer extends Pick<Answer, 'text' | 'tokenIds' | 'finishReason'> {
  readonly [more: string]: unknown;
}

function describe(answer: Answer, model: FaceLlm, flags: AskFlags): DescribedAnswer {
  const { text, tokenIds, finishReason, logProbs, topLogProbs, error } = answer;
  const isTold = flags.logProbs !== undefined || flags.topLogProbs !== undefined;
  // Half a character is U+FFFD; the id says which half.
  const token = (id: number): string => new TextDecoder().decode(model.tokenBytes(id));
  const top = topLogProbs?.map((place) =>
    place.map(({ id, logProb }) => ({ id, token: token(id), logProb })),
  );
  return {
    ...{ text, tokenIds, finishReason },
    ...(isTold ? { logProbs } : {}),
    ...(top === undefined ? {} : { topLogProbs: top }),
    ...(error === undefined ? {} : { error: error.message }),
  };
}
