/** A call that is held back once its prompts are ready, and the bytes of tokens. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { FaceLlm, type PreparedPrompt } from '../../lib/index.js';
import * as golden from '../support/golden.js';

const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');
const PHOTO = join(golden.GOLDEN, 'infer-300m', 'images', 'face_tiled_0.png');

describe('a call whose prompts are ready', () => {
  let model: FaceLlm;
  before(async () => {
    model = await FaceLlm.load(CHECKPOINT, {
      ...{ device: golden.TEST_DEVICE, dtype: 'fp32' },
      maxContext: 4096,
    });
  });
  after(() => model.dispose());

  it('waits for what whenPrepared gives, which knows tokens and tiles', async () => {
    let seen: readonly PreparedPrompt[] = [];
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    const answer = model.ask({
      ...{ image: PHOTO, question: 'Who?', maxNewTokens: 2 },
      whenPrepared: (prompts) => {
        seen = prompts;
        return gate;
      },
    });
    while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal((await model.stats()).tokensComputed, 0);
    open();
    const { promptTokens } = await answer.result();
    const [plan] = (await model.plan(PHOTO)).images;
    assert.deepEqual(seen, [{ promptTokens, tiles: [plan?.tiles] }]);
    const choose = { question: 'Who?', choices: ['A', 'B'] };
    await model.choose({ ...choose, whenPrepared: (prompts) => void (seen = prompts) });
    assert.deepEqual(
      seen.map(({ tiles }) => tiles),
      [[]],
    );
  });

  it('what whenPrepared throws rejects the call, and the engine gets nothing', async () => {
    const full = new Error('no room');
    const before = (await model.stats()).tokensComputed;
    const whenPrepared = (): Promise<void> => Promise.reject(full);
    await assert.rejects(model.ask({ question: 'Who?', whenPrepared }).result(), full);
    assert.equal((await model.stats()).tokensComputed, before);
  });

  it('a prompt over maxContext is refused before', async () => {
    const question = 'word '.repeat(5000);
    const whenPrepared = (): void => assert.fail('prepared');
    await assert.rejects(model.ask({ question, whenPrepared }).result(), {
      code: 'FACELLM_PROMPT_TOO_LONG',
    });
  });

  it('tokens have bytes', async () => {
    const { tokenIds, text, finishReason } = await model
      .ask({ question: 'Who?', maxNewTokens: 8 })
      .result();
    const shown = finishReason === 'stop' ? tokenIds.slice(0, -1) : tokenIds;
    const bytes = shown.map((id) => model.tokenBytes(id) ?? new Uint8Array());
    assert.equal(Buffer.concat(bytes).toString(), text);
    for (const id of [-1, 0.5, 1e9]) assert.equal(model.tokenBytes(id), undefined);
  });
});
