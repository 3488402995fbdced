/** Options of an answer beside what transformers makes of them (scripts/options-reference.py). */
import assert from 'node:assert/strict';

import type { NativeModel, NativeSampling } from '../../lib/binding/native.js';
import { type Generated, generate, GREEDY } from './generate.js';

/** As scripts/options-reference.py takes it, by transformers' names. */
export interface OptionsCase {
  readonly name: string;
  readonly prompt: readonly number[];
  readonly end_ids: readonly number[];
  readonly max_new_tokens: number;
  readonly repetition_penalty?: number;
  readonly frequency_penalty?: number;
  readonly presence_penalty?: number;
  readonly sequence_bias?: Readonly<Record<string, number>>;
  readonly min_new_tokens?: number;
  readonly temperature?: number;
  readonly top_k?: number;
  readonly top_p?: number;
  /** Of an answer that was drawn. */
  readonly ids?: readonly number[];
}

interface LogProbs {
  readonly log_probs: readonly number[];
  readonly top: readonly (readonly (readonly [id: number, logProb: number])[])[];
}

export interface OptionsResult extends OptionsCase {
  readonly ids: readonly number[];
  /** How far the best score of each place leads. */
  readonly margins: readonly number[];
  readonly raw: LogProbs;
  readonly processed: LogProbs;
}

/** fp32: docs/numerics.md. */
const TOLERANCE = 1e-4;

export async function answer(
  model: NativeModel,
  one: OptionsCase,
  { seed = 0, logProbs = 'raw' }: { seed?: number; logProbs?: 'raw' | 'processed' } = {},
): Promise<Generated> {
  const bias = Object.entries(one.sequence_bias ?? {});
  const sampling: NativeSampling = {
    ...GREEDY,
    isGreedy: one.temperature === undefined,
    temperature: one.temperature ?? 1,
    topK: one.top_k ?? 0,
    topP: one.top_p ?? 1,
    repetitionPenalty: one.repetition_penalty ?? 1,
    frequencyPenalty: one.frequency_penalty ?? 0,
    presencePenalty: one.presence_penalty ?? 0,
    biasIds: Int32Array.from(bias, ([id]) => Number(id)),
    biases: Float32Array.from(bias, ([, value]) => value),
    minTokens: one.min_new_tokens ?? 0,
    ...{ seed, logProbs, topLogProbs: 3 },
  };
  const [generated] = await generate(model, [{ ids: Int32Array.from(one.prompt), images: [] }], {
    ...{ sampling, eosIds: one.end_ids, maxNewTokens: one.max_new_tokens },
  });
  return generated ?? assert.fail('no answer');
}

/** The reference's ids, up to a place where two scores are as good as equal, and its log-probabilities of both kinds. */
export async function compareWithReference(
  model: NativeModel,
  one: OptionsResult,
  seed = 0,
): Promise<void> {
  for (const kind of ['raw', 'processed'] as const) {
    const got = await answer(model, one, { seed, logProbs: kind });
    const parted = one.ids.findIndex((id, i) => got.ids[i] !== id);
    const length = parted < 0 ? one.ids.length : parted;
    if (parted < 0) assert.equal(got.ids.length, one.ids.length, one.name);
    else assert.ok((one.margins[parted] ?? 0) < 1e-3, `${one.name}: token ${parted} differs`);
    assert.ok(length >= Math.min(3, one.ids.length), `${one.name}: ${length} places compared`);
    for (let i = 0; i < length; i++) {
      const place = `${one.name}, ${kind}, token ${i}`;
      close(got.logProbs[i], one[kind].log_probs[i], place);
      const wanted = one[kind].top[i] ?? [];
      const top = got.tops[i] ?? [];
      assert.equal(top.length, wanted.length, place);
      top.forEach(({ id, logProb }, k) => {
        const [, value = NaN] = wanted[k] ?? [];
        close(logProb, value, `${place}, place ${k} of the best`);
        // Ids of equal scores may change places.
        const same = wanted.find(([other]) => other === id);
        close(logProb, same?.[1] ?? value, `${place}, id ${id}`);
      });
    }
  }
}

function close(actual: number | undefined, wanted: number | undefined, place: string): void {
  const [a, b] = [actual ?? NaN, wanted ?? NaN];
  assert.ok(Math.abs(a - b) <= TOLERANCE * Math.max(1, Math.abs(b)), `${place}: ${a} and ${b}`);
}
