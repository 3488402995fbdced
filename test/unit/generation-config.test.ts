/** generation_config.json's values are the defaults of a request, as in transformers' generate. */
import assert from 'node:assert/strict';

import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import {
  type GenerationOptions,
  resolveGeneration,
  type Sampling,
  samplingOf,
  withinLength,
} from '../../lib/generation/index.js';
import { copyGolden, errorOf, type Json, readGolden, TestFolder } from './checkpoint-folder.js';

const IDS = { bos_token_id: 2048, eos_token_id: 2050 };

/** As Qwen/Qwen2.5-*-Instruct publish it, whose file goes along with models made from them. */
const QWEN = {
  do_sample: true,
  repetition_penalty: 1.1,
  temperature: 0.7,
  top_p: 0.8,
  top_k: 20,
  transformers_version: '4.37.0',
};

/** What transformers' GenerationConfig writes where nothing was chosen. */
const NEUTRAL = {
  ...{ max_length: null, min_length: 0, do_sample: false, early_stopping: false, num_beams: 1 },
  ...{ temperature: 1, top_k: 50, top_p: 1, typical_p: 1, repetition_penalty: 1, use_cache: true },
  ...{ length_penalty: 1, no_repeat_ngram_size: 0, bad_words_ids: null, diversity_penalty: 0 },
  ...{
    num_return_sequences: 1,
    forced_eos_token_id: null,
    suppress_tokens: null,
    num_beam_groups: 1,
  },
  ...{ begin_suppress_tokens: [], encoder_repetition_penalty: 1, remove_invalid_values: false },
  ...{ epsilon_cutoff: 0, eta_cutoff: 0, guidance_scale: null, sequence_bias: {}, max_time: null },
  ...{ token_healing: false, _from_model_config: true, unknown_key: 5 },
};

