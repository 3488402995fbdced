/** All questions of this process's share that a model has not answered yet, batch after batch. */
import { createError, type ErrorCode } from '../../errors.js';
import type { Contender } from '../model-under-test.js';
import type { Benchmark, ItemOutcome } from '../types.js';
import { askBatch } from './ask.js';
import { planBatches } from './batches.js';
import type { EvaluationEvent } from './events.js';
import { openJournal, readJournals } from './journal.js';
import type { Rank } from './ranks.js';
import type { RunSettings } from './settings.js';

export interface AskModelOptions extends Rank {
  readonly benchmark: Benchmark;
  readonly contender: Contender;
  readonly settings: RunSettings;
  readonly output: string;
  readonly onFailure: 'record' | 'stop';
  readonly signal: AbortSignal;
  readonly emit: (event: EvaluationEvent) => void;
}

/**
 * Resolves when each question of the share has its line in the journal. A model whose share is done is
 * not loaded.
 *
 * @throws the signal's reason, with all finished batches recorded; FaceLlmError
 */
export async function askModel(options: AskModelOptions): Promise<void> {
  const { benchmark, contender, settings, output, rank, worldSize, signal, emit } = options;
  const { items, readings } = benchmark;
  const known = await readJournals(output, contender.name, settings);
  const isAnswered = (i: number): boolean => {
    const outcome = known.get(items[i]?.id ?? '');
    return outcome !== undefined && outcome.failure === undefined;
  };
  const share = planBatches(items, settings.batchSize).filter((_, b) => b % worldSize === rank);
  const total = share.flat().length;
  let done = share.flat().filter(isAnswered).length;
  let failures = 0;
  const left = share.filter((batch) => !batch.every(isAnswered));
  const base = { model: contender.name, total };
  if (left.length === 0) {
    emit({ type: 'start', ...base, done, device: undefined });
    return;
  }
  await using journal = await openJournal(output, rank, contender.name, settings);
  await using model = await contender.open(signal);
  // What does not decide answers.
  journal.append({
    type: 'session',
    startedAt: new Date().toISOString(),
    origin: contender.origin,
    device: model.device,
    dtype: model.dtype,
    rank,
    worldSize,
  });
  emit({ type: 'start', ...base, done, device: model.device });
  for (const batch of left) {
    signal.throwIfAborted();
    const asked = batch.flatMap((i) => items[i] ?? []);
    const outcomes = await askBatch(model, asked, readings, signal);
    // A batch cut short by a crash is asked whole, for the same answers, and recorded as far as it lacks.
    const fresh = outcomes.filter((_, k) => !isAnswered(batch[k] ?? -1));
    const faulty = fresh.filter(({ failure }) => failure !== undefined);
    const stops = options.onFailure === 'stop';
    for (const outcome of fresh) {
      if (!stops || outcome.failure === undefined) journal.append({ type: 'outcome', outcome });
    }
    await journal.durable();
    if (stops && faulty.length > 0) throw stopped(faulty);
    done += fresh.length - faulty.length;
    failures += faulty.length;
    emit({ type: 'batch', ...base, done, failures });
  }
}

function stopped(faulty: readonly ItemOutcome[]): Error {
  const [first] = faulty;
  return createError(
    (first?.failure?.code ?? 'FACELLM_INTERNAL') as ErrorCode,
    `${faulty.length} question(s) could not be asked; mend what is named and run again, or let the run ` +
      'record failures and go on',
    { details: faulty.map(({ id, failure }) => `${id}: ${failure?.message ?? ''}`) },
  );
}
