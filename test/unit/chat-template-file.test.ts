/** Which template a folder is asked in, and that line ends of a checkout change no prompt. */
import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';

import { ChatTemplate, type RenderedChat } from '../../lib/chat/index.js';
import { Tokenizer } from '../../lib/tokenizer/index.js';
import { copyGolden, errorOf, type Json, TestFolder } from './checkpoint-folder.js';

const says = (text: string): string => `${text}{{ messages[0].content }}`;
const list = (...names: string[]): object[] =>
  names.map((name) => ({ name, template: says(`${name}:`) }));

describe('the chat template of a folder', () => {
  let folder: TestFolder;
  let tokenizer: Tokenizer;
  before(async () => {
    folder = await TestFolder.create();
    await copyGolden('ckpt-300m', folder);
    tokenizer = await Tokenizer.load(folder.path);
  });
  after(() => folder.remove());
  beforeEach(async () => {
    for (const name of ['chat_template.jinja', 'chat_template.json', 'processor_config.json']) {
      await rm(folder.at(name), { force: true });
    }
    await rm(folder.at('additional_chat_templates'), { recursive: true, force: true });
    await setTokenizerTemplate(undefined);
  });

  async function setTokenizerTemplate(template: unknown, more: Json = {}): Promise<void> {
    const config = JSON.parse(await readFile(folder.at('tokenizer_config.json'), 'utf8')) as Json;
    await folder.write('tokenizer_config.json', { ...config, chat_template: template, ...more });
  }
  const render = async (): Promise<RenderedChat> => {
    const template = await ChatTemplate.load(folder.path, 'hub', tokenizer);
    return template.render([{ role: 'user', content: 'hi' }]);
  };
  const text = async (): Promise<string> =>
    (await render()).segments.map((part) => ('text' in part ? part.text : '')).join('');

  it('of a list or an object of templates the one named default counts', async () => {
    await setTokenizerTemplate(list('tool_use', 'default'));
    assert.equal(await text(), 'default:hi');
    await setTokenizerTemplate({ default: says('d:'), rag: says('r:') });
    assert.equal(await text(), 'd:hi');
    for (const [templates, wrong] of [
      [list('tool_use', 'rag'), /several chat templates \("tool_use", "rag"\), none.*"default"/],
      [[], /several chat templates \(none\)/],
      [[{ name: 'default' }], /expected a text, or a list of \{name, template\}/],
      [5, /expected a text/],
    ] as const) {
      await setTokenizerTemplate(templates);
      const error = await errorOf(render());
      assert.equal(error.code, 'FACELLM_TEMPLATE_INVALID');
      assert.match(error.message, wrong);
    }
  });

  it("without any, the released repositories' own", async () => {
    assert.equal(await text(), '<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n');
  });

  it('files go before each other as in transformers 5.18', async () => {
    await setTokenizerTemplate(says('tokenizer:'));
    assert.equal(await text(), 'tokenizer:hi');
    await folder.write('additional_chat_templates/default.jinja', says('folder:'));
    assert.equal(await text(), 'folder:hi');
    await folder.write('additional_chat_templates/tools.jinja', says('tools:'));
    await folder.write('chat_template.jinja', says('jinja:'));
    assert.equal(await text(), 'jinja:hi');
    await rm(folder.at('additional_chat_templates'), { recursive: true });
    await folder.write('chat_template.json', { chat_template: says('json:') });
    assert.equal(await text(), 'json:hi');
    await folder.write('processor_config.json', { chat_template: says('processor:') });
    assert.equal(await text(), 'processor:hi');
  });

  it('what transformers refuses is refused', async () => {
    await folder.write('additional_chat_templates/tools.jinja', says('tools:'));
    assert.match((await errorOf(render())).message, /additional_chat_templates.*\("tools"\)/);
    await folder.write('chat_template.json', { chat_template: says('json:') });
    assert.match((await errorOf(render())).message, /stands beside additional_chat_templates/);
    await rm(folder.at('additional_chat_templates'), { recursive: true });
    await folder.write('chat_template.json', { template: 'x' });
    assert.match((await errorOf(render())).message, /holds no chat_template/);
  });

  it('CR LF line ends give the prompt of LF ones', async () => {
    const lines =
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}\n{{ m.content }}\n{% endfor %}\n";
    await folder.write('chat_template.jinja', lines);
    const wanted = await text();
    assert.ok(wanted.includes('\n'));
    for (const end of ['\r\n', '\r']) {
      const other = lines.replaceAll('\n', end);
      await folder.write('chat_template.jinja', other);
      assert.equal(await text(), wanted);
      await rm(folder.at('chat_template.jinja'));
      await setTokenizerTemplate(other);
      assert.equal(await text(), wanted);
      await folder.write('chat_template.json', { chat_template: other });
      assert.equal(await text(), wanted);
      await rm(folder.at('chat_template.json'));
    }
  });

  it("the tokenizer's named tokens are known to a template", async () => {
    const template = '{{ messages[0].content }}{{ eos_token }}|{{ pad_token }}|{{ bos_token }}';
    const pad = { __type: 'AddedToken', content: '<|endoftext|>' };
    await setTokenizerTemplate(template, { pad_token: pad });
    assert.equal(await text(), 'hi<|im_end|>|<|endoftext|>|');
  });
});
