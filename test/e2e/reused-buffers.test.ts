/** Buffers that a caller writes to while a request is under way, and pictures asked about again. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';

import { FaceLlm, type ImageSource } from '../../lib/index.js';
import * as golden from '../support/golden.js';

const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');
const SIDE = 600;
const pixels = (factor: number): Uint8Array =>
  Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => (i * factor) % 251);
const png = (data: Uint8Array): Promise<Buffer> =>
  sharp(data, { raw: { width: SIDE, height: SIDE, channels: 3 } })
    .png({ compressionLevel: 1 })
    .toBuffer();
const raw = (data: Uint8Array): ImageSource => ({ data, width: SIDE, height: SIDE });

describe('buffers that are used again', () => {
  const first = pixels(7);
  const second = pixels(90);
  let model: FaceLlm;
  beforeEach(async () => {
    model = await FaceLlm.load(CHECKPOINT, { device: golden.TEST_DEVICE, dtype: 'fp32' });
  });
  afterEach(() => model.dispose());

  const vectors = async (image: ImageSource): Promise<Float32Array> => {
    const [embedding] = await model.embedImages([image], { tiling: 'off' });
    assert.ok(embedding);
    return embedding.data;
  };
  const shares = async (image: ImageSource): Promise<readonly number[]> => {
    // What the prefix cache takes over is rounded otherwise; this is about pictures.
    const options = { choices: ['Yes', 'No'], tiling: 'off', reusePrefix: false } as const;
    const request = { image, question: 'x', ...options };
    return (await model.choose(request)).choices.map(({ logProb }) => logProb);
  };

  const kinds: readonly (readonly [
    string,
    (data: Uint8Array) => Promise<Uint8Array>,
    typeof raw,
  ])[] = [
    ['raw pixels', (data) => Promise.resolve(data.slice()), raw],
    ['bytes of a file', async (data) => new Uint8Array(await png(data)), (data) => data],
  ];
  for (const [kind, toBytes, toSource] of kinds) {
    it(`${kind}: a request is about what they held when it was made, and so is what is kept`, async () => {
      const truth = await shares(toSource(await toBytes(first)));
      const vector = await vectors(toSource(await toBytes(first)));
      const other = await toBytes(second);
      for (const wait of [undefined, 0, 1, 2, 4, 8]) {
        await model.clearCaches();
        const reused = new Uint8Array(Math.max(other.length, (await toBytes(first)).length));
        const used = (await toBytes(first)).length;
        reused.set(await toBytes(first));
        const view = reused.subarray(0, used);
        const overwritten = [shares(toSource(view)), vectors(toSource(view))] as const;
        if (wait !== undefined) await new Promise((resolve) => setTimeout(resolve, wait));
        reused.set(other);
        assert.deepEqual(await overwritten[0], truth, `asked, overwritten after ${wait} ms`);
        assert.deepEqual(await overwritten[1], vector, `embedded, overwritten after ${wait} ms`);
        const later = await shares(toSource(await toBytes(first)));
        assert.deepEqual(later, truth, `asked later, overwritten after ${wait} ms`);
      }
    });
  }

  it('a conversation is what it was when it was handed over', async () => {
    const part: { type: 'text'; text: string } = { type: 'text', text: 'one' };
    const content = [part];
    const messages: { role: 'user'; content: typeof content }[] = [{ role: 'user', content }];
    const before = model.chatBatch([messages], { maxNewTokens: 1 });
    part.text = 'something else';
    messages.push({ role: 'user', content });
    const [answer] = await before;
    const [truth] = await model.chatBatch([[{ role: 'user', content: 'one' }]], {
      maxNewTokens: 1,
    });
    assert.equal(answer?.promptHash, truth?.promptHash);
  });
});

describe('a picture that is asked about again', () => {
  it('is decoded once, until its file changes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'facellm-again-'));
    const path = join(folder, 'face.png');
    await using model = await FaceLlm.load(CHECKPOINT, {
      device: golden.TEST_DEVICE,
      dtype: 'fp32',
    });
    let decoded = 0;
    // Every decoding makes one task of libvips.
    const count = (): number => decoded++;
    sharp.queue.on('change', count);
    try {
      const ask = async (image: ImageSource): Promise<number> => {
        decoded = 0;
        await model.choose({ image, question: 'x', choices: ['Yes', 'No'] });
        return decoded;
      };
      writeFileSync(path, await png(pixels(7)));
      assert.ok((await ask(path)) > 0);
      assert.equal(await ask(path), 0, 'known by its path');
      assert.equal(await ask(await png(pixels(7))), 0, 'known by its bytes');
      writeFileSync(path, await png(pixels(90)));
      assert.ok((await ask(path)) > 0, 'another picture under the same path');
    } finally {
      sharp.queue.off('change', count);
      rmSync(folder, { recursive: true });
    }
  });

  /** Counts pictures that are decoded while `work` runs: a task of libvips is told of when it is queued and when it has run. */
  async function decodings(work: () => Promise<unknown>): Promise<number> {
    let changes = 0;
    const count = (): number => changes++;
    sharp.queue.on('change', count);
    try {
      await work();
    } finally {
      sharp.queue.off('change', count);
    }
    return changes / 2;
  }
  const questions = Array.from({ length: 8 }, (_, i) => `Question ${i}?`);
  const load = (caches: object): Promise<FaceLlm> =>
    FaceLlm.load(CHECKPOINT, { device: golden.TEST_DEVICE, dtype: 'fp32', ...caches });

  for (const [name, caches] of [
    ['both caches', {}],
    ['no vectors kept, a prefix that covers it', { imageCacheBytes: 0 }],
  ] as const) {
    it(`eight questions at once and eight later decode once, and bring its pixels once: ${name}`, async () => {
      await using model = await load(caches);
      const image = await png(pixels(7));
      const ask = (question: string): Promise<unknown> =>
        model.choose({ image, question, choices: ['Yes', 'No'] });
      const decoded = await decodings(async () => {
        await Promise.all(questions.map(ask));
        for (const question of questions) await ask(question);
      });
      const { receivedImages, pinnedImages } = await model.stats();
      assert.deepEqual([decoded, receivedImages, pinnedImages], [1, 1, 0]);
    });
  }

  it('is decoded again where nothing is kept, and its answers are the same', async () => {
    await using model = await load({});
    await using plain = await load({ imageCacheBytes: 0, prefixCacheBytes: 0 });
    const image = await png(pixels(7));
    const shares = async (one: FaceLlm, question: string): Promise<readonly number[]> =>
      (
        await one.choose({ image, question, choices: ['Yes', 'No'], reusePrefix: false })
      ).choices.map(({ logProb }) => logProb);
    for (const question of questions.slice(0, 3)) {
      let theirs: readonly number[] = [];
      assert.equal(await decodings(async () => (theirs = await shares(plain, question))), 1);
      assert.deepEqual(theirs, await shares(model, question));
    }
    await model.clearCaches();
    const vectors = async (): Promise<unknown> => model.embedImages([image]);
    assert.equal(await decodings(vectors), 1, 'wanted again');
    assert.equal(await decodings(vectors), 0);
  });

  it('whoever was asked for its pixels may leave: the next one is', async () => {
    await using model = await load({});
    const image = await png(pixels(7));
    const ask = (question: string, signal?: AbortSignal): Promise<string> =>
      model.ask({ image, question, maxNewTokens: 3, signal }).text();
    const truth = await ask('Who?');
    for (let round = 0; round < 6; round++) {
      await model.clearCaches();
      const leaving = new AbortController();
      const [first, second] = [ask('Who?', leaving.signal), ask('Who?')];
      setTimeout(() => leaving.abort(new Error('left')), round);
      await first.catch((error: unknown) => assert.equal((error as Error).message, 'left'));
      assert.equal(await second, truth);
    }
  });
});