describe('generation_config.json', () => {
  let folder: TestFolder;
  before(async () => {
    folder = await TestFolder.create();
    await copyGolden('ckpt-300m', folder);
  });
  after(() => folder.remove());

  const read = async (file: Json) => {
    await folder.write('generation_config.json', { ...IDS, ...file });
    return (await readCheckpointConfig(folder.path)).generation;
  };
  const used = async (file: Json, request: GenerationOptions = {}): Promise<Partial<Sampling>> => {
    const { options } = await read(file);
    return samplingOf(resolveGeneration(request, options));
  };
  const GREEDY = {
    ...{ frequencyPenalty: 0, presencePenalty: 0, minTokens: 0, logitBias: {} },
    doSample: false,
    temperature: 1,
    topK: 0,
    topP: 1,
    minP: 0,
    seed: 0,
  };

  it('with ids alone, or every default written out: greedy, and nothing to tell', async () => {
    for (const file of [{}, NEUTRAL]) {
      const { notFollowed } = await read(file);
      assert.deepEqual(notFollowed, []);
      const plain = { ...GREEDY, repetitionPenalty: 1, maxNewTokens: 500 };
      assert.deepEqual(await used(file), plain);
    }
  });

  it("Qwen2.5's file: answers are drawn as it says, and a request overrules each value", async () => {
    const drawn = {
      ...{ doSample: true, temperature: 0.7, topK: 20, topP: 0.8, minP: 0, seed: 5 },
      ...{ repetitionPenalty: 1.1, maxNewTokens: 500 },
      ...{ frequencyPenalty: 0, presencePenalty: 0, minTokens: 0, logitBias: {} },
    };
    assert.deepEqual(await used(QWEN, { seed: 5 }), drawn);
    assert.deepEqual(await used(QWEN, { temperature: 0.2, topK: 0, seed: 3 }), {
      ...drawn,
      ...{ temperature: 0.2, topK: 0, seed: 3 },
    });
    const greedy = { ...GREEDY, repetitionPenalty: 1.1, maxNewTokens: 500 };
    assert.deepEqual(await used(QWEN, { doSample: false }), greedy);
    const own = { doSample: false, repetitionPenalty: 1, maxNewTokens: 7 };
    assert.deepEqual(await used(QWEN, own), { ...greedy, repetitionPenalty: 1, maxNewTokens: 7 });
  });

  it('filters without do_sample wait for a request that draws', async () => {
    const file = { ...QWEN, do_sample: false, min_p: 0.1 };
    assert.equal((await used(file)).doSample, false);
    const drawn = await used(file, { doSample: true });
    assert.deepEqual([drawn.temperature, drawn.topK, drawn.minP], [0.7, 20, 0.1]);
    assert.equal((await used({}, { doSample: true })).topK, 50);
    assert.throws(() => resolveGeneration({ doSample: false, topP: 0.5 }), {
      code: 'FACELLM_INVALID_ARGUMENT',
      details: ['topP: is of drawn answers, and doSample is false'],
    });
  });

  it('values that nothing can be drawn with matter to drawn answers only', async () => {
    const { options } = await read({ temperature: 0, top_k: -1 });
    assert.equal(resolveGeneration({}, options).sampling.isGreedy, true);
    assert.throws(
      () => resolveGeneration({ doSample: true }, options),
      (error: unknown) => {
        const { code, message, details } = error as Json & { details: string[] };
        assert.equal(code, 'FACELLM_INVALID_ARGUMENT');
        assert.match(String(message), /generation_config\.json/);
        assert.equal(details.length, 2);
        return true;
      },
    );
    const own = resolveGeneration({ temperature: 1, topK: 3 }, options);
    assert.equal(own.sampling.temperature, 1);
  });

  it('lengths: new tokens, or prompt and answer together', async () => {
    assert.equal((await used({ max_new_tokens: 9 })).maxNewTokens, 9);
    assert.equal((await used({ max_new_tokens: 9, max_length: 5 })).maxNewTokens, 9);
    // A request with a shorter limit than the file's least length gets what its limit allows.
    const least = { min_new_tokens: 6 };
    assert.equal((await used(least)).minTokens, 6);
    assert.equal((await used(least, { minTokens: 2 })).minTokens, 2);
    assert.equal((await used(least, { maxNewTokens: 4 })).minTokens, 4);
    assert.deepEqual((await read(least)).notFollowed, []);
    const { options } = await read({ max_length: 100 });
    const length = (request: GenerationOptions, prompt: number): number =>
      withinLength(resolveGeneration(request, options), prompt).maxNewTokens;
    assert.equal(length({}, 60), 40);
    assert.equal(length({ maxNewTokens: 70 }, 60), 70);
    assert.throws(() => length({}, 100), { code: 'FACELLM_PROMPT_TOO_LONG' });
    const { options: wide } = await read({ max_length: 32768 });
    assert.equal(withinLength(resolveGeneration({}, wide), 60).maxNewTokens, 500);
    assert.deepEqual(resolveGeneration({}, (await read({ stop_strings: 'END' })).options).stop, [
      'END',
    ]);
  });

  it('what is not computed is named, where it would change answers', async () => {
    const file = {
      ...{ num_beams: 4, no_repeat_ngram_size: 3, min_length: 2, suppress_tokens: [5] },
      ...{ begin_suppress_tokens: [6], bad_words_ids: [[7]], guidance_scale: 1.5, top_h: 0.4 },
      ...{ forced_eos_token_id: 3, penalty_alpha: 0.6, max_time: 5, num_return_sequences: 2 },
      ...{ cache_implementation: 'quantized', typical_p: 0.9 },
    };
    const { notFollowed } = await read(file);
    const named = notFollowed.map((line) => line.split(':')[0]).sort();
    const drawnOnly = ['top_h', 'typical_p'];
    const expected = Object.keys(file).filter((key) => !drawnOnly.includes(key));
    assert.deepEqual(named, expected.sort());
    const drawn = await read({ ...file, do_sample: true });
    assert.equal(drawn.notFollowed.length, Object.keys(file).length);
    assert.ok(drawn.notFollowed.includes('num_beams: 4'));
  });

  it('wrong kinds are listed with the other problems of the configuration', async () => {
    await folder.write('generation_config.json', {
      ...{ ...IDS, do_sample: 'yes', temperature: '1', repetition_penalty: 0 },
      ...{ max_new_tokens: 0, min_new_tokens: -1, stop_strings: [1] },
    });
    const { code, details } = await errorOf(readCheckpointConfig(folder.path));
    assert.equal(code, 'FACELLM_CONFIG_INVALID');
    assert.deepEqual(
      details.map((line) => line.split(': ')[1]),
      [
        ...['do_sample', 'temperature', 'repetition_penalty', 'max_new_tokens', 'min_new_tokens'],
        'stop_strings',
      ],
    );
  });

  it("the original layout's code does not read it: nothing is followed, all of it named", async () => {
    const original = await TestFolder.create();
    try {
      await copyGolden('ckpt-300m', original);
      await original.write('config.json', await readGolden('original-300m-config.json'));
      await original.write('generation_config.json', { ...IDS, ...QWEN, num_beams: 4 });
      const { options, notFollowed } = (await readCheckpointConfig(original.path)).generation;
      assert.deepEqual(options, {});
      assert.equal(notFollowed.length, 6);
    } finally {
      await original.remove();
    }
  });
});
