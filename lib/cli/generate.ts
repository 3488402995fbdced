/**
 * `facellm generate`: makes a dataset with its progress on stderr. The first Ctrl-C finishes what is
 * under way and saves, the second kills; even then nothing that was answered is lost.
 */
import {
  type GenerateOptions,
  generateDataset,
  type GenerationPlan,
  type GenerationProgress,
  type GenerationResult,
  type GenerationRun,
  type JudgedGroup,
  type JudgementSummary,
  type JudgeOptions,
  labelsTeacher,
  modelTeacher,
  openAiTeacher,
  planDataset,
  type Teacher,
  type TokenPrices,
} from '../data/index.js';
import { InvalidArgumentError } from '../errors.js';
import { FaceLlm } from '../model/index.js';
import { formatDuration, formatLeft, StatusLine } from '../progress/index.js';
import { valueMap } from './generate-options.js';
import { fetchModels } from './download-reporter.js';
import { Interrupted, interruptSignal, onInterrupt } from './interrupt.js';
import { type AskedFaceFlags, askedFacesOf } from './face-options.js';
import type { EngineFlags } from './options.js';
import { type Console, LoadReporter } from './output.js';

export interface GenerateFlags
  extends
    EngineFlags,
    AskedFaceFlags,
    Omit<
      GenerateOptions,
      'teacher' | 'prompts' | 'columns' | 'values' | 'onInvalid' | 'batch' | 'judge'
    > {
  readonly teacher: 'labels' | 'openai' | 'model';
  readonly prompts?: string;
  readonly column?: Readonly<Record<string, string>>;
  readonly value?: Readonly<Record<string, string>>;
  readonly skipInvalid?: boolean;
  readonly model?: string;
  readonly download?: boolean;
  readonly adapter?: readonly string[];
  readonly baseUrl?: string;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly timeout?: number;
  readonly seed?: number;
  readonly device?: string;
  readonly threads?: number;
  readonly priceInput?: number;
  readonly priceOutput?: number;
  readonly judge?: string;
  readonly judgeAdapter?: readonly string[];
  readonly judgeThreshold?: number;
  readonly judgeAction?: 'drop' | 'mark';
  readonly judgeSheetRows?: number;
  readonly batch?: boolean;
  readonly poll?: number;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

function pricesOf({ priceInput, priceOutput }: GenerateFlags): TokenPrices | undefined {
  if (priceInput === undefined && priceOutput === undefined) return undefined;
  if (priceInput !== undefined && priceOutput !== undefined) {
    return { input: priceInput, output: priceOutput };
  }
  throw new InvalidArgumentError(
    'FACELLM_INVALID_ARGUMENT',
    'give both --price-input and --price-output, or neither',
  );
}

async function createTeacher(flags: GenerateFlags): Promise<Teacher> {
  const { model, maxTokens, temperature, timeout, baseUrl, device, threads, seed } = flags;
  const faces = askedFacesOf(flags);
  if (flags.teacher !== 'model' && faces !== undefined) {
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      '--faces is for --teacher model; for an API write chips first: facellm faces ... --save-crops DIR',
    );
  }
  if (flags.teacher === 'labels') return labelsTeacher({ seed });
  if (flags.teacher === 'openai') {
    const timeoutMs = timeout === undefined ? undefined : timeout * 1000;
    const prices = pricesOf(flags);
    const estimateOnly = flags.dryRun;
    return openAiTeacher({
      ...{ model, baseUrl, maxTokens, temperature, timeoutMs, prices, estimateOnly },
    });
  }
  if (model === undefined) {
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      '--teacher model needs --model DIR, the checkpoint that answers',
    );
  }
  const { adapter, maxContext, maxRows, kvMemory, deterministic } = flags;
  const limits = { maxContext, maxRows, kvMemory, deterministic };
  return modelTeacher({ model, maxTokens, faces, load: { device, threads, adapter, ...limits } });
}

/** Loaded before anything is asked and paid for; undefined without --judge. */
async function loadJudge(
  { judge, judgeAdapter, device, threads, deterministic }: GenerateFlags,
  streams: Console,
): Promise<FaceLlm | undefined> {
  if (judge === undefined) return undefined;
  const reporter = new LoadReporter(streams.stderr);
  const model = await FaceLlm.load(judge, {
    ...{ device, threads, deterministic, adapter: judgeAdapter },
    onProgress: ({ bytesDone, bytesTotal }) => reporter.update(bytesDone, bytesTotal),
  });
  reporter.finish();
  return model;
}

