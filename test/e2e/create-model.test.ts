/** Models from nothing: files like a hub's, random weights by the rule, nothing half done. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import {
  createModel,
  FaceLlm,
  FaceLlmError,
  type ModelShape,
  nano,
  nanoShape,
  train,
} from '../../lib/index.js';
import { GOLDEN, TEST_DEVICE } from '../support/golden.js';
import { readSafetensors, type StoredTensor } from '../support/safetensors.js';
import { BASE, DATASET } from '../support/training.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const HEAD = 'language_model.lm_head.weight';
const TEXTS = ['user\nWho is this?', 'assistant\nA person who is smiling. Who is this person?'];
/** Smaller than nano in every direction, and without round numbers. */
const SMALL: ModelShape = {
  ...nanoShape(),
  ...{ imageSize: 20, patchSize: 5, visionWidth: 36, visionLayers: 2, visionHeads: 3 },
  ...{ visionIntermediate: 50, textWidth: 40, textLayers: 1, textHeads: 5, textKeyValueHeads: 1 },
  ...{ textIntermediate: 30, maxPositions: 300 },
};

/** Every key of an object and of those in it; ids as keys are left out. */
function keysOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) => [
    ...(/^\d+$/.test(key) ? [] : [key]),
    ...keysOf(inner).map((own) => `${key.replace(/^\d+$/, '#')}.${own}`),
  ]);
}

function weightsOf(folder: string): Map<string, StoredTensor> {
  return readSafetensors(join(folder, 'model.safetensors'));
}

