/** `POST /v1/choose`: the exact probability of each given answer. */
import { randomUUID } from 'node:crypto';

import type { Calibrated, ItemResult } from '../generation/index.js';
import { type ChoiceItem, readChooseRequest } from './choose-request.js';
import type { Exchange, Reply } from './exchange.js';
import { facesWritten } from './face-fields.js';
import { finite } from './log-probs.js';
import { promptOf } from './message-fields.js';
import type { RequestFacts } from './request-facts.js';
import { usageOf } from './usage.js';
import { makeReady, type Work, withWork } from './work.js';

export function chooseRoute(exchange: Exchange): Promise<Reply> {
  return withWork(exchange, answerChoose);
}

export async function answerChoose(work: Work): Promise<Reply> {
  const { state, facts } = work.exchange;
  const request = readChooseRequest(work.parsed, state.policy);
  facts.choices = request.items.reduce((sum, { choices }) => sum + choices.length, 0);
  const ready = await makeReady(work, {
    ...{ fields: request, pictures: request.pictures },
    ...{ answers: 1, maxTokens: 0 },
    timeoutMs: state.policy.limits.answerTimeout,
  });
  try {
    const prompt = { ...promptOf(request, state.model.config), adapters: ready.adapters };
    const results = await state.model.choose({
      ...prompt,
      image: ready.images,
      items: request.items,
      includeEnd: request.includeEnd,
      reusePrefix: request.reusePrefix,
      whenPrepared: ready.whenPrepared,
      signal: work.signal,
    });
    note(facts, results);
    const questions = request.items.map(({ question }) => question);
    const calibrated = request.includeEnd
      ? state.calibrations.ofChoices(() => state.model.askedHow(prompt), questions, results)
      : [];
    const sum = (pick: (result: ItemResult) => number): number =>
      results.reduce((total, result) => total + pick(result), 0);
    const scored = sum(({ choices }) =>
      choices.reduce((total, { tokenIds }) => total + tokenIds.length, 0),
    );
    return {
      id: `choice-${randomUUID()}`,
      object: 'facellm.choice',
      created: Math.floor(Date.now() / 1000),
      model: request.model ?? facts.model,
      results: results.map((result, i) => resultOf(request.items[i], result, calibrated[i])),
      usage: usageOf(
        facts,
        sum(({ imageTokens }) => imageTokens),
        scored,
      ),
      facellm: {
        prompt_hash: results[0]?.promptHash,
        prompt_hashes: results.map(({ promptHash }) => promptHash),
        adapters: facts.adapters,
        tiles: facts.tiles,
        ...facesWritten(results[0]?.faces),
        timings_ms: facts.timings(),
      },
    };
  } finally {
    ready.done();
  }
}

/** Questions of a request are computed side by side: its time is that of the slowest. */
function note(facts: RequestFacts, results: readonly ItemResult[]): void {
  const most = (pick: (timings: ItemResult['timings']) => number): number =>
    Math.max(...results.map(({ timings }) => pick(timings)));
  facts.cachedTokens = results.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0);
  facts.encodeMs = most(({ vision }) => vision);
  facts.prefillMs = most(({ prefill }) => prefill);
  facts.decodeMs = most(({ decode }) => decode);
  facts.preprocessMs = most(({ preprocess }) => preprocess);
  facts.finishReason = 'stop';
}

function resultOf(
  item: ChoiceItem | undefined,
  result: ItemResult,
  calibrated: Calibrated | undefined,
): object {
  const choices = result.choices.map((choice, index) => ({
    index,
    text: choice.text,
    label: item?.choices[index]?.label ?? null,
    logprob: finite(choice.logProb),
    probability: choice.probability,
    token_logprobs: choice.tokenLogProbs.map(finite),
  }));
  return {
    id: item?.id ?? null,
    best: result.choices.indexOf(result.best),
    choices,
    mass: result.mass,
    entropy: result.entropy,
    ...(calibrated !== undefined && { calibrated }),
  };
}
