/** A model answers as its generation_config.json says unless a request says otherwise. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  type AskOptions,
  exportModel,
  FaceLlm,
  type ModelWarning,
  type Sampling,
} from '../../lib/index.js';
import { GOLDEN, TEST_DEVICE } from '../support/golden.js';

const ROOT = join(import.meta.dirname, '..', '..');
const TINY = join(GOLDEN, 'ckpt-300m');
const IDS = { bos_token_id: 2048, eos_token_id: 2050 };
const QUESTION: AskOptions = { question: 'Tell me.', maxNewTokens: 60 };

describe('generation_config.json, end to end', () => {
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'facellm-generation-'))));
  after(() => rmSync(folder, { recursive: true }));

  function write(name: string, file: object): string {
    const directory = join(folder, name);
    cpSync(TINY, directory, { recursive: true });
    writeFileSync(join(directory, 'generation_config.json'), JSON.stringify({ ...IDS, ...file }));
    return directory;
  }
  const load = (directory: string, warnings: ModelWarning[] = []): Promise<FaceLlm> =>
    FaceLlm.load(directory, {
      device: TEST_DEVICE,
      dtype: 'fp32',
      onWarning: (warning) => void warnings.push(warning),
    });
  const ids = async (model: FaceLlm, more: Partial<AskOptions> = {}): Promise<readonly number[]> =>
    (await model.ask({ ...QUESTION, ...more }).result()).tokenIds;

  it('its penalty is that of the request that names none; choices heed no penalty', async () => {
    await using plain = await load(TINY);
    await using penalised = await load(write('penalty', { repetition_penalty: 1.5 }));
    const own = await ids(penalised);
    assert.equal(own.length, 60);
    assert.deepEqual(own, await ids(plain, { repetitionPenalty: 1.5 }));
    const without = await ids(plain);
    // Where transformers' two answers part as well.
    assert.equal(
      own.findIndex((id, i) => id !== without[i]),
      37,
    );
    assert.deepEqual(await ids(penalised, { repetitionPenalty: 1 }), without);
    const options = { question: 'Smiling?', choices: ['Yes', 'No'] } as const;
    const [a, b] = [await plain.choose(options), await penalised.choose(options)];
    assert.deepEqual(
      a.choices.map(({ logProb }) => logProb),
      b.choices.map(({ logProb }) => logProb),
    );
  });

  it('drawn answers, their filters, lengths; what is not computed is told once', async () => {
    const file = { do_sample: true, temperature: 3, top_k: 40, max_new_tokens: 8, num_beams: 4 };
    const warnings: ModelWarning[] = [];
    await using plain = await load(TINY);
    await using model = await load(write('drawn', file), warnings);
    await model.choose({ question: 'Smiling?', choices: ['Yes', 'No'] });
    assert.deepEqual(warnings, []);
    const answer = await model.ask({ question: 'Tell me.', seed: 5 }).result();
    assert.deepEqual(answer.sampling, {
      ...{ doSample: true, temperature: 3, topK: 40, topP: 1, minP: 0, repetitionPenalty: 1 },
      ...{ frequencyPenalty: 0, presencePenalty: 0, logitBias: {}, minTokens: 0 },
      ...{ seed: 5, maxNewTokens: 8 },
    } satisfies Sampling);
    const same = { temperature: 3, topK: 40, maxNewTokens: 8, seed: 5 };
    assert.deepEqual(answer.tokenIds, await ids(plain, same));
    assert.deepEqual(await ids(model, { doSample: false }), await ids(plain));
    const told = warnings.map(({ code, differences }) => [code, differences]);
    assert.deepEqual(told, [['GENERATION_NOT_FOLLOWED', ['num_beams: 4']]]);
  });

  it('ask --json and plan show what is used', () => {
    const directory = write('shown', { repetition_penalty: 1.5, no_repeat_ngram_size: 2 });
    const run = (...args: string[]): { stdout: string; stderr: string } => {
      const main = join(ROOT, 'dist', 'cli', 'main.js');
      const flags = ['--model', directory, '--device', TEST_DEVICE];
      const done = spawnSync(process.execPath, [main, ...args, ...flags], { encoding: 'utf8' });
      assert.equal(done.status, 0, done.stderr);
      return done;
    };
    const { stdout, stderr } = run('ask', 'Hi?', '--json', '--max-new-tokens', '3');
    const { sampling } = JSON.parse(stdout) as { sampling: Sampling };
    assert.deepEqual([sampling.doSample, sampling.repetitionPenalty], [false, 1.5]);
    assert.match(stderr, /warning: generation_config\.json asks.*\n {2}- no_repeat_ngram_size: 2/);
    const picture = join(GOLDEN, 'infer-300m', 'images', 'face_square_0.png');
    assert.match(
      run('plan', picture).stdout,
      /answers: greedy, repetition penalty 1\.5, at most 500 tokens/,
    );
  });

  it('goes along with an export; from the original layout only what counted there', async () => {
    const file = { repetition_penalty: 1.5, do_sample: true };
    const directory = write('exported', file);
    const read = (name: string): unknown =>
      JSON.parse(readFileSync(join(folder, name, 'generation_config.json'), 'utf8'));
    const options = { model: directory, layout: 'hf' } as const;
    await exportModel({ ...options, output: join(folder, 'again') });
    assert.deepEqual(read('again'), { ...IDS, ...file });
    await exportModel({ ...options, layout: 'original', output: join(folder, 'original') });
    assert.deepEqual(read('original'), { ...IDS, ...file });
    const model = join(folder, 'original');
    await exportModel({ ...options, model, output: join(folder, 'back') });
    assert.deepEqual(read('back'), IDS);
  });
});