/** @throws InvalidArgumentError for flags of a judge without one */
function judgeOf(flags: GenerateFlags, model: FaceLlm | undefined): JudgeOptions | undefined {
  const { judgeThreshold: threshold, judgeAction: action, judgeSheetRows: sheetRows } = flags;
  if (model !== undefined) return { model, threshold, action, sheetRows };
  const isAlone = [threshold, action, sheetRows, flags.judgeAdapter].some(
    (value) => value !== undefined,
  );
  if (flags.judge !== undefined || !isAlone) return undefined;
  throw new InvalidArgumentError(
    'FACELLM_INVALID_ARGUMENT',
    '--judge-adapter, --judge-threshold, --judge-action and --judge-sheet-rows need --judge MODEL, the checkpoint that judges',
  );
}

function optionsOf(
  flags: GenerateFlags,
  teacher: Teacher,
  judge: JudgeOptions | undefined,
): GenerateOptions {
  const { column: columns, where, poll, batch, skipInvalid, value } = flags;
  const { labels, images, output, prompts, questions, maxImages, concurrency, license } = flags;
  const { requestsPerMinute, tokensPerMinute, maxRetries, maxAttempts, spendingLimit } = flags;
  return {
    ...{ labels, images, output, prompts, questions, maxImages, concurrency, license, teacher },
    judge,
    ...{ requestsPerMinute, tokensPerMinute, maxRetries, maxAttempts, spendingLimit },
    ...{ columns, where, values: value === undefined ? undefined : valueMap(value) },
    onInvalid: skipInvalid ? 'skip' : 'error',
    retrySetAside: flags.retrySetAside,
    batch: batch ? { pollMs: poll === undefined ? undefined : Math.round(poll * 1000) } : undefined,
  };
}

/** @returns the exit code: 1 if the spending limit ended the run */
export async function runGenerate(flags: GenerateFlags, streams: Console): Promise<number> {
  const { judge, judgeAdapter = [] } = flags;
  {
    using fetching = interruptSignal();
    const isOurs = flags.teacher === 'model';
    const others = [...(isOurs ? (flags.adapter ?? []) : []), judge, ...judgeAdapter];
    const model = isOurs ? flags.model : undefined;
    await fetchModels(model, others, flags, streams.stderr, fetching.signal);
  }
  // Wrong flags are told before weights are read.
  judgeOf(flags, undefined);
  await using judging = flags.dryRun ? undefined : await loadJudge(flags, streams);
  await using teacher = await createTeacher(flags);
  const options = optionsOf(flags, teacher, judgeOf(flags, judging));
  const print = (value: unknown, text: string): void => {
    streams.stdout.write(`${flags.json ? JSON.stringify(value) : text}\n`);
  };
  if (flags.dryRun) {
    const plan = await planDataset(options);
    print(plan, describePlan(plan));
    return 0;
  }
  const run = generateDataset(options);
  using interrupt = onInterrupt(() => {
    run.stop();
    streams.stderr.write('\nfinishing the requests under way and saving; Ctrl-C again to kill\n');
  });
  const result = await report(run, streams);
  print(result, describeResult(result));
  if (result.end === 'stopped') throw new Interrupted('interrupted');
  return result.end === 'complete' ? 0 : 1;
}

async function report(run: GenerationRun, { stderr }: Console): Promise<GenerationResult> {
  const line = new StatusLine({ stream: stderr, intervalSeconds: 10 });
  for await (const event of run) {
    if (event.type === 'start') {
      const { images, total, resumed, skippedRows } = event;
      const before = resumed > 0 ? `, ${resumed} of them done before` : '';
      const skipped = skippedRows > 0 ? `, ${skippedRows} row(s) left out` : '';
      line.note(`${images} pictures, ${total} questions${before}${skipped}`);
    }
    if (event.type === 'batch') {
      const { batchId, status, done, total } = event;
      line.note(`batch ${batchId}: ${status}, ${done}/${total}`);
    }
    if (event.type === 'progress' && line.isDue) line.show(formatGeneration(event));
    if (event.type === 'judge' && (line.isDue || event.done === event.total)) {
      line.show(`${event.done}/${event.total} pictures judged`);
    }
    if (event.type === 'write') line.note('writing the dataset');
  }
  return run;
}

function money(amount: number): string {
  return `$${amount.toFixed(amount < 1 ? 4 : 2)}`;
}

