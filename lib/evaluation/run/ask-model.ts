/** All questions of this process's share that a model has not answered yet, some at a time. */
import { setMaxListeners } from 'node:events';

import { createError, type ErrorCode } from '../../errors.js';
import { mapBounded } from '../../jobs/index.js';
import type { Contender } from '../model-under-test.js';
import type { Benchmark } from '../types.js';
import { ask } from './ask.js';
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
 * @throws the signal's reason or a FaceLlmError, with everything answered until then recorded
 */
export async function askModel(options: AskModelOptions): Promise<void> {
  const { benchmark, contender, settings, output, rank, worldSize, signal, emit } = options;
  const { items, readings } = benchmark;
  const { batchSize } = settings;
  const known = await readJournals(output, contender.name, settings);
  // In stretches, so that most questions about one picture come to one process.
  const share = items.filter((_, i) => Math.floor(i / batchSize) % worldSize === rank);
  const left = share.filter(({ id }) => {
    const outcome = known.get(id);
    return outcome === undefined || outcome.failure !== undefined;
  });
  const base = { model: contender.name, total: share.length };
  let done = share.length - left.length;
  let failures = 0;
  if (left.length === 0) {
    emit({ type: 'start', ...base, done, device: undefined });
    return;
  }
  await using journal = await openJournal(output, rank, contender.name, settings);
  await using model = await contender.open(signal);
  const { device, dtype, isDeterministic } = model;
  // What does not decide answers, but for their last digits.
  journal.append({
    ...{ type: 'session', startedAt: new Date().toISOString(), origin: contender.origin },
    ...{ device, dtype, isDeterministic, rank, worldSize },
  });
  emit({ type: 'start', ...base, done, device });
  setMaxListeners(0, signal); // a listener for each question under way
  await mapBounded(left, batchSize, async (item) => {
    signal.throwIfAborted();
    const outcome = await ask(model, item, readings, signal);
    const { id, failure } = outcome;
    if (failure !== undefined && options.onFailure === 'stop') {
      throw createError(
        failure.code as ErrorCode,
        `${id} could not be asked; mend what is named and run again, or let the run record failures and go on`,
        { details: [`${id}: ${failure.message}`] },
      );
    }
    journal.append({ type: 'outcome', outcome });
    await journal.durable();
    if (failure === undefined) done++;
    else failures++;
    emit({ type: 'batch', ...base, done, failures });
  });
}
