/** Choosing among given answers: one question, or several about the same pictures, each a request of its own. */
import { choose, type ChoiceResult, together } from '../generation/index.js';
import { OpenedImages } from '../image/index.js';
import { checkChoices, subjectOf, withCalibrated } from './calibrated.js';
import { type ModelCall, turnEnd } from './call.js';
import { describePrompt } from './prepared.js';
import { type ChooseItem, type ChooseItemsOptions, toMessage } from './requests.js';

export interface Choosing extends ModelCall {
  /** Of this call, from 1: its questions share what their prompts have in common, whatever the cache. */
  readonly call: number;
}

/**
 * A result for each question, in their order.
 *
 * @throws the signal's reason; FaceLlmError, of several questions the first, and the others are stopped
 */
export async function chooseItems(
  { parts, prompts: writer, lease, call }: Choosing,
  shared: Omit<ChooseItemsOptions, 'items'>,
  items: readonly ChooseItem[],
): Promise<readonly ChoiceResult[]> {
  const startedAt = performance.now();
  const { native, pixels, tokenizer } = parts;
  const includesEnd = shared.includeEnd ?? true;
  if (shared.calibration !== undefined) {
    const how = {
      model: subjectOf(parts, lease.adapters),
      form: writer.form(shared, lease.adapters),
    };
    checkChoices(shared, items, how, includesEnd);
  }
  const read = new OpenedImages();
  const prompts = await Promise.all(
    items.map(({ question }) =>
      writer.write([toMessage({ image: shared.image, question })], shared, lease.adapters, read),
    ),
  );
  await shared.whenPrepared?.(prompts.map(describePrompt));
  const context = {
    ...{ native, pixels, adapters: lease.ids, tokenizer, startedAt },
    endId: includesEnd ? turnEnd(parts) : undefined,
    usesPrefixCache: shared.reusePrefix ?? true,
    prefixGroup: items.length > 1 ? call : 0,
    preparedMs: performance.now() - startedAt,
  };
  return together(shared.signal, prompts, async (prompt, i, signal) => {
    const { question = '', choices = [] } = items[i] ?? {};
    const result = await choose({ ...context, signal }, prompt, choices);
    return withCalibrated(shared, question, result);
  });
}
