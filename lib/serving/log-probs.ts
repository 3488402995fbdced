/** Entries of `logprobs.content`. */
import type { AnswerToken, TokenLogProb } from '../generation/index.js';
import type { FaceLlm } from '../model/index.js';

/** What OpenAI writes for minus infinity, which JSON has no word for. */
const IMPOSSIBLE = -9999;

export const finite = (logProb: number): number => Math.max(logProb, IMPOSSIBLE);

type Entry = Readonly<Record<string, unknown>>;

function entryOf(model: FaceLlm, { id, logProb }: TokenLogProb): Entry {
  const bytes = model.tokenBytes(id) ?? new Uint8Array();
  return {
    token: new TextDecoder().decode(bytes),
    logprob: finite(logProb),
    bytes: [...bytes],
  };
}

export function logProbEntries(model: FaceLlm, tokens: readonly AnswerToken[]): readonly Entry[] {
  return tokens.map((token) => ({
    ...entryOf(model, token),
    top_logprobs: (token.top ?? []).map((one) => entryOf(model, one)),
  }));
}
