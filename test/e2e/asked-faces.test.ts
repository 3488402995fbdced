/** A question about chips of faces: the same as the chips alone, recorded, by API, command line, server and as trained. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';

import {
  type ChoiceResult,
  detectFaces,
  FaceLlm,
  facellm1b,
  type FacesRecord,
  type ModelWarning,
  train,
} from '../../lib/index.js';
import type { RunningServer } from '../../lib/serving/index.js';
import * as golden from '../support/golden.js';
import { CHECKPOINT, dataUrl, errorOf, loadTiny, post, serveTiny } from '../support/server.js';

const ROOT = join(import.meta.dirname, '..', '..');
const PORTRAIT = join(ROOT, 'examples', 'faces', 'congress', 'A000014.jpg');
const QUESTION = { question: 'Is this person smiling?', choices: ['Yes', 'No'] };
const FACES = { size: 224 } as const;
/** Last digits follow from what was computed before. */
const share = ({ choices }: ChoiceResult): number => choices[0]?.probability ?? NaN;

describe('asked about chips of faces', function () {
  this.timeout(300_000);
  let folder: string;
  let model: FaceLlm;
  /** Two portraits side by side. */
  let pair: string;
  let black: Buffer;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-asked-faces-'));
    pair = join(folder, 'pair.png');
    const one = await sharp(PORTRAIT)
      .toColourspace('srgb')
      .resize(300, 360, { fit: 'cover' })
      .png()
      .toBuffer();
    const left = { input: one, left: 0, top: 0 };
    const create = { width: 600, height: 360, channels: 3 as const, background: '#888' };
    await sharp({ create })
      .composite([left, { ...left, left: 300 }])
      .png()
      .toFile(pair);
    const none = { width: 64, height: 64, channels: 3 as const, background: 'black' };
    black = await sharp({ create: none }).png().toBuffer();
    model = await loadTiny();
  });
  after(async () => {
    await model.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  it('the model sees what detectFaces cuts, and says so in every result', async () => {
    const { chips, ...record } = await detectFaces(PORTRAIT, FACES);
    const [chip] = chips;
    assert.ok(chip);
    const own = await model.choose({ image: PORTRAIT, faces: FACES, ...QUESTION });
    const same = await model.choose({ image: chip, faces: 'cropped', ...QUESTION });
    const whole = await model.choose({ image: PORTRAIT, ...QUESTION });
    assert.deepEqual(own.faces, [record]);
    assert.equal(own.promptHash, same.promptHash);
    assert.ok(Math.abs(share(own) - share(same)) < 1e-5);
    assert.deepEqual([same.faces, whole.faces], [undefined, undefined]);
    const asked = { image: PORTRAIT, question: 'Who?', maxNewTokens: 2, faces: FACES };
    assert.deepEqual((await model.ask(asked).result()).faces, [record]);
    const schema = {
      type: 'object',
      properties: { smile: { type: 'boolean' } },
      required: ['smile'],
    };
    const { faces, value } = await model.extract({ ...asked, schema, maxNewTokens: 20 });
    assert.deepEqual(faces, [record]);
    assert.equal(typeof (value as { smile: unknown }).smile, 'boolean');
    const items = [{ question: 'Old?', choices: ['a', 'b'] }, QUESTION];
    const results = await model.choose({ image: PORTRAIT, faces: FACES, items });
    assert.deepEqual(
      results.map((one) => one.faces),
      [[record], [record]],
    );
    const plan = await model.plan(PORTRAIT, { faces: FACES });
    assert.deepEqual([plan.images[0]?.width, plan.faces], [224, [record]]);
    const [vectors] = await model.embedImages([PORTRAIT], { faces: FACES });
    const [ofChip] = await model.embedImages([chip]);
    assert.deepEqual([vectors?.data, vectors?.faces], [ofChip?.data, record]);
  });

  it('all faces are pictures of one question; a conversation measures them', async () => {
    const faces = { ...FACES, which: 'all' } as const;
    const messages = [
      {
        role: 'user',
        content: [
          { type: 'image', image: pair },
          { type: 'text', text: 'In <image>: who is older?' },
        ],
      },
    ] as const;
    const { tiles, faces: seen } = await model.measure(messages, { faces });
    assert.deepEqual([tiles.length, seen?.[0]?.used], [2, [0, 1]]);
    const answer = await model.chat(messages, { faces, maxNewTokens: 1 }).result();
    assert.equal(answer.faces?.[0]?.found, 2);
  });

  it('no face: an error that names the remedy, or the whole picture', async () => {
    await assert.rejects(model.choose({ image: black, faces: {}, ...QUESTION }), {
      code: 'FACELLM_NO_FACE',
      name: 'ImageError',
    });
    const request = { image: black, faces: { onNoFace: 'whole' }, ...QUESTION } as const;
    const whole = await model.choose(request);
    const plain = await model.choose({ image: black, ...QUESTION });
    assert.ok(Math.abs(share(whole) - share(plain)) < 1e-5);
    assert.deepEqual([whole.faces?.[0]?.found, whole.faces?.[0]?.used], [0, []]);
  });

  it("a detector of the caller's is asked, and named", async () => {
    const mine = () =>
      Promise.resolve([{ box: { x: 20, y: 20, width: 100, height: 100 }, score: 1 }]);
    const { faces } = await model.choose({
      image: PORTRAIT,
      faces: { detector: mine },
      ...QUESTION,
    });
    assert.deepEqual(faces?.[0]?.detector, { name: 'mine', weights: {} });
    assert.equal(faces?.[0]?.faces[0]?.pass, 'custom');
  });

  it('trained on chips, asked on chips: recorded, followed, warned where told otherwise', async () => {
    const data = join(folder, 'data.json');
    const turns = [
      { from: 'human', value: '<image>Smiling?' },
      { from: 'gpt', value: 'Yes' },
    ];
    writeFileSync(data, JSON.stringify([{ conversations: turns, images: [PORTRAIT] }]));
    const recipe = {
      ...facellm1b(),
      dtype: 'fp32',
      maxSteps: 1,
      faces: { margin: 0.5, size: 224 },
    } as const;
    const output = join(folder, 'run');
    await train({ recipe, model: CHECKPOINT, data, output, device: golden.TEST_DEVICE });
    const warnings: ModelWarning[] = [];
    const onWarning = (warning: ModelWarning): void => void warnings.push(warning);
    await using tuned = await FaceLlm.load(CHECKPOINT, {
      dtype: 'fp32',
      adapter: output,
      onWarning,
    });
    const { faces } = await tuned.choose({ image: PORTRAIT, ...QUESTION });
    assert.deepEqual([faces?.[0]?.margin, faces?.[0]?.size, faces?.[0]?.used], [0.5, 224, [0]]);
    assert.equal(typeof tuned.faces === 'object' && tuned.faces.margin, 0.5);
    assert.equal(warnings.length, 0);
    await tuned.choose({ image: PORTRAIT, faces: 'off', ...QUESTION });
    assert.deepEqual(warnings[0]?.differences, [
      'faces: trained with margin 0.5, 224 pixels, upright, blazeface, now off',
    ]);
    const none = [{ conversations: turns, images: [join(folder, 'black.png')] }];
    writeFileSync(join(folder, 'black.png'), black);
    writeFileSync(data, JSON.stringify(none));
    await assert.rejects(
      async () =>
        train({
          recipe,
          model: CHECKPOINT,
          data,
          output: join(folder, 'none'),
          device: golden.TEST_DEVICE,
        }),
      /record 0: .*no face was found/,
    );
    await assert.rejects(
      async () =>
        train({ recipe: { ...recipe, faces: { which: 'all' } }, model: CHECKPOINT, data, output }),
      /main or largest/,
    );
  });

  it('command line: main, each, none, and flags that belong to faces alone', () => {
    const facellm = (...args: string[]) =>
      spawnSync(process.execPath, [join(ROOT, 'dist', 'cli', 'main.js'), ...args], {
        encoding: 'utf8',
      });
    const choose = [pair, 'Old?', '--choices', 'a', 'b', '--model', CHECKPOINT, '--json'];
    const one = facellm('choose', ...choose, '--faces', 'main', '--face-size', '224');
    const told = JSON.parse(one.stdout) as { faces: FacesRecord[] };
    assert.deepEqual([told.faces[0]?.found, told.faces[0]?.used.length], [2, 1], one.stderr);
    const each = facellm('choose', ...choose, '--faces', 'each');
    const { results } = JSON.parse(each.stdout) as { results: { face: number }[] };
    assert.deepEqual(
      results.map(({ face }) => face),
      [0, 1],
    );
    const asked = facellm(
      'ask',
      pair,
      'Who?',
      '--model',
      CHECKPOINT,
      '--max-new-tokens',
      '1',
      '--faces',
      'each',
    );
    assert.match(asked.stdout, /face 0:\n[^]*face 1:\n/);
    assert.match(asked.stderr, /2 faces found, asked about number 1/);
    cpSync(PORTRAIT, join(folder, 'portrait.jpg'));
    const plan = facellm(
      'plan',
      pair,
      '--model',
      CHECKPOINT,
      '--faces',
      'all',
      '--face-size',
      '224',
    );
    assert.match(plan.stdout, /pair.png face 1 +224 x 224/);
    const lonely = facellm('choose', ...choose, '--margin', '0.5');
    assert.deepEqual(
      [lonely.status, /--margin: give --faces main too/.test(lonely.stderr)],
      [2, true],
    );
    const api = facellm(
      'generate',
      '--teacher',
      'labels',
      '--labels',
      'x',
      '--images',
      'x',
      '--output',
      'x',
      '--faces',
      'main',
    );
    assert.match(api.stderr, /--faces is for --teacher model/);
    const bench = facellm(
      ...[
        'evaluate',
        '--benchmark',
        'facexbench',
        '--data',
        folder,
        '--output',
        join(folder, 'bench'),
      ],
      ...['--model', CHECKPOINT, '--faces', 'main'],
    );
    assert.match(
      bench.stderr,
      /prompt.faces: expected off: its questions are about whole pictures/,
    );
  });

  describe('server', () => {
    let server: RunningServer;
    before(async () => {
      server = await serveTiny(model, { faces: { size: 224 } });
    });
    after(() => server.close());
    const images = [dataUrl(readFileSync(PORTRAIT), 'jpeg')];
    const choose = (more: object) => post(server, '/v1/choose', { images, ...QUESTION, ...more });
    const seenIn = (json: Readonly<Record<string, unknown>>): { size: number; used: number[] }[] =>
      (json['facellm'] as { faces: { size: number; used: number[] }[] }).faces;

    it('cuts as it was started with, or as the request says, and tells', async () => {
      const usual = await choose({});
      const [seen] = seenIn(usual.json);
      assert.deepEqual([usual.status, seen?.size, seen?.used], [200, 224, [0]], usual.text);
      const other = await choose({
        faces: { which: 0, size: 128, min_score: 0.4, on_no_face: 'whole' },
      });
      assert.equal(seenIn(other.json)[0]?.size, 128, other.text);
      const off = await choose({ faces: 'off' });
      assert.equal(seenIn(off.json), undefined);
      const chat = await post(server, '/v1/chat/completions', {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'image_url', image_url: { url: images[0] } },
              { type: 'text', text: 'Who?' },
            ],
          },
        ],
        faces: 'largest',
        max_tokens: 1,
      });
      assert.deepEqual(seenIn(chat.json)[0]?.used, [0], chat.text);
      const plan = await post(server, '/v1/plan', { images, faces: 'main' });
      assert.equal((plan.json['images'] as { width: number }[])[0]?.width, 448, plan.text);
    });

    it('no face and wrong fields: 400, and what to send', async () => {
      const none = await choose({ images: [dataUrl(black)] });
      assert.deepEqual(
        [none.status, errorOf(none)['code'], errorOf(none)['param']],
        [400, 'no_face', 'faces'],
      );
      for (const [faces, message] of [
        ['each', /each face is a request of its own/],
        [{ wich: 'main' }, /faces.wich: there is no such field; did you mean which/],
        [{ size: 100_000 }, /faces.size: expected a whole number of 16..1024/],
        [-1, /faces: expected a whole number of 0../],
      ] as const) {
        const refused = await choose({ faces });
        assert.equal(refused.status, 400);
        assert.match(errorOf(refused)['message'] ?? '', message);
      }
    });
  });
});
