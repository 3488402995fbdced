/** What a request asks of how its answers are drawn, how many, and what is told of their tokens. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { type AnswerPiece, type AnswerResult, FaceLlm } from '../../lib/index.js';
import * as golden from '../support/golden.js';

const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');
const PHOTO = join(golden.GOLDEN, 'infer-300m', 'images', 'face_square_0.png');
const ASKED = { image: PHOTO, question: 'Who is this?', maxNewTokens: 10 } as const;

describe('options of an answer', () => {
  let model: FaceLlm;
  let plain: AnswerResult;
  let words: number;
  before(async () => {
    model = await FaceLlm.load(CHECKPOINT, { device: golden.TEST_DEVICE, dtype: 'fp32' });
    plain = await model.ask(ASKED).result();
    words = Math.ceil(model.config.model.text.vocabSize / 32);
  });
  after(() => model.dispose());

  it('wrong ones are refused at once, each by its name', async () => {
    const wrong = {
      ...{ frequencyPenalty: 2.1, presencePenalty: -3, minTokens: -1, topLogProbs: 21, n: 65 },
      ...{ logProbs: 'other' as 'raw', logitBias: { 5: 101, x: 1 }, mask: 3 as never },
    };
    await assert.rejects(model.ask({ ...ASKED, ...wrong }).result(), (error: unknown) => {
      const { code, details } = error as { code: string; details: string[] };
      assert.equal(code, 'FACELLM_INVALID_ARGUMENT');
      for (const name of Object.keys(wrong)) {
        assert.ok(
          details.some((line) => line.startsWith(`${name}: `)),
          `${name} in ${details.join('; ')}`,
        );
      }
      return true;
    });
  });

  it('biases of unknown ids and control tokens, and a least length above the greatest, are refused by name', async () => {
    const { tokenIds } = plain;
    const end = model.config.generation.eosTokenIds[0] ?? 0;
    const logitBias = new Map([
      [tokenIds[0] ?? 0, 1],
      [end, 1],
      [10_000_000, 1],
    ]);
    await assert.rejects(
      model.ask({ ...ASKED, logitBias, minTokens: 11 }).result(),
      (error: unknown) => {
        const { details } = error as { details: string[] };
        assert.equal(details.length, 3, details.join('; '));
        assert.match(details[0] ?? '', new RegExp(`id ${end} is the control token <`));
        assert.match(details[1] ?? '', /id 10000000 is unknown/);
        assert.match(details[2] ?? '', /^minTokens: 11 is more than maxNewTokens, 10/);
        return true;
      },
    );
  });

  it('a bias keeps an id out and brings one in', async () => {
    const first = plain.tokenIds[0] ?? 0;
    const without = await model.ask({ ...ASKED, logitBias: { [first]: -100 } }).result();
    assert.ok(!without.tokenIds.includes(first));
    const other = without.tokenIds[0] ?? 0;
    const forced = await model.ask({ ...ASKED, logitBias: new Map([[other, 100]]) }).result();
    assert.ok(forced.tokenIds.every((id) => id === other));
    assert.deepEqual(forced.sampling.logitBias, { [other]: 100 });
  });

  it('penalties keep ids from coming again, and a least length the end', async () => {
    const repeated = await model
      .ask({ ...ASKED, logitBias: new Map([[plain.tokenIds[0] ?? 0, 5]]), maxNewTokens: 30 })
      .result();
    const options = { frequencyPenalty: 2, presencePenalty: 2 };
    const penalised = await model
      .ask({ ...ASKED, ...options, logitBias: repeated.sampling.logitBias, maxNewTokens: 30 })
      .result();
    assert.ok(new Set(penalised.tokenIds).size >= new Set(repeated.tokenIds).size);
    const { tokenIds } = await model.ask({ ...ASKED, minTokens: 10 }).result();
    const ends = new Set(model.config.generation.eosTokenIds);
    assert.ok(tokenIds.length === 10 && tokenIds.slice(0, 9).every((id) => !ends.has(id)));
  });

  it('the most probable ids of each place, raw and processed', async () => {
    const raw = await model.ask({ ...ASKED, topLogProbs: 5 }).result();
    assert.deepEqual(raw.tokenIds, plain.tokenIds);
    assert.equal(raw.topLogProbs?.length, raw.tokenIds.length);
    raw.topLogProbs.forEach((top, i) => {
      assert.equal(top.length, 5);
      assert.equal(top[0]?.id, raw.tokenIds[i]);
      assert.ok(Math.abs((top[0]?.logProb ?? 0) - (raw.logProbs[i] ?? 1)) < 1e-5);
      assert.ok(top.every((one, k) => k === 0 || one.logProb <= (top[k - 1]?.logProb ?? -1)));
    });
    const drawn = { topK: 2, seed: 1, topLogProbs: 20, logProbs: 'processed' } as const;
    const processed = await model.ask({ ...ASKED, ...drawn }).result();
    processed.topLogProbs?.forEach((top) => {
      const sum = top.reduce((total, { logProb }) => total + Math.exp(logProb), 0);
      assert.ok(top.length === 2 && Math.abs(sum - 1) < 1e-5, `${sum}`);
    });
    assert.equal('topLogProbs' in plain, false);
  });

  it('n answers are those of the streams of one seed, over one computed prompt', async () => {
    const drawn = { ...ASKED, temperature: 2, topK: 0, seed: 5, reusePrefix: false };
    const before = await model.stats();
    const { answers, promptTokens, text, tokenIds } = await model.ask({ ...drawn, n: 4 }).result();
    const after = await model.stats();
    assert.equal(answers.length, 4);
    assert.deepEqual([answers[0]?.text, answers[0]?.tokenIds], [text, tokenIds]);
    assert.ok(new Set(answers.map((answer) => answer.text)).size > 1);
    const generated = answers.reduce((sum, answer) => sum + answer.tokenIds.length, 0);
    assert.ok(after.tokensComputed - before.tokensComputed <= promptTokens + 3 * 64 + generated);
    const rows = await model.chatBatch(
      Array.from(
        { length: 4 },
        () =>
          [
            {
              role: 'user',
              content: [
                { type: 'image', image: PHOTO },
                { type: 'text', text: ASKED.question },
              ],
            },
          ] as const,
      ),
      { maxNewTokens: 10, temperature: 2, topK: 0, seed: 5, reusePrefix: false },
    );
    assert.deepEqual(
      answers.map((answer) => answer.tokenIds),
      rows.map((row) => row.tokenIds),
    );
    assert.equal(after.usedBlocks, 0);
  });

  it('pieces of n answers together are the result; stop strings end one answer each', async () => {
    const drawn = { ...ASKED, temperature: 2, topK: 0, seed: 5, maxNewTokens: 16 };
    const whole = await model.ask({ ...drawn, n: 3 }).result();
    const stop = [whole.answers[1]?.text.slice(4, 6) ?? ''];
    const stream = model.ask({ ...drawn, n: 3, stop, topLogProbs: 2 });
    const pieces: AnswerPiece[] = [];
    for await (const piece of stream.pieces()) pieces.push(piece);
    const { answers } = await stream.result();
    answers.forEach((answer, index) => {
      const own = pieces.filter((piece) => piece.index === index);
      const tokens = own.flatMap((piece) => piece.tokens);
      assert.equal(own.map((piece) => piece.text).join(''), answer.text);
      assert.deepEqual(
        tokens.map(({ id }) => id),
        answer.tokenIds,
      );
      assert.deepEqual(
        tokens.map(({ top }) => top),
        answer.topLogProbs,
      );
      assert.ok(whole.answers[index]?.text.startsWith(answer.text));
    });
    assert.deepEqual([answers[1]?.finishReason, answers[1]?.stopString], ['stop-string', stop[0]]);
    assert.ok(
      answers.some(({ text }, i) => text.length === whole.answers[i]?.text.length) ||
        answers.every(({ finishReason }) => finishReason === 'stop-string'),
    );
    const mixed = model.ask({ ...drawn, n: 3 });
    assert.throws(() => mixed[Symbol.asyncIterator](), { message: /^n: / });
    await assert.rejects(mixed.result(), { code: 'FACELLM_INVALID_ARGUMENT' });
  });

  it('tells how long it waited, and that nothing was computed twice', () => {
    assert.ok(plain.timings.queue >= 0 && plain.timings.queue <= plain.timings.total);
    assert.equal(plain.preemptions, 0);
  });

  it('a mask that allows what would be said changes nothing; its mass is the model own', async () => {
    const seen: number[] = [];
    const { tokenIds, logProbs, maskMasses, topLogProbs } = await model
      .ask({
        ...ASKED,
        topLogProbs: 3,
        mask: (tokens) => {
          seen.push(tokens.length);
          const mask = new Uint32Array(words);
          const id = plain.tokenIds[tokens.length] ?? 0;
          mask[id >>> 5] = (1 << (id & 31)) >>> 0;
          return mask;
        },
      })
      .result();
    assert.deepEqual(tokenIds, plain.tokenIds);
    assert.deepEqual(seen, [...tokenIds.keys()]);
    maskMasses?.forEach((mass, i) => {
      assert.ok(Math.abs(mass - Math.exp(logProbs[i] ?? 0)) < 1e-4, `${mass}`);
      assert.deepEqual(
        topLogProbs?.[i]?.map(({ allowed }) => allowed),
        [true, false, false],
      );
    });
    const free = await model.ask({ ...ASKED, mask: () => null }).result();
    assert.deepEqual(free.tokenIds, plain.tokenIds);
    assert.ok(free.maskMasses?.every((mass) => mass === 1));
  });

  it('drawn under a mask, every id is an allowed one', async () => {
    const even = new Uint32Array(words).fill(0x55555555);
    const { answers } = await model
      .ask({ ...ASKED, temperature: 3, topK: 0, seed: 2, n: 5, mask: () => even })
      .result();
    for (const { tokenIds } of answers) assert.ok(tokenIds.every((id) => id % 2 === 0));
  });

  it('a wrong mask ends its own answer alone, by name', async () => {
    const wrong: readonly (readonly [() => Uint32Array | null, RegExp])[] = [
      [
        () => new Uint32Array(words - 1).fill(1),
        /^mask: of token 0 .* expected null or a Uint32Array of \d+ words/,
      ],
      [() => [] as never, /received object/],
      [() => new Uint32Array(words), /it forbids every id/],
      [
        () => {
          throw new Error('no rule');
        },
        /it threw: no rule/,
      ],
    ];
    const others = model.ask(ASKED).result();
    for (const [mask, message] of wrong) {
      await assert.rejects(model.ask({ ...ASKED, mask }).result(), {
        code: 'FACELLM_INVALID_ARGUMENT',
        message,
      });
    }
    assert.deepEqual((await others).tokenIds, plain.tokenIds);
    const { answers } = await model
      .ask({
        ...{ ...ASKED, temperature: 1, seed: 1, n: 3 },
        mask: (tokens, index) => {
          if (index === 1 && tokens.length === 2) throw new Error('enough');
          return null;
        },
      })
      .result();
    assert.deepEqual(
      answers.map(({ finishReason }) => finishReason === 'error'),
      [false, true, false],
    );
    assert.match(answers[1]?.error?.message ?? '', /of token 2 of answer 1: it threw: enough/);
    assert.equal(answers[1]?.tokenIds.length, 2);
    const { usedBlocks, runningRows } = await model.stats();
    assert.deepEqual([usedBlocks, runningRows], [0, 0]);
  });

  it('masked and unmasked requests at once answer as alone', async () => {
    const even = new Uint32Array(words).fill(0x55555555);
    const masked = { ...ASKED, mask: () => even };
    const alone = await model.ask(masked).result();
    const both = await Promise.all(
      Array.from({ length: 8 }, (_, i) => model.ask(i % 2 === 0 ? masked : ASKED).result()),
    );
    both.forEach(({ tokenIds }, i) => {
      assert.deepEqual(tokenIds, i % 2 === 0 ? alone.tokenIds : plain.tokenIds);
    });
  });
});
