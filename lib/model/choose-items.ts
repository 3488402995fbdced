/** Choosing among given answers: one question, or several about the same pictures, each a request of its own. */
import { choose, type ChoiceResult, together } from '../generation/index.js';
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
  const prompts = await Promise.all(
    items.map(({ question }) =>
      writer.write([toMessage({ image: shared.image, question })], shared, lease.adapters),
    ),
  );
  await shared.whenPrepared?.(prompts.map(describePrompt));
  const context = {
    ...{ native, pixels, adapters: lease.ids, tokenizer, startedAt },
    endId: (shared.includeEnd ?? true) ? turnEnd(parts) : undefined,
    usesPrefixCache: shared.reusePrefix ?? true,
    prefixGroup: items.length > 1 ? call : 0,
    preparedMs: performance.now() - startedAt,
  };
  return together(shared.signal, prompts, (prompt, i, signal) =>
    choose({ ...context, signal }, prompt, items[i]?.choices ?? []),
  );
}
