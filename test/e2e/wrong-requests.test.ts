/** What JavaScript callers get wrong, and the compiler does not see: every call refuses it by name. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import {
  type AnswerStream,
  createModel,
  evaluate,
  exportModel,
  FaceLlm,
  type FaceLlmError,
  generateDataset,
  labelsTeacher,
  mergeAdapter,
  modelTeacher,
  nano,
  nanoShape,
  openAiTeacher,
  planDataset,
  readDataset,
  train,
} from '../../lib/index.js';
import * as golden from '../support/golden.js';

const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');
const PHOTO = join(golden.GOLDEN, 'infer-300m', 'images', 'face_square_0.png');

/** As JavaScript sees it. */
type Unchecked = Readonly<
  Record<'ask' | 'chat', (...given: readonly unknown[]) => AnswerStream> &
    Record<
      'chatBatch' | 'choose' | 'embedImages' | 'plan' | 'loadAdapter',
      (...given: readonly unknown[]) => Promise<unknown>
    >
>;

async function detailsOf(work: Promise<unknown>): Promise<readonly string[]> {
  const error = await work.then(
    () => assert.fail('not refused'),
    (reason: unknown) => reason as FaceLlmError,
  );
  assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT', String(error));
  return error.details;
}

describe('requests with unknown fields or wrong values', () => {
  let loaded: FaceLlm;
  let model: Unchecked;
  before(async () => {
    loaded = await FaceLlm.load(CHECKPOINT, { device: golden.TEST_DEVICE, dtype: 'fp32' });
    model = loaded as unknown as Unchecked;
  });
  after(() => loaded.dispose());

  const question = { image: PHOTO, question: 'Hi?' };
  const messages = [{ role: 'user', content: 'Hi?' }];
  const MISSPELT = 'maxNewToken: there is no such field; did you mean maxNewTokens?';
  const calls: readonly (readonly [
    string,
    () => Promise<unknown>,
    readonly (string | RegExp)[],
  ])[] = [
    [
      'load',
      () => FaceLlm.load(CHECKPOINT, { devce: 'cpu' } as never),
      ['devce: there is no such field; did you mean device?'],
    ],
    [
      'load null',
      () => FaceLlm.load(null as never, null as never),
      [/^model: .*null$/, /^options: .*null$/],
    ],
    [
      'ask',
      () => model.ask({ images: [PHOTO], question: 7, maxNewToken: 3 }).result(),
      [/^question: .*received 7$/, /^images: .*did you mean image\?$/, MISSPELT],
    ],
    ['ask null', () => model.ask(null).result(), [/^options: expected an object/]],
    [
      'a picture that is null',
      () => model.ask({ ...question, image: null }).text(),
      [/^image: .*null$/],
    ],
    [
      'one of many',
      () => model.ask({ ...question, image: [PHOTO, 5] }).text(),
      [/^image\[1\]: .*5$/],
    ],
    [
      'chat',
      () => model.chat([{ ...messages[0], name: 'Ann' }], { maxNewToken: 3 }).result(),
      [/^messages\[0\]\.name: there is no such field/, MISSPELT],
    ],
    [
      'parts',
      () =>
        model.chat([{ role: 'user', content: [{ type: 'text', text: 'x', detail: 1 }] }]).result(),
      [/^messages\[0\]\.content\[0\]\.detail: there is no such field/],
    ],
    [
      'chatBatch',
      () => model.chatBatch([messages, [{ role: 'user' }]], { maxNewToken: 3, topK: null }),
      [/^conversations\[1\]\[0\]\.content: .*missing$/, /^topK: .*null$/, MISSPELT],
    ],
    [
      'choose',
      () => model.choose({ ...question, choices: ['one'], tiling: { maxTile: 1 } }),
      [
        /^tiling\.maxTile: .*did you mean maxTiles\?$/,
        'choices: expected a list of 2..256 texts, received ["one"]',
      ],
    ],
    [
      'embedImages',
      () => model.embedImages([PHOTO], { tilling: 'off' }),
      ['tilling: there is no such field; did you mean tiling?'],
    ],
    ['plan', () => model.plan(PHOTO, { tiling: 'of' }), [/^tiling: expected 'off', or .*"of"$/]],
    [
      'loadAdapter',
      () => model.loadAdapter('nowhere', { scal: 2 }),
      ['scal: there is no such field; did you mean scale?'],
    ],
  ];
  for (const [name, call, expected] of calls) {
    it(name, async () => {
      const details = await detailsOf(call());
      assert.equal(details.length, expected.length, details.join('\n'));
      expected.forEach((one, i) => {
        if (typeof one === 'string') assert.equal(details[i], one);
        else assert.match(details[i] ?? '', one);
      });
    });
  }

  it("an error of a callback's own comes back as it is", async () => {
    const own = new RangeError('mine');
    const onProgress = (): never => {
      throw own;
    };
    await assert.rejects(
      FaceLlm.load(CHECKPOINT, { device: golden.TEST_DEVICE, onProgress }),
      (error) => error === own,
    );
  });

  const output = '/nowhere/at/all';
  const others: readonly (readonly [string, () => unknown, string])[] = [
    ['createModel', () => createModel({ output, texts: ['a'], sead: 1 } as never), 'seed'],
    [
      'createModel, shape',
      () => createModel({ output, texts: ['a'], shape: { ...nanoShape(), textLayer: 1 } } as never),
      'textLayers',
    ],
    [
      'exportModel',
      () => exportModel({ model: CHECKPOINT, output, layot: 'hf' } as never),
      'layout',
    ],
    [
      'mergeAdapter',
      () => mergeAdapter({ model: CHECKPOINT, output, adapters: ['a'], dtipe: 'fp32' } as never),
      'dtype',
    ],
    [
      'train',
      () => train({ recipe: nano(), model: CHECKPOINT, data: 'x', output, thread: 1 } as never),
      'threads',
    ],
    [
      'train, recipe',
      () =>
        train({
          recipe: { ...nano(), learningrate: 1 },
          model: CHECKPOINT,
          data: 'x',
          output,
        } as never),
      'learningRate',
    ],
    [
      'evaluate',
      () =>
        evaluate({ benchmark: 'pairs', data: 'x', model: CHECKPOINT, output, genuin: 1 } as never),
      'genuine',
    ],
    [
      'evaluate, prompt',
      () =>
        evaluate({
          benchmark: 'pairs',
          data: 'x',
          model: CHECKPOINT,
          output,
          prompt: { tilling: 'off' },
        } as never),
      'tiling',
    ],
    [
      'generateDataset',
      () =>
        generateDataset({
          labels: 'x',
          images: 'x',
          output,
          teacher: labelsTeacher(),
          maxRetry: 1,
        } as never),
      'maxRetries',
    ],
    [
      'generateDataset, batch',
      () =>
        generateDataset({
          labels: 'x',
          images: 'x',
          output,
          teacher: labelsTeacher(),
          batch: { pollms: 1 },
        } as never),
      'pollMs',
    ],
    [
      'planDataset',
      () =>
        planDataset({
          labels: 'x',
          images: 'x',
          output,
          teacher: labelsTeacher(),
          image: 1,
        } as never),
      'images',
    ],
    ['readDataset', () => readDataset('x', { maxSample: 1 } as never), 'maxSamples'],
    ['labelsTeacher', () => labelsTeacher({ sead: 1 } as never), 'seed'],
    ['modelTeacher', () => modelTeacher({ model: CHECKPOINT, maxToken: 1 } as never), 'maxTokens'],
    [
      'openAiTeacher',
      () => openAiTeacher({ estimateOnly: true, baseURL: 'http://x' } as never),
      'baseUrl',
    ],
  ];
  for (const [name, call, meant] of others) {
    it(name, async () => {
      const details = await detailsOf(Promise.resolve().then(call));
      const expected = `: there is no such field; did you mean ${meant}?`;
      assert.ok(details[0]?.endsWith(expected), details.join('\n'));
    });
  }

  it('two choices that are the same to the model are refused', async () => {
    const pairs = [
      ['caf\u00e9', 'cafe\u0301'],
      ['\ud800', '\ufffd'],
      ['No', 'No'],
    ];
    for (const pair of pairs) {
      const details = await detailsOf(model.choose({ ...question, choices: ['Yes', ...pair] }));
      assert.match(details[0] ?? '', /^choices\[2\]: .* is the same to the model as choices\[1\]$/);
    }
  });

  it('a tag in the question is its picture, not text beside it', async () => {
    const ask = async (text: string): Promise<string> =>
      (await model.ask({ image: PHOTO, question: text, maxNewTokens: 1 }).result()).promptHash;
    assert.equal(await ask('<image>\nHi?'), await ask('Hi?'));
    await detailsOf(ask('<image><image>Hi?'));
    await detailsOf(model.ask({ question: '<image>\nHi?' }).result());
  });
});
