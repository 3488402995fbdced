/** A tokenizer.json that cuts text by another rule than Qwen2's is refused; tokens that only its configuration lists count. */
import assert from 'node:assert/strict';

import { Tokenizer } from '../../lib/tokenizer/index.js';
import {
  copyGolden,
  errorOf,
  type Json,
  readGolden,
  setKey,
  TestFolder,
} from './checkpoint-folder.js';

const NAME = 'tokenizer.json';

describe('tokenizer.json', () => {
  let folder: TestFolder;
  let whole: Json;
  beforeEach(async () => {
    folder = await TestFolder.create();
    await copyGolden('ckpt-300m', folder);
    whole = await readGolden(`ckpt-300m/${NAME}`);
  });
  afterEach(() => folder.remove());

  const problemsWith = async (path: string, value: unknown): Promise<readonly string[]> => {
    const json = structuredClone(whole);
    setKey(json, path, value);
    await folder.write(NAME, json);
    const { code, details } = await errorOf(Tokenizer.load(folder.path));
    assert.equal(code, 'FACELLM_TOKENIZER_INVALID');
    return details;
  };

  it('another way to cut, to normalise or to join is refused by name', async () => {
    const split = { type: 'Split', pattern: { Regex: '\\p{L}+' }, behavior: 'Isolated' };
    const bytes = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };
    const parts: readonly (readonly [string, unknown])[] = [
      ['normalizer', { type: 'NFKC' }],
      ['normalizer', null],
      ['pre_tokenizer', null],
      ['pre_tokenizer', { type: 'ByteLevel', add_prefix_space: false, use_regex: true }],
      ['pre_tokenizer', { type: 'Sequence', pretokenizers: [split, bytes] }],
      ['pre_tokenizer.pretokenizers.1.add_prefix_space', true],
      ['pre_tokenizer.pretokenizers.0.behavior', 'Removed'],
      ['post_processor', { type: 'TemplateProcessing', single: [] }],
      ['model.dropout', 0.1],
      ['model.ignore_merges', true],
      ['model.byte_fallback', true],
      ['model.continuing_subword_prefix', '##'],
      ['model.end_of_word_suffix', '</w>'],
    ];
    for (const [path, value] of parts) {
      const [line = '', ...others] = await problemsWith(path, value);
      const name = path.startsWith('model.') ? path : path.split('.')[0];
      assert.ok(line.startsWith(`tokenizer.json: ${name}: `), line);
      assert.deepEqual(others, []);
    }
  });

  it("what transformers writes for Qwen2's is read, also what says nothing", async () => {
    const wanted = (await Tokenizer.load(folder.path)).encode("It's 12 naïve <|im_end|>\n\n x");
    for (const [path, value] of [
      ['model.dropout', 0],
      ['model.continuing_subword_prefix', ''],
      ['post_processor', null],
      ['normalizer', { type: 'Sequence', normalizers: [{ type: 'NFC' }] }],
      ['pre_tokenizer', undefined],
      ['truncation', { max_length: 5 }],
    ] as const) {
      const json = structuredClone(whole);
      setKey(json, path, value);
      await folder.write(NAME, json);
      const tokenizer = await Tokenizer.load(folder.path);
      assert.deepEqual(tokenizer.encode("It's 12 naïve <|im_end|>\n\n x"), wanted, path);
    }
  });

  it('added tokens that only tokenizer_config.json lists are control tokens too', async () => {
    const text = '<|im_start|>user\nHi<|im_end|>';
    const wanted = (await Tokenizer.load(folder.path)).encode(text);
    const added = whole['added_tokens'] as { content: string; id: number }[];
    whole['added_tokens'] = added.filter(({ content }) => content !== '<|im_end|>');
    await folder.write(NAME, whole);
    assert.deepEqual((await Tokenizer.load(folder.path)).encode(text), wanted);

    whole['added_tokens'] = added.map((token) =>
      token.content === '<|im_end|>' ? { ...token, content: '<|other|>' } : token,
    );
    await folder.write(NAME, whole);
    const { details } = await errorOf(Tokenizer.load(folder.path));
    assert.deepEqual(details, ['added tokens: id 2050 is both <|other|> and <|im_end|>']);
  });

  it('a space before every text is refused', async () => {
    const config = await readGolden('ckpt-300m/tokenizer_config.json');
    await folder.write('tokenizer_config.json', { ...config, add_prefix_space: true });
    assert.match((await errorOf(Tokenizer.load(folder.path))).details.join(), /add_prefix_space/);
  });
});
