/** `POST /v1/choose`: the exact probability of each given answer. */
import { randomUUID } from 'node:crypto';

import type { ChoiceResult } from '../generation/index.js';
import { ApiError } from './api-error.js';
import { type ChoiceItem, readChooseRequest } from './choose-request.js';
import type { Exchange, Reply } from './exchange.js';
import { finite } from './log-probs.js';
import { tilingOf } from './message-fields.js';
import { usageOf } from './usage.js';
import { makeReady, withWork } from './work.js';

export function chooseRoute(exchange: Exchange): Promise<Reply> {
  return withWork(exchange, async (work) => {
    const { state, facts } = exchange;
    const request = readChooseRequest(work.parsed, state.policy);
    facts.choices = request.items.reduce((sum, { choices }) => sum + choices.length, 0);
    const ready = await makeReady(work, {
      ...{ fields: request, pictures: request.pictures },
      ...{ answers: 1, maxTokens: 0 },
      timeoutMs: state.policy.limits.answerTimeout,
    });
    try {
      const [item] = request.items;
      if (item === undefined) throw new ApiError(400, 'invalid_value', 'nothing is asked');
      const result = await state.model.choose({
        ...request.prompt,
        ...(request.system !== undefined && { system: request.system }),
        tiling: request.prompt.tiling ?? tilingOf(request.detail, state.model.config),
        image: ready.images,
        question: item.question,
        choices: item.choices.map(({ text }) => text),
        includeEnd: request.includeEnd,
        adapters: ready.adapters,
        reusePrefix: request.reusePrefix,
        whenPrepared: ready.whenPrepared,
        signal: work.signal,
      });
      const { timings } = result;
      facts.cachedTokens = result.cachedTokens;
      facts.encodeMs = timings.vision;
      facts.prefillMs = timings.prefill;
      facts.decodeMs = timings.decode;
      facts.preprocessMs = timings.preprocess;
      facts.finishReason = 'stop';
      const scored = result.choices.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
      return {
        id: `choice-${randomUUID()}`,
        object: 'facellm.choice',
        created: Math.floor(Date.now() / 1000),
        model: request.model ?? facts.model,
        results: [resultOf(item, result)],
        usage: usageOf(facts, result.imageTokens, scored),
        facellm: {
          prompt_hash: result.promptHash,
          adapters: facts.adapters,
          tiles: facts.tiles,
          timings_ms: facts.timings(),
        },
      };
    } finally {
      ready.done();
    }
  });
}

function resultOf({ id, choices: given }: ChoiceItem, result: ChoiceResult): object {
  const choices = result.choices.map((choice, index) => ({
    index,
    text: choice.text,
    label: given[index]?.label ?? null,
    logprob: finite(choice.logProb),
    probability: choice.probability,
    token_logprobs: choice.tokenLogProbs.map(finite),
  }));
  return {
    id: id ?? null,
    best: result.choices.indexOf(result.best),
    choices,
    mass: result.mass,
    entropy: result.entropy,
  };
}
