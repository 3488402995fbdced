/** Every reader of a text file: a byte order mark is no part of it, what is not UTF-8 is refused by its own code. */
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';

import { stringify } from 'yaml';

import { ChatTemplate } from '../../lib/chat/index.js';
import { readCheckpointConfig } from '../../lib/checkpoint/index.js';
import { readDataset } from '../../lib/data/index.js';
import { FAIRFACEGPT } from '../../lib/data/prompts/fairfacegpt.js';
import { loadPromptSet } from '../../lib/data/prompts/load-prompt-set.js';
import { readQuestionFolder } from '../../lib/evaluation/facexbench/question-folder.js';
import { readPairFile } from '../../lib/evaluation/pairs/pair-file.js';
import { readAdapterConfig } from '../../lib/lora/index.js';
import { readServingSettings } from '../../lib/model/serving-settings.js';
import { Tokenizer } from '../../lib/tokenizer/index.js';
import { makeFolder } from '../support/facexbench-folder.js';
import { copyGolden, errorOf, TestFolder } from './checkpoint-folder.js';

interface Reader {
  readonly file: string;
  readonly code: string;
  readonly read: (folder: TestFolder) => Promise<unknown>;
}

const SETTINGS = {
  template: 'training',
  system: 'Né.',
  tiles: 'off',
  limitsImageArea: true,
};
const RECORD = {
  conversations: [
    { from: 'human', value: 'Où?' },
    { from: 'gpt', value: 'Là.' },
  ],
};
const ADAPTER = { peft_type: 'LORA', r: 4, lora_alpha: 8, target_modules: ['q_proj'] };

const template = async ({ path }: TestFolder): Promise<unknown> => {
  const chat = await ChatTemplate.load(path, 'hub', await Tokenizer.load(path));
  return chat.render([{ role: 'user', content: 'é' }]);
};
const tokenizer = async ({ path }: TestFolder): Promise<unknown> =>
  (await Tokenizer.load(path)).encode('Hello <|im_end|> é');
const config = ({ path }: TestFolder): Promise<unknown> => readCheckpointConfig(path);

const READERS: readonly Reader[] = [
  { file: 'config.json', code: 'FACELLM_CONFIG_INVALID', read: config },
  { file: 'generation_config.json', code: 'FACELLM_CONFIG_INVALID', read: config },
  { file: 'preprocessor_config.json', code: 'FACELLM_CONFIG_INVALID', read: config },
  { file: 'tokenizer.json', code: 'FACELLM_TOKENIZER_INVALID', read: tokenizer },
  { file: 'chat_template.jinja', code: 'FACELLM_TEMPLATE_INVALID', read: template },
  {
    file: 'facellm_training.json',
    code: 'FACELLM_CONFIG_INVALID',
    read: ({ path }) => readServingSettings(path, 'FACELLM_CONFIG_INVALID'),
  },
  {
    file: 'adapter_config.json',
    code: 'FACELLM_ADAPTER_INVALID',
    read: ({ path }) => readAdapterConfig(path),
  },
  {
    file: 'data.jsonl',
    code: 'FACELLM_DATA_INVALID',
    read: async (folder) => (await readDataset(folder.at('data.jsonl'))).records,
  },
  {
    file: 'prompts.yaml',
    code: 'FACELLM_DATA_INVALID',
    read: (folder) => loadPromptSet(folder.at('prompts.yaml')),
  },
  {
    file: 'pairs.txt',
    code: 'FACELLM_DATA_INVALID',
    read: async (folder) => (await readPairFile(folder.at('pairs.txt'))).pairs,
  },
];

/** Tokenizer files of the other form. */
const PARTS = ['vocab.json', 'merges.txt', 'tokenizer_config.json'];

async function prepare(folder: TestFolder): Promise<void> {
  await copyGolden('ckpt-300m', folder);
  await folder.write('facellm_training.json', SETTINGS);
  await folder.write('adapter_config.json', ADAPTER);
  await folder.write('data.jsonl', RECORD);
  await folder.write('prompts.yaml', stringify(FAIRFACEGPT));
  await folder.write('pairs.txt', 'Zoé 1 2\nZoé 1 Ana 3\n');
}

async function check(folder: TestFolder, { file, code, read }: Reader): Promise<void> {
  const path = folder.at(file);
  const plain = await readFile(path);
  const wanted = await read(folder);
  await writeFile(path, `\uFEFF${plain.toString()}`);
  assert.deepEqual(await read(folder), wanted, file);

  const wrong: readonly [string | Uint8Array, RegExp][] = [
    [Buffer.concat([Buffer.from('é'), Buffer.from('\xe9', 'latin1')]), /column 2 \(byte 0xE9\)/],
    [Buffer.from(`\uFEFF${plain.toString()}`, 'utf16le'), /is UTF-16/],
    ['version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n', /git lfs pull/],
  ];
  for (const [content, text] of wrong) {
    await writeFile(path, content);
    const error = await errorOf(read(folder));
    assert.equal(error.code, code, `${file}: ${error.message}`);
    assert.match([error.message, ...error.details].join('\n'), text, file);
    assert.ok(error.message.includes(file), error.message);
  }
  await writeFile(path, plain);
}

describe('readers of text files', () => {
  let folder: TestFolder;
  before(async () => {
    folder = await TestFolder.create();
    await prepare(folder);
  });
  after(() => folder.remove());

  for (const reader of READERS) it(reader.file, () => check(folder, reader));

  it('vocab.json, merges.txt and tokenizer_config.json', async () => {
    const whole = await tokenizer(folder);
    const path = folder.at('tokenizer.json');
    const kept = await readFile(path);
    await rm(path);
    assert.deepEqual(await tokenizer(folder), whole);
    for (const file of PARTS) {
      await check(folder, { file, code: 'FACELLM_TOKENIZER_INVALID', read: tokenizer });
    }
    await writeFile(path, kept);
  });

  it("FaceXBench's question files, among whose faults these are", async () => {
    const data = await makeFolder();
    const before = await readQuestionFolder(data, 'error');
    const name = before.files[0]?.name ?? '';
    const path = `${before.directory}/${name}`;
    const plain = await readFile(path);
    await writeFile(path, `\uFEFF${plain.toString()}`);
    const marked = await readQuestionFolder(data, 'error');
    assert.deepEqual(marked.files, before.files);
    await writeFile(path, Buffer.from(plain.toString(), 'utf16le'));
    const faulty = await readQuestionFolder(data, 'skip');
    assert.match(faulty.leftOut[0]?.reason ?? '', /is UTF-16|not UTF-8/);
    await writeFile(path, plain);
  });
});
