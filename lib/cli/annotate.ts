/** `facellm annotate FOLDER --model DIR`: pictures to a table. */
import {
  annotate,
  type AnnotationQuestion,
  attributeQuestions,
  loadQuestions,
} from '../annotate/index.js';
import { loadCalibration } from '../calibration/index.js';
import { CLOSED_QUESTIONS, type ClosedQuestionName } from '../data/index.js';
import { InvalidArgumentError } from '../errors.js';
import { formatDuration, StatusLine } from '../progress/index.js';
import { type FaceFlags, faceOptionsOf } from './face-options.js';
import type { ModelFlags, OutputFlags } from './options.js';
import type { Console } from './output.js';
import { withModel } from './with-model.js';

export interface AnnotateFlags extends ModelFlags, OutputFlags, FaceFlags {
  readonly output: readonly string[];
  readonly attributes?: string;
  readonly questions?: string;
  readonly sheet?: string;
  readonly sheetRows?: number;
  readonly calibration?: string;
  readonly limit?: number;
  readonly retryFailed?: boolean;
  readonly maxFailures?: number;
}

const isAttribute = (name: string): name is ClosedQuestionName =>
  Object.hasOwn(CLOSED_QUESTIONS, name);

async function questionsOf(flags: AnnotateFlags): Promise<readonly AnnotationQuestion[]> {
  const names = flags.attributes?.split(',') ?? [];
  const unknown = names.filter((name) => !isAttribute(name));
  const own = flags.questions === undefined ? [] : await loadQuestions(flags.questions);
  const details = unknown.map(
    (name) => `--attributes: ${name} is none of ${Object.keys(CLOSED_QUESTIONS).join(', ')}`,
  );
  if (names.length + own.length === 0) details.push('give --attributes, --questions or both');
  if (details.length === 0) return [...attributeQuestions(names.filter(isAttribute)), ...own];
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'there is nothing to ask', {
    details,
  });
}

/** @returns 0 where every picture has a row and few have failed, 1 where more have, 130 where it was interrupted */
export async function runAnnotate(
  input: string,
  flags: AnnotateFlags,
  streams: Console,
): Promise<number> {
  const questions = await questionsOf(flags);
  const faces = flags.faces === 'off' ? 'off' : { which: 'each' as const, ...faceOptionsOf(flags) };
  const calibration =
    flags.calibration === undefined ? undefined : await loadCalibration(flags.calibration);
  return withModel(flags, streams, async (model, signal) => {
    const { output, sheet, sheetRows, limit, retryFailed, maxFailures = 0.01 } = flags;
    const job = annotate({
      ...{
        input,
        output,
        model,
        questions,
        calibration,
        faces,
        limit,
        retryFailed,
        sheet,
        sheetRows,
      },
    });
    signal.addEventListener('abort', () => job.stop(), { once: true });
    const status = new StatusLine({ stream: streams.stderr, intervalSeconds: 10 });
    const startedAt = performance.now();
    for await (const { done, total } of job) {
      if (!status.isDue) continue;
      const left = ((performance.now() - startedAt) / 1000 / done) * (total - done);
      status.show(`${done} of ${total} pictures, ${formatDuration(left)} left`);
    }
    status.erase();
    const result = await job;
    const { outputs, pictures, rows, statuses, missing } = result;
    if (flags.json === true) streams.stdout.write(`${JSON.stringify(result)}\n`);
    else if (missing > 0) {
      streams.stdout.write(
        `${missing} of ${pictures} pictures are left to do; run the same again\n`,
      );
    } else {
      const counts = Object.entries(statuses).map(([name, count]) => `${count} ${name}`);
      streams.stdout.write(
        `${rows} rows of ${pictures} pictures (${counts.join(', ')}): ${outputs.join(', ')}\n`,
      );
    }
    if (signal.aborted) return 130;
    const { unreadable = 0, 'too-large': large = 0, 'model-error': wrong = 0 } = statuses;
    return unreadable + large + wrong > maxFailures * rows ? 1 : 0;
  });
}
