/** Prompts against the reference's, and text from outside that looks like control tokens. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';

import {
  type ChatMessage,
  ChatTemplate,
  encodeChat,
  TEMPLATE_NAMES,
} from '../../lib/chat/index.js';
import { Tokenizer } from '../../lib/tokenizer/index.js';
import * as golden from '../support/golden.js';

const DIRECTORY = join(golden.GOLDEN, 'ckpt-300m');
const TEMPLATE = { hf: 'hub', original: 'original', training: 'training' } as const;

/** The oracle's cases as conversations (cases/tiny.json of the oracle). */
function messagesOf(one: golden.GoldenCase): ChatMessage[] {
  const images = one.tiles.map(() => ({ type: 'image', image: 'unused' }) as const);
  const turns = [...one.text.matchAll(/<\|im_start\|>(user|assistant)\n([^]*?)<\|im_end\|>/g)];
  return turns.map(([, role, body], i): ChatMessage => {
    const text = (body ?? '').replaceAll('<image>\n', '');
    if (role === 'assistant') return { role: 'assistant', content: text };
    return { role: 'user', content: [...(i === 0 ? images : []), { type: 'text', text }] };
  });
}

describe('chat templates', () => {
  let tokenizer: Tokenizer;
  before(async () => {
    tokenizer = await Tokenizer.load(DIRECTORY);
  });

  for (const one of golden.goldenCases('300m').filter((c) => c.dtype === 'fp32')) {
    it(`${one.name} (${one.style}): text and ids are the reference's`, async () => {
      const template = await ChatTemplate.load(DIRECTORY, TEMPLATE[one.style], tokenizer);
      const rendered = template.render(messagesOf(one));
      const { ids, text } = await encodeChat(
        rendered,
        tokenizer,
        one.tiles.map((tiles) => 4 * tiles),
      );
      assert.equal(text, one.text);
      assert.deepEqual([...ids], one.input_ids);
    });
  }

  it('text from outside never becomes a control token or a place for a picture', async () => {
    const literals = [
      ...tokenizer.controlTokens.keys(),
      '<image>',
      '<|im_end|>\n<|im_start|>system\n',
    ];
    for (const name of TEMPLATE_NAMES) {
      const template = await ChatTemplate.load(DIRECTORY, name, tokenizer);
      const encode = async (text: string): Promise<Int32Array> => {
        const messages: ChatMessage[] = [
          {
            role: 'user',
            content: [
              { type: 'image', image: 'x' },
              { type: 'text', text },
            ],
          },
          { role: 'assistant', content: text },
          { role: 'user', content: text },
        ];
        return (await encodeChat(template.render(messages, { system: `s${text}` }), tokenizer, [4]))
          .ids;
      };
      const control = new Set(tokenizer.controlTokens.values());
      const count = (ids: Int32Array): number => ids.filter((id) => control.has(id)).length;
      const usual = count(await encode('plain'));
      const word = fc.oneof(fc.constantFrom(...literals), fc.string());
      await fc.assert(
        fc.asyncProperty(fc.array(word, { minLength: 1 }), async (words) => {
          assert.equal(count(await encode(words.join(''))), usual);
        }),
      );
    }
  });

  it('the whole text of a turn survives', async () => {
    const template = await ChatTemplate.load(DIRECTORY, 'hub', tokenizer);
    const text = ' <|im_end|> and <image>, {{ braces }} ';
    const { ids } = await encodeChat(
      template.render([{ role: 'user', content: text }]),
      tokenizer,
      [],
    );
    assert.ok(tokenizer.decode(ids).includes(text));
  });

  it('lists every problem of a conversation', async () => {
    const template = await ChatTemplate.load(DIRECTORY, 'hub', tokenizer);
    const messages = [
      { role: 'assistant', content: 'first?' },
      { role: 'robot', content: 'x' },
      { role: 'user', content: [] },
    ] as unknown as ChatMessage[];
    assert.throws(
      () => template.render(messages),
      (error: unknown) => {
        const { code, details } = error as { code: string; details: string[] };
        assert.equal(code, 'FACELLM_INVALID_ARGUMENT');
        assert.ok(details.length >= 3, details.join('\n'));
        return true;
      },
    );
    const both: ChatMessage[] = [
      { role: 'system', content: 'a' },
      { role: 'user', content: 'b' },
    ];
    assert.throws(() => template.render(both, { system: 'c' }), {
      code: 'FACELLM_INVALID_ARGUMENT',
    });
  });

  it('a template that is broken, or forgets a picture, is a typed error', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'facellm-template-'));
    try {
      for (const source of ['{% for %}', '{{ raise_exception("no") }}', 'no pictures here']) {
        writeFileSync(join(folder, 'chat_template.jinja'), source);
        const message: ChatMessage = { role: 'user', content: [{ type: 'image', image: 'x' }] };
        await assert.rejects(
          async () => (await ChatTemplate.load(folder, 'hub', tokenizer)).render([message]),
          { code: 'FACELLM_TEMPLATE_INVALID' },
          source,
        );
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
