/** A folder in the original layout is asked as its own code asks, whatever template its tokenizer carries. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type AskOptions, exportModel, FaceLlm } from '../../lib/index.js';
import { GOLDEN, TEST_DEVICE } from '../support/golden.js';

const PICTURE = join(GOLDEN, 'infer-300m', 'images', 'face_square_0.png');
const QUESTION: AskOptions = { image: PICTURE, question: 'Hi?', maxNewTokens: 2 };

/** Joins texts, as the template of Qwen2.5's that original folders carry. */
const TEXT_ONLY =
  "{% for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' }}{% endfor %}";

describe('the original layout', () => {
  let folder: string;
  let original: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-original-'));
    original = join(folder, 'original');
    await exportModel({
      model: join(GOLDEN, 'ckpt-300m'),
      output: original,
      layout: 'original',
    });
    rmSync(join(original, 'chat_template.jinja'));
    const path = join(original, 'tokenizer_config.json');
    const config = JSON.parse(readFileSync(path, 'utf8')) as object;
    writeFileSync(path, JSON.stringify({ ...config, chat_template: TEXT_ONLY }));
  });
  after(() => rmSync(folder, { recursive: true }));

  const hashOf = async (model: string, more: Partial<AskOptions> = {}): Promise<string> => {
    await using loaded = await FaceLlm.load(model, { device: TEST_DEVICE });
    return (await loaded.ask({ ...QUESTION, ...more }).result()).promptHash;
  };

  it("is asked in InternVL's own chat form, system turn and all", async () => {
    const own = await hashOf(original);
    assert.equal(own, await hashOf(original, { template: 'original' }));
    assert.notEqual(own, await hashOf(original, { template: 'original', system: '' }));
    await assert.rejects(hashOf(original, { template: 'hub' }), {
      code: 'FACELLM_TEMPLATE_INVALID',
    });
  });

  it("converted to the HF layout it is asked in the released repositories' form", async () => {
    const hf = join(folder, 'hf');
    await exportModel({ model: original, output: hf, layout: 'hf' });
    assert.equal(await hashOf(hf), await hashOf(join(GOLDEN, 'ckpt-300m')));
  });

  it('a template that failed is read again, so one that was mended is followed by the same model', async () => {
    const hub = join(folder, 'hub');
    cpSync(join(GOLDEN, 'ckpt-300m'), hub, { recursive: true });
    const path = join(hub, 'chat_template.jinja');
    const sound = readFileSync(path, 'utf8');
    writeFileSync(path, '{% for %}');
    await using loaded = await FaceLlm.load(hub, { device: TEST_DEVICE });
    const ask = (): Promise<{ readonly promptHash: string }> => loaded.ask(QUESTION).result();
    await assert.rejects(ask(), { code: 'FACELLM_TEMPLATE_INVALID' });
    writeFileSync(path, sound);
    assert.equal((await ask()).promptHash, await hashOf(join(GOLDEN, 'ckpt-300m')));
  });
});
