/** Requests beside and after one another: batches, conversations that grow, two models, a reader that is slow. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { type ChatMessage, FaceLlm } from '../../lib/index.js';
import { GREEDY } from '../support/generate.js';
import * as golden from '../support/golden.js';

const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');
const PHOTO = join(golden.GOLDEN, 'infer-300m', 'images', 'face_square_0.png');
const OPTIONS = { device: golden.TEST_DEVICE, dtype: 'fp32' } as const;
const picture = { type: 'image', image: PHOTO } as const;
const user = (text: string): ChatMessage => ({
  role: 'user',
  content: [picture, { type: 'text', text }],
});

describe('requests together', () => {
  let model: FaceLlm;
  beforeEach(async () => {
    model = await FaceLlm.load(CHECKPOINT, OPTIONS);
  });
  afterEach(() => model.dispose());

  it('a batch with stop strings gives each row what it gives alone', async () => {
    const chats = ['One?', 'Quite another question?', 'And a third one, longer than both?'].map(
      (text) => [user(text)],
    );
    const limits = { maxNewTokens: 12, reusePrefix: false } as const;
    const whole = await model.chatBatch(chats, limits);
    // A text of each row's own, somewhere in its middle, so that rows stop at different steps.
    const stop = whole.map(({ text }) => text.slice(text.length >> 1, (text.length >> 1) + 2));
    assert.ok(stop.every((one) => one.length > 0));
    const together = await model.chatBatch(chats, { ...limits, stop });
    for (const [i, chat] of chats.entries()) {
      const alone = await model.chat(chat, { ...limits, stop }).result();
      assert.equal(together[i]?.text, alone.text);
      assert.deepEqual(together[i]?.tokenIds, alone.tokenIds);
      assert.equal(together[i]?.finishReason, 'stop-string');
      assert.ok(whole[i]?.text.startsWith(alone.text));
    }
  });

  it('a conversation that grows takes over what it has computed, and says what a model without a memory says', async () => {
    await using fresh = await FaceLlm.load(CHECKPOINT, {
      ...OPTIONS,
      imageCacheBytes: 0,
      prefixCacheBytes: 0,
    });
    const messages: ChatMessage[] = [];
    let before = 0;
    for (const question of ['Who is this?', 'How old?', 'Are you sure?']) {
      messages.push(messages.length === 0 ? user(question) : { role: 'user', content: question });
      const answer = await model.chat(messages, { maxNewTokens: 6 }).result();
      const truth = await fresh.chat(messages, { maxNewTokens: 6 }).result();
      assert.equal(answer.promptHash, truth.promptHash);
      assert.deepEqual(answer.tokenIds, truth.tokenIds);
      assert.equal(truth.cachedTokens, 0);
      // All of the prompt before, up to where the answer was written by the model and is read now.
      assert.ok(answer.cachedTokens >= before, `${answer.cachedTokens} of ${before} taken over`);
      before = answer.promptTokens - 1;
      messages.push({ role: 'assistant', content: answer.text });
    }
  });

  it('two models at once answer as each does alone', async () => {
    await using other = await FaceLlm.load(CHECKPOINT, { ...OPTIONS, dtype: 'bf16' });
    const ask = async (one: FaceLlm): Promise<readonly number[]> =>
      (
        await one
          .ask({ image: PHOTO, question: 'Who?', maxNewTokens: 8, reusePrefix: false })
          .result()
      ).tokenIds;
    const alone = [await ask(model), await ask(other)];
    const both = await Promise.all([ask(model), ask(other), ask(model), ask(other)]);
    assert.deepEqual(both, [...alone, ...alone]);
    await other.dispose();
    assert.deepEqual(await ask(model), alone[0]);
  });

  it('a loop that is slow gets all of the text, what it missed as one piece', async () => {
    const answer = model.ask({ image: PHOTO, question: 'Describe.', maxNewTokens: 60 });
    const pieces: string[] = [];
    for await (const piece of answer) {
      pieces.push(piece);
      // The engine goes on meanwhile.
      if (pieces.length === 1) await answer.result();
    }
    assert.ok(pieces.length <= 2, `${pieces.length} pieces`);
    assert.equal(pieces.join(''), await answer.text());
  });

  it('peakBytes is what the request held: blocks of keys and values, and vectors', async () => {
    const { blockBytes, blockTokens } = await model.stats();
    const { peakBytes, promptTokens } = await model
      .ask({ question: 'Who?', maxNewTokens: 2 })
      .result();
    assert.equal(peakBytes, Math.ceil((promptTokens + 1) / blockTokens) * blockBytes);
    const [vectors] = await model.embedImages([PHOTO]);
    assert.ok(vectors);
    const withPicture = await model
      .ask({ ...{ image: PHOTO, question: 'Who?' }, maxNewTokens: 2 })
      .result();
    const blocks = Math.ceil((withPicture.promptTokens + 1) / blockTokens);
    assert.equal(withPicture.peakBytes, blocks * blockBytes + vectors.data.byteLength);
  });

  it('eight questions of one face at once compute the face once; mass is what the lists cover', async () => {
    const before = await model.stats();
    const beginning = 'Look at this face. '.repeat(30);
    const questions = Array.from({ length: 8 }, (_, i) => `${beginning}Question ${i}?`);
    const choose = (question: string): ReturnType<FaceLlm['choose']> =>
      model.choose({ image: PHOTO, question, choices: ['Yes', 'No'] });
    const together = await Promise.all(questions.map(choose));
    const after = await model.stats();
    assert.equal(after.tilesEncoded, before.tilesEncoded + 1);
    const whole = together.reduce((sum, { promptTokens }) => sum + promptTokens, 0);
    assert.ok(after.tokensComputed - before.tokensComputed < whole / 2, `${whole}`);
    for (const [i, { mass, entropy, choices }] of together.entries()) {
      const alone = await choose(questions[i] ?? '');
      assert.ok(Math.abs(alone.mass - mass) < 1e-4 * mass);
      const summed = choices.reduce((sum, { logProb }) => sum + Math.exp(logProb), 0);
      assert.ok(mass > 0 && mass < 1 && Math.abs(mass - summed) < 1e-12);
      assert.ok(entropy >= 0 && entropy <= Math.log(2) + 1e-12);
    }
  });

  it('many answers at once: as alone, and everything is given back', async () => {
    const questions = Array.from(
      { length: 24 },
      (_, i) => 'Who? '.repeat(1 + (i % 5)) + String(i % 7),
    );
    const ask = (question: string): Promise<string> =>
      model.ask({ ...{ image: PHOTO, question }, maxNewTokens: 1 + (question.length % 9) }).text();
    const alone: string[] = [];
    for (const question of questions) alone.push(await ask(question));
    await model.clearCaches();
    const { tilesEncoded } = await model.stats();
    assert.deepEqual(await Promise.all(questions.map(ask)), alone);
    const after = await model.stats();
    assert.equal(after.tilesEncoded, tilesEncoded + 1, 'one picture, one run of the vision tower');
    assert.ok(after.steps < after.tokensGenerated, 'they were computed together');
    assert.equal(after.usedBlocks, 0);
    assert.equal(after.pinnedImages, 0);
    assert.equal(after.runningRows + after.waitingRequests, 0);
  });
});

describe('an event loop that is blocked', () => {
  // native/binding/env_state.cpp, kMostPending; one more waits in the engine's hand.
  const IN_FLIGHT = 64 + 1;

  it('holds at most 64 tokens; the engine waits', async () => {
    const native = await golden.loadNative(CHECKPOINT, { dtype: 'fp32' });
    const [one] = golden.goldenCases('300m');
    assert.ok(one);
    let given = 0;
    native.onTokens((batch) => {
      given += batch.ids.length;
      if (given > 1) return;
      // Time for far more than 64 tokens of this model; on a slower machine for fewer, which proves less.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
      job.cancel();
    });
    const job = native.generate({
      prompt: await golden.goldenPrompt(one),
      ...{
        adapters: [],
        rows: 1,
        firstRow: 0,
        eosIds: [],
        usesPrefixCache: false,
        isMasked: false,
      },
      sampling: GREEDY,
      maxNewTokens: 5000,
    });
    const { rows } = await job.promise;
    assert.equal(rows[0]?.finishReason, 'cancelled');
    const made = rows[0].generatedTokens;
    assert.ok(made <= 1 + IN_FLIGHT + 1, `${made} tokens made while one was taken`);
    assert.equal(given, made);
    await native.dispose().promise;
  });
});