describe('end to end: a model from nothing', () => {
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'facellm-create-'))));
  after(() => rmSync(folder, { recursive: true }));

  it('has the files of a released checkpoint, with their keys', async () => {
    const { directory } = await createModel({ output: join(folder, 'files'), texts: TEXTS });
    const golden = join(GOLDEN, 'ckpt-300m');
    assert.deepEqual(readdirSync(directory).sort(), readdirSync(golden).sort());
    const ours = (name: string): unknown => JSON.parse(readFileSync(join(directory, name), 'utf8'));
    const theirs = (name: string): unknown => JSON.parse(readFileSync(join(golden, name), 'utf8'));
    const names = readdirSync(golden).filter(
      (name) => name.endsWith('.json') && name !== 'vocab.json',
    );
    for (const name of names) {
      // What saving by transformers adds and nobody reads.
      const isNoise = (key: string): boolean =>
        /transformers_version|_from_model_config|max_window_layers|vocab\./.test(key);
      const [mine, wanted] = [ours(name), theirs(name)].map(
        (file) => new Set(keysOf(file).filter((key) => !isNoise(key))),
      );
      assert.deepEqual([...(mine ?? [])].sort(), [...(wanted ?? [])].sort(), name);
    }
    const config = await readCheckpointConfig(directory);
    assert.equal(config.model.imageSeqLength, 16);
    assert.equal(config.model.text.maxPositionEmbeddings, 512);
  });

  it('weights are drawn by the rule, the head last and only where there is one', async () => {
    const make = async (tiesEmbeddings: boolean) => {
      const output = join(folder, `weights-${tiesEmbeddings}`);
      const shape = { ...SMALL, tiesEmbeddings };
      const made = await createModel({ output, texts: TEXTS, shape, seed: 7 });
      const weights = weightsOf(output);
      const elements = [...weights.values()].reduce((sum, { data }) => sum + data.length, 0);
      assert.equal(made.parameters, elements);
      const config = JSON.parse(readFileSync(join(output, 'config.json'), 'utf8')) as Record<
        string,
        unknown
      >;
      assert.equal(config['tie_word_embeddings'], tiesEmbeddings);
      return weights;
    };
    const [tied, untied] = [await make(true), await make(false)];
    assert.ok(untied.has(HEAD) && !tied.has(HEAD));
    for (const [name, tensor] of tied) assert.deepEqual(tensor, untied.get(name), name);

    const deviation = (part: string): readonly [number, number] => {
      const own = [...untied].find(([name]) => name.endsWith(part))?.[1].data as Float32Array;
      return [Math.sqrt(own.reduce((sum, x) => sum + x * x, 0) / own.length), own.length];
    };
    for (const [part, expected] of [
      ['embed_tokens.weight', Math.sqrt(1 / 40)],
      [HEAD, Math.sqrt(1 / 40)],
      ['patch_embeddings.projection.weight', Math.sqrt(1 / 75)],
      ['vision_tower.encoder.layer.1.attention.q_proj.weight', Math.sqrt(1 / 36)],
      ['vision_tower.encoder.layer.1.mlp.fc2.weight', Math.sqrt(1 / 50 / 4)],
      ['layers.0.self_attn.o_proj.weight', Math.sqrt(1 / 40 / 2)],
      ['layers.0.mlp.down_proj.weight', Math.sqrt(1 / 30 / 2)],
      ['position_embeddings', 0.5],
    ] as const) {
      const [actual, count] = deviation(part);
      // Five standard errors of a standard deviation.
      const tolerance = (5 * expected) / Math.sqrt(2 * count);
      assert.ok(Math.abs(actual - expected) < tolerance, `${part}: ${actual}, not ${expected}`);
    }
    for (const [name, { data }] of tied) {
      if (name.endsWith('.bias'))
        assert.ok(
          data.every((x) => x === 0),
          name,
        );
      if (/norm.*\.weight|lambda_/.test(name))
        assert.ok(
          data.every((x) => x === 1),
          name,
        );
    }
  });

  it('one seed, one folder; another seed, other weights', async () => {
    const make = async (name: string, seed: number): Promise<readonly string[]> => {
      const { directory } = await createModel({
        output: join(folder, name),
        texts: TEXTS,
        shape: SMALL,
        seed,
      });
      return readdirSync(directory).map((file) => readFileSync(join(directory, file), 'latin1'));
    };
    const [a, b, other] = [await make('a', 1), await make('b', 1), await make('c', 2)];
    assert.deepEqual(a, b);
    assert.equal(a.filter((text, i) => text !== other[i]).length, 1);
  });

  it('a tied model is trained as one and answers', async () => {
    const model = join(folder, 'weights-true');
    const recipe = {
      ...nano(),
      maxSteps: 1,
      limitsImageArea: false,
    };
    const run = join(folder, 'run-from-weights');
    await train({ recipe, model, data: DATASET, output: run, device: TEST_DEVICE });
    assert.ok(!weightsOf(run).has(HEAD));
    await using loaded = await FaceLlm.load(run, { device: TEST_DEVICE });
    const image = join(GOLDEN, 'train-images', '0_0.png');
    const question = { question: 'Who is this?', image, tiling: 'off' } as const;
    const answer = await loaded.ask({ ...question, maxNewTokens: 3 }).result();
    assert.equal(answer.imageTokens, 4);
  });

  it('every wrong field is listed, and nothing is written', async () => {
    const shape = {
      ...nanoShape(),
      patchSize: 7,
      visionHeads: 3,
      textHeads: 128,
      textKeyValueHeads: 3,
      textLayers: 0,
      colour: 1,
    };
    const output = join(folder, 'wrong');
    await assert.rejects(
      createModel({ output, texts: [' '], shape, vocabularySize: 286, seed: -1 }),
      (error: unknown) => {
        assert.ok(error instanceof FaceLlmError && error.code === 'FACELLM_INVALID_ARGUMENT');
        const fields = error.details.map((detail) => /^[\w.]+/.exec(detail)?.[0]);
        const wanted = [
          'shape.textLayers',
          'shape.colour',
          'shape.patchSize',
          'shape.visionHeads',
          'shape.textHeads',
          'shape.textKeyValueHeads',
        ];
        assert.deepEqual(fields.sort(), [...wanted, 'texts', 'vocabularySize', 'seed'].sort());
        return true;
      },
    );
    await assert.rejects(
      createModel({ output, texts: TEXTS, shape: { ...nanoShape(), maxPositions: 18 } }),
      /no model can be made so/,
    );
    assert.ok(!readdirSync(folder).some((name) => name.startsWith('wrong')));
  });

  it('a folder that holds something is refused, one that is empty is taken', async () => {
    const output = mkdtempSync(join(folder, 'held-'));
    await createModel({ output, texts: TEXTS, shape: SMALL });
    const before = readdirSync(output);
    await assert.rejects(createModel({ output, texts: TEXTS, shape: SMALL }), /is not empty/);
    assert.deepEqual(readdirSync(output), before);
  });

  it('aborted, or without a place to write: nothing is left behind', async () => {
    const before = readdirSync(folder);
    const reason = new Error('enough');
    await assert.rejects(
      createModel({
        output: join(folder, 'late'),
        texts: TEXTS,
        shape: SMALL,
        signal: AbortSignal.abort(reason),
      }),
      reason,
    );
    const abort = new AbortController();
    const running = createModel({
      output: join(folder, 'late'),
      texts: TEXTS,
      signal: abort.signal,
    });
    setImmediate(() => abort.abort(reason));
    await assert.rejects(running, reason);
    writeFileSync(join(folder, 'file'), '');
    await assert.rejects(
      createModel({ output: join(folder, 'file', 'model'), texts: TEXTS, shape: SMALL }),
      (error: unknown) => error instanceof FaceLlmError && error.code === 'FACELLM_RUN_WRITE',
    );
    assert.deepEqual(readdirSync(folder), [...before, 'file'].sort());
  });

  it('facellm init: data of both kinds, sizes and the next command', async () => {
    const text = join(folder, 'words.txt');
    writeFileSync(text, 'a xylophone, a xylophone');
    const output = join(folder, 'by command');
    const run = (...args: string[]): ReturnType<typeof spawnSync> =>
      spawnSync(process.execPath, [MAIN, 'init', '--data', DATASET, text, ...args], {
        encoding: 'utf8',
      });
    const made = run('--output', output, '--set', 'textLayers=1', '--vocabulary', '300');
    assert.equal(made.status, 0, String(made.stderr));
    assert.match(
      String(made.stdout),
      /^[\d,]+ parameters \([\d.]+ MiB\), 300 tokens: .*by command\n/,
    );
    assert.match(
      String(made.stdout),
      /next: facellm train --recipe nano .*--model '.*by command' --data /,
    );
    assert.equal((await readCheckpointConfig(output)).model.text.numHiddenLayers, 1);

    const again = run('--output', output);
    assert.equal(again.status, 2);
    assert.match(String(again.stderr), /not empty/);
    assert.equal(run('--output', join(folder, 'x'), '--set', 'textLayers=no').status, 2);

    const printed = run('--output', join(folder, 'as json'), '--json', '--seed', '3');
    const { directory, parameters, vocabularySize } = JSON.parse(String(printed.stdout)) as Record<
      string,
      unknown
    >;
    assert.equal(directory, join(folder, 'as json'));
    assert.ok(Number(parameters) > 1e6 && Number(vocabularySize) > 287);
    assert.match(readFileSync(join(String(directory), 'vocab.json'), 'utf8'), /"Ġxylophone"/);

    for (const [data, code] of [
      [join(folder, 'none.txt'), 'DATA_NOT_FOUND'],
      [join(BASE, 'model.safetensors'), 'DATA_INVALID'],
    ] as const) {
      const failed = spawnSync(
        process.execPath,
        [MAIN, 'init', '--data', data, '--output', join(folder, 'y')],
        { encoding: 'utf8' },
      );
      assert.equal(failed.status, 1);
      assert.match(failed.stderr, new RegExp(`FACELLM_${code}`));
    }
  });
});