/** `1234/87632 (1.4 %)  12.3/s  3 set aside  5 rejected  2 failed  $1.23  0:01:40 elapsed  1:56:59 left` */
export function formatGeneration(progress: GenerationProgress): string {
  const { total, settled, setAside, rejected, failedRequests, spending } = progress;
  const { elapsedSeconds, settledNow } = progress;
  const rate = elapsedSeconds > 0 ? settledNow / elapsedSeconds : 0;
  const percent = total === 0 ? 100 : (100 * settled) / total;
  const cost = spending.cost + spending.possiblyLost;
  return [
    `${settled}/${total} (${percent.toFixed(1)} %)`,
    `${rate.toFixed(1)}/s`,
    ...(setAside > 0 ? [`${setAside} set aside`] : []),
    ...(rejected > 0 ? [`${rejected} rejected`] : []),
    ...(failedRequests > 0 ? [`${failedRequests} failed`] : []),
    ...(cost > 0 ? [money(cost)] : []),
    `${formatDuration(elapsedSeconds)} elapsed`,
    formatLeft(rate > 0 ? (total - settled) / rate : undefined),
  ].join('  ');
}

function describePlan(plan: GenerationPlan): string {
  const { images, pairs, unasked, skippedRows, likely, likelyCost, promptSet } = plan;
  const tokens = likely.promptTokens + likely.completionTokens;
  const cost =
    likelyCost === undefined
      ? tokens > 0
        ? 'no price known for the model (--price-input, --price-output)'
        : 'no cost'
      : `about ${money(likelyCost)}`;
  return [
    `${pairs} questions about ${images} pictures (prompt set ${promptSet.name} ${promptSet.version})`,
    ...(unasked > 0
      ? [`${unasked} questions are not asked: their labels are not known or have no answer`]
      : []),
    ...(skippedRows > 0 ? [`${skippedRows} row(s) left out`] : []),
    ...(tokens > 0
      ? [`about ${likely.promptTokens} prompt and ${likely.completionTokens} answer tokens`]
      : []),
    cost,
  ].join('\n');
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

const shareOf = ({ judged, doubtful }: Pick<JudgedGroup, 'judged' | 'doubtful'>): number =>
  judged === 0 ? 0 : doubtful / judged;

/** `judged 812 answers: 31 (3.8 %) below 0.2 dropped; gender Female 6.1 %, Male 2.0 %`, the values of the most unequal attribute. */
function describeJudgement(judgement: JudgementSummary): string {
  const { judged, doubtful, threshold, action, noClaim, unjudged, groups } = judgement;
  const percent = (counts: Pick<JudgedGroup, 'judged' | 'doubtful'>): string =>
    `${(100 * shareOf(counts)).toFixed(1)} %`;
  const attributes = [...new Set(groups.map(({ by }) => by))].map((by) => {
    const own = groups.filter((group) => group.by === by);
    const shares = own.map(shareOf);
    return { by, own, gap: Math.max(...shares) - Math.min(...shares) };
  });
  const [widest] = attributes.sort((a, b) => b.gap - a.gap);
  const told = widest?.own.map((group) => `${group.group} ${percent(group)}`).join(', ');
  const verb = action === 'drop' ? 'dropped' : 'marked';
  return [
    `judged ${judged} answers: ${doubtful} (${percent({ judged, doubtful })}) below ${threshold} ${verb}`,
    ...(widest === undefined ? [] : [`${widest.by} ${told}`]),
    ...(noClaim > 0 ? [`${noClaim} claim nothing that can be asked for`] : []),
    ...(unjudged > 0 ? [`${unjudged} about pictures that could not be shown to the judge`] : []),
  ].join('; ');
}

function describeResult(result: GenerationResult): string {
  const { end, total, answered, thinkingCut, setAside, open, output, seconds, spending } = result;
  const aside = sum(setAside);
  const reasons = Object.entries(setAside).map(([reason, count]) => `${reason} ${count}`);
  const { cost, possiblyLost } = spending;
  const judged = result.judgement === undefined ? '' : `${describeJudgement(result.judgement)}\n`;
  const lost = possiblyLost > 0 ? ` (at most ${money(possiblyLost)} more for lost requests)` : '';
  const state = {
    complete: '',
    stopped: `stopped with ${open} of ${total} open; the same command resumes\n`,
    spending_limit: `the spending limit ended the run with ${open} of ${total} open; raise it and resume\n`,
  }[end];
  return (
    `${state}${judged}${answered} answers${thinkingCut > 0 ? ` (thinking cut off ${thinkingCut})` : ''}${aside > 0 ? `, ${aside} set aside (${reasons.join(', ')})` : ''}, ` +
    `${cost > 0 || possiblyLost > 0 ? `${money(cost)}${lost}, ` : ''}${seconds.toFixed(1)} s: ${output}`
  );
}
