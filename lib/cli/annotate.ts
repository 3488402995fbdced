/** `facellm annotate FOLDER --model DIR`: pictures to a table. */
import { Writable } from 'node:stream';

import {
  annotate,
  type AnnotationEvent,
  type AnnotationPlan,
  type AnnotationQuestion,
  type AnnotationResult,
  type AnnotationSchema,
  attributeQuestions,
  exportAnnotation,
  type GroupsOption,
  loadQuestions,
  type MissedStatus,
  planAnnotation,
} from '../annotate/index.js';
import { loadAddon } from '../binding/load.js';
import { loadCalibration } from '../calibration/index.js';
import { CLOSED_QUESTIONS, type ClosedQuestionName } from '../data/index.js';
import {
  deviceOfRank,
  endWithLauncher,
  isLaunched,
  launchId,
  readJobEnvironment,
  threadsOfRank,
} from '../distributed/index.js';
import { InvalidArgumentError } from '../errors.js';
import { formatDuration, formatLeft, StatusLine } from '../progress/index.js';
import { fetchModels } from './download-reporter.js';
import { type FaceFlags, faceOptionsOf } from './face-options.js';
import { interruptSignal } from './interrupt.js';
import type { ModelFlags, OutputFlags } from './options.js';
import { type Console, formatBytes } from './output.js';
import { launchRanks } from './processes.js';
import { descriptionOf, loadSchema } from './schema-file.js';
import { withModel } from './with-model.js';

export interface AnnotateFlags extends ModelFlags, OutputFlags, FaceFlags {
  readonly output: readonly string[];
  readonly attributes?: string;
  readonly questions?: string;
  readonly schema?: string;
  readonly question?: string;
  readonly maxNewTokens?: number;
  readonly groups?: string;
  readonly groupColumns?: string;
  readonly groupFrom?: 'folder';
  readonly sheet?: string;
  readonly sheetRows?: number;
  readonly calibration?: string;
  readonly csvRaw?: boolean;
  readonly limit?: number;
  readonly retryFailed?: true | readonly MissedStatus[];
  readonly changed?: 'redo' | 'keep';
  readonly maxFailures?: number;
  readonly processes?: number;
  readonly dryRun?: boolean;
  readonly export?: boolean;
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
  if (names.length + own.length === 0 && flags.schema === undefined)
    details.push('give --attributes, --questions, --schema or several of them');
  if (details.length === 0) return [...attributeQuestions(names.filter(isAttribute)), ...own];
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'there is nothing to ask', {
    details,
  });
}

async function schemaOf({
  schema: path,
  question,
  maxNewTokens,
}: AnnotateFlags): Promise<AnnotationSchema | undefined> {
  if (path === undefined) {
    if ((question ?? maxNewTokens) === undefined) return undefined;
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      '--question and --max-new-tokens belong to --schema',
    );
  }
  const schema = await loadSchema(path);
  const asked = question ?? descriptionOf(schema);
  if (asked !== undefined) return { question: asked, schema, maxNewTokens };
  throw new InvalidArgumentError(
    'FACELLM_INVALID_ARGUMENT',
    `${path} does not say what is asked: give --question TEXT, or a description in the schema`,
  );
}

/** Of several ranks on this machine each has its GPU, or its part of the cores. */
async function shareOfRank(flags: AnnotateFlags): Promise<Pick<ModelFlags, 'device' | 'threads'>> {
  if (!isLaunched(process.env)) return {};
  const job = readJobEnvironment(process.env);
  if (job === undefined) return {};
  const { gpus } = await loadAddon().runtimeInfo().promise;
  const threads = threadsOfRank(flags.threads, job, process.env);
  return {
    device: deviceOfRank(flags.device, gpus.length, job),
    ...(threads === undefined ? {} : { threads }),
  };
}

function groupsFrom({
  groups: file,
  groupColumns,
  groupFrom,
}: AnnotateFlags): GroupsOption | undefined {
  if (file === undefined && groupColumns === undefined) return groupFrom;
  if (file !== undefined && groupColumns !== undefined && groupFrom === undefined) {
    return { file, columns: groupColumns.split(',') };
  }
  throw new InvalidArgumentError(
    'FACELLM_INVALID_ARGUMENT',
    'expected --groups FILE with --group-columns NAME,NAME, or --group-from folder alone',
  );
}

function describePlan(plan: AnnotationPlan): string {
  const { pictures, left, sampled, rows, tokens, seconds, journalBytes, peakBytes } = plan;
  const lines = [
    `${pictures} pictures, ${left} of them to do`,
    ...(sampled === 0
      ? []
      : [
          `by the first ${sampled}: about ${rows} rows, ${tokens} tokens of prompts, ${formatDuration(seconds)} in one process`,
          `${formatBytes(journalBytes)} of journals; a question holds ${formatBytes(peakBytes)} beside the model`,
        ]),
  ];
  return `${lines.join('\n')}\n`;
}

const WORK = { check: 'answered pictures looked at for changes', progress: 'pictures' };

/** Where the run is, on a line for people. */
class AnnotationProgress {
  readonly #status: StatusLine;
  #type: AnnotationEvent['type'] | undefined;
  #startedAt = performance.now();

  constructor(stream: Console['stderr']) {
    this.#status = new StatusLine({ stream, intervalSeconds: 10 });
  }

  show({ type, done, total }: AnnotationEvent): void {
    if (type === 'progress' && this.#type === 'check') {
      this.#startedAt = performance.now();
      this.#status.restart();
    }
    this.#type = type;
    if (!this.#status.isDue) return;
    const left = ((performance.now() - this.#startedAt) / 1000 / done) * (total - done);
    this.#status.show(`${done} of ${total} ${WORK[type]}, ${formatLeft(left)}`);
  }

  end(): void {
    this.#status.erase();
  }
}

const LEFT = 'pictures are left to do; run the same again\n';
/** The result of processes none of which knows what the others have done. */
const UNTOLD = `${JSON.stringify({ outputs: [], pictures: null, added: null, rows: 0, statuses: {}, missing: null })}\n`;

/** @returns the exit code: 1 where more have failed than may */
function tellResult(
  result: AnnotationResult,
  { json = false, maxFailures = 0.01 }: AnnotateFlags,
  { stdout }: Console,
): number {
  const { outputs, pictures, added, rows, statuses, missing } = result;
  const left = `${missing} of ${pictures} pictures are left to do; run the same again\n`;
  const later = added === 0 ? '' : `, ${added} of which came after its first start`;
  const counts = Object.entries(statuses).map(([name, count]) => `${count} ${name}`);
  if (json) stdout.write(`${JSON.stringify(result)}\n`);
  else {
    if (outputs.length > 0) {
      stdout.write(
        `${rows} rows of ${pictures} pictures${later} (${counts.join(', ')}): ${outputs.join(', ')}\n`,
      );
    }
    if (missing > 0) stdout.write(left);
  }
  const { unreadable = 0, 'too-large': large = 0, 'model-error': wrong = 0 } = statuses;
  return unreadable + large + wrong > maxFailures * rows ? 1 : 0;
}

/** Whoever ends last writes the outputs and tells of them. */
async function annotateTogether(flags: AnnotateFlags, streams: Console): Promise<number> {
  if (process.env['RANK'] !== undefined || process.env['SLURM_STEP_ID'] !== undefined) {
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      '--processes starts processes of its own; leave it out under torchrun or srun',
    );
  }
  {
    using fetching = interruptSignal();
    const { model, adapter = [] } = flags;
    await fetchModels(model, adapter, flags, streams.stderr, fetching.signal);
  }
  const told: string[] = [];
  const stdout = new Writable({
    write(chunk: Buffer, _, done) {
      told.push(chunk.toString().replace(/^\[rank \d+\] /, ''));
      done();
    },
  });
  const code = await launchRanks(flags.processes ?? 1, { ...streams, stdout }, 'pipe');
  const [last] = told.slice(-1);
  if (last !== undefined) streams.stdout.write(last);
  // A fault has told of itself.
  else if (code === 0 || code === 130) streams.stdout.write(flags.json === true ? UNTOLD : LEFT);
  return code;
}

/** @returns 0 where every picture has a row and few have failed, 1 where more have, 130 where it was interrupted */
export async function runAnnotate(
  input: string,
  flags: AnnotateFlags,
  streams: Console,
): Promise<number> {
  const questions = await questionsOf(flags);
  const schema = await schemaOf(flags);
  const calibration =
    flags.calibration === undefined ? undefined : await loadCalibration(flags.calibration);
  const groups = groupsFrom(flags);
  const { output, sheet, sheetRows, csvRaw, limit } = flags;
  const asked = {
    ...{ input, output, questions, schema, calibration, groups },
    ...{ sheet, sheetRows, csvRaw, limit },
  };
  if (flags.export === true) {
    if (flags.dryRun === true || flags.retryFailed !== undefined)
      throw new InvalidArgumentError(
        'FACELLM_INVALID_ARGUMENT',
        '--export asks nothing: leave out --dry-run and --retry-failed',
      );
    return tellResult(await exportAnnotation(asked), flags, streams);
  }
  if ((flags.processes ?? 1) > 1 && flags.dryRun !== true) return annotateTogether(flags, streams);
  const faces =
    flags.faces === 'off' ? ('off' as const) : { which: 'each' as const, ...faceOptionsOf(flags) };
  endWithLauncher(process.env);
  const own = { ...flags, ...(await shareOfRank(flags)) };
  return withModel(own, streams, async (model, signal) => {
    const { retryFailed, changed } = flags;
    const options = {
      ...asked,
      model,
      faces,
      retryFailed,
      changed,
      retryId: launchId(process.env),
    };
    if (flags.dryRun === true) {
      const progress = new AnnotationProgress(streams.stderr);
      const onCheck = (event: AnnotationEvent): void => progress.show(event);
      const asking = planAnnotation({ ...options, signal, onCheck });
      const plan = await asking.finally(() => progress.end());
      streams.stdout.write(flags.json === true ? `${JSON.stringify(plan)}\n` : describePlan(plan));
      return 0;
    }
    const job = annotate(options);
    signal.addEventListener('abort', () => job.stop(), { once: true });
    const progress = new AnnotationProgress(streams.stderr);
    try {
      for await (const event of job) progress.show(event);
    } finally {
      progress.end();
    }
    const result = await job;
    const isOthersToTell = result.missing > 0 && isLaunched(process.env);
    if (isOthersToTell) return signal.aborted ? 130 : 0;
    const code = tellResult(result, flags, streams);
    return signal.aborted ? 130 : code;
  });
}
