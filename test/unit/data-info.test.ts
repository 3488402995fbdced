/** lib/data: dataset_info.json, the authors' own form, and every key's faults. */
import assert from 'node:assert/strict';

import { readDataset } from '../../lib/data/index.js';
import { errorOf, type Json, TestFolder } from './checkpoint-folder.js';

/** As data/dataset_info.json of idiap/facellm has it, with our paths. */
const AUTHORS_ENTRY: Json = {
  formatting: 'sharegpt',
  file_name: 'dataset.json',
  columns: { messages: 'conversations', image: 'image' },
  split: 'train',
  tags: { role_tag: 'from', content_tag: 'value', user_tag: 'human', assistant_tag: 'assistant' },
  image_root: 'fairface',
};
const AUTHORS_RECORD: Json = {
  conversations: [
    { from: 'human', value: '<image>Describe this image.' },
    { from: 'assistant', value: 'A face.' },
  ],
  image: 'val/1.jpg',
};
const TEXT_RECORD: Json = {
  conversations: [
    { from: 'human', value: 'q' },
    { from: 'gpt', value: 'a' },
  ],
};

describe('readDataset: dataset_info.json', () => {
  let folder: TestFolder;

  beforeEach(async () => {
    folder = await TestFolder.create();
    await folder.write('fairface/val/1.jpg', 'x');
    await folder.write('dataset.json', JSON.stringify([AUTHORS_RECORD]));
    await folder.write('text.json', JSON.stringify([TEXT_RECORD, TEXT_RECORD, TEXT_RECORD]));
  });
  afterEach(() => folder.remove());

  async function write(info: Json): Promise<string> {
    await folder.write('dataset_info.json', info);
    return folder.at('dataset_info.json');
  }

  async function problemsOf(entry: Json): Promise<string[]> {
    const error = await errorOf(readDataset(await write({ d: entry })));
    assert.equal(error.code, 'FACELLM_DATA_INVALID');
    assert.match(error.message, /dataset_info\.json: dataset d has \d+ problem/);
    return error.details.map((detail) => {
      assert.match(detail, /^d: /);
      return detail.slice(3);
    });
  }

  it("loads the pictures of the authors' form", async () => {
    const others = { identity: { file_name: 'identity.json' }, hub: { hf_hub_url: 'a/b' } };
    const path = await write({ fairfacegpt_dataset: AUTHORS_ENTRY, ...others });
    const data = await readDataset(path, { name: 'fairfacegpt_dataset' });
    assert.equal(data.file, folder.at('dataset.json'));
    assert.deepEqual(data.records, [
      {
        index: 0,
        images: [folder.at('fairface', 'val', '1.jpg')],
        system: undefined,
        facts: {},
        turns: [{ user: '<image>Describe this image.', assistant: 'A face.' }],
      },
    ]);
  });

  it('opens the folder, needs no name for a single entry, and knows other file names', async () => {
    const path = await write({ only: AUTHORS_ENTRY });
    for (const given of [path, folder.path]) {
      assert.equal((await readDataset(given)).records.length, 1);
      assert.equal((await readDataset(given, { name: 'only' })).records.length, 1);
    }
    await folder.write('my-info.json', { only: AUTHORS_ENTRY });
    assert.equal((await readDataset(folder.at('my-info.json'))).records.length, 1);
  });

  it('takes imageRoot before image_root before the folder of the data file', async () => {
    await folder.write('elsewhere/val/1.jpg', 'x');
    await folder.write('val/1.jpg', 'x');
    const imagesOf = async (entry: Json, imageRoot?: string): Promise<unknown> => {
      const data = await readDataset(await write({ d: entry }), { imageRoot });
      return data.records[0]?.images[0];
    };
    const elsewhere = folder.at('elsewhere');
    const expected = folder.at('elsewhere', 'val', '1.jpg');
    assert.equal(await imagesOf(AUTHORS_ENTRY, elsewhere), expected);
    assert.equal(await imagesOf({ ...AUTHORS_ENTRY, image_root: elsewhere }), expected);
    const rootless = { ...AUTHORS_ENTRY, image_root: null };
    assert.equal(await imagesOf(rootless), folder.at('val', '1.jpg'));
    const error = await errorOf(
      readDataset(await write({ d: { ...AUTHORS_ENTRY, image_root: 'gone' } })),
    );
    assert.equal(error.code, 'FACELLM_DATA_NOT_FOUND');
    assert.ok(error.message.includes(folder.at('gone')));
  });

  it('reads other columns and tags', async () => {
    const messages = [
      { role: 'sys', content: 's' },
      { role: 'user', content: '<image>q' },
      { role: 'bot', content: 'a' },
    ];
    const record = { chat: messages, pictures: ['fairface/val/1.jpg'], sys: 'column' };
    const plain = { chat: messages.slice(1), pictures: ['fairface/val/1.jpg'], sys: 'column' };
    await folder.write('other.jsonl', `${JSON.stringify(record)}\n${JSON.stringify(plain)}\n`);
    const path = await write({
      d: {
        file_name: folder.at('other.jsonl'),
        formatting: 'sharegpt',
        columns: { messages: 'chat', images: 'pictures', system: 'sys' },
        tags: {
          ...{ role_tag: 'role', content_tag: 'content', user_tag: 'user' },
          ...{ assistant_tag: 'bot', system_tag: 'sys', observation_tag: 'o', function_tag: 'f' },
        },
        ...{ ranking: false, subset: 'x', folder: 'y', num_samples: null },
      },
    });
    const { records } = await readDataset(path);
    assert.deepEqual(
      records.map(({ system, images, turns }) => [system, images.length, turns[0]?.assistant]),
      [
        ['s', 1, 'a'],
        ['column', 1, 'a'],
      ],
    );
  });

  it('keeps the defaults of tags that a tags block leaves out, and knows no alias', async () => {
    const entry = { file_name: 'text.json', formatting: 'sharegpt' };
    const path = await write({ d: { ...entry, tags: { user_tag: 'human' } } });
    assert.equal((await readDataset(path)).records.length, 3);
    const alias = await write({ d: { ...AUTHORS_ENTRY, tags: { role_tag: 'from' } } });
    const error = await errorOf(readDataset(alias));
    assert.match(error.details[0] ?? '', /expected human or gpt or system, received "assistant"/);
  });

  it('does not lose pictures of a column that the entry does not name', async () => {
    for (const columns of [undefined, { messages: 'conversations' }]) {
      const path = await write({ d: { ...AUTHORS_ENTRY, columns } });
      const error = await errorOf(readDataset(path));
      assert.equal(error.code, 'FACELLM_DATA_INVALID');
      assert.match(error.details[0] ?? '', /^record 0: image holds pictures that would be lost/);
    }
  });

  it('does not read a system column that the entry does not name', async () => {
    await folder.write('text.json', JSON.stringify([{ ...TEXT_RECORD, system: 's' }]));
    const path = await write({ d: { file_name: 'text.json', formatting: 'sharegpt' } });
    assert.equal((await readDataset(path)).records[0]?.system, undefined);
  });

  it('takes num_samples and maxSamples, whichever is less', async () => {
    const entry = { file_name: 'text.json', formatting: 'sharegpt' };
    for (const [num_samples, maxSamples, expected] of [
      [2, undefined, 2],
      [2, 1, 1],
      [1, 2, 1],
      [9, undefined, 3],
    ] as const) {
      const path = await write({ d: { ...entry, num_samples } });
      assert.equal((await readDataset(path, { maxSamples })).records.length, expected);
    }
  });

  it('lists every problem of an entry, with the nearest known key', async () => {
    assert.deepEqual(
      await problemsOf({
        ...{ file_nam: 'x', formatting: 'alpaca', split: 'test', num_samples: 0, ranking: true },
        columns: { message: 'c', imagess: 'i', videos: 'v', system: 7, zzzzzz: 'z' },
        tags: { role: 'from', assistent_tag: 'gpt', user_tag: 'gpt', content_tag: 'from' },
      }),
      [
        'file_nam: unknown key; did you mean file_name?',
        'formatting: expected "sharegpt", received "alpaca"; alpaca is not supported',
        'split: expected "train", the only split of a file, received "test"',
        'file_name: is missing; give the path of a .json or .jsonl file',
        'num_samples: expected a whole number from 1, received 0',
        'columns.message: unknown key; did you mean messages?',
        'columns.imagess: unknown key; did you mean images?',
        'columns.videos: is not supported; conversations with images are',
        'columns.zzzzzz: unknown key; known: messages, images, image, system, chosen, rejected',
        'ranking: expected columns.chosen and columns.rejected, which hold the two answers',
        'columns.messages: is missing; a columns block must name the conversations',
        'columns.system: expected text, received 7',
        'tags.role: unknown key; known: role_tag, content_tag, user_tag, assistant_tag, system_tag, observation_tag, function_tag',
        'tags.assistent_tag: unknown key; did you mean assistant_tag?',
        'tags: expected different words for user, assistant and system, received gpt, gpt, system',
        'tags: role_tag and content_tag are both from',
      ],
    );
  });

  it('refuses remote data, a missing formatting, and wrong kinds', async () => {
    for (const key of ['hf_hub_url', 'ms_hub_url', 'script_url', 'cloud_file_name']) {
      const problems = await problemsOf({ [key]: 'a/b', formatting: 'sharegpt' });
      assert.deepEqual(problems, [
        `${key}: is not supported; download the data and give file_name`,
      ]);
    }
    assert.match((await problemsOf({ file_name: 'text.json' }))[0] ?? '', /which means alpaca/);
    const columns = { messages: 'm', images: 'i', image: 'i' };
    const wrong = { file_name: 7, formatting: 'sharegpt', columns, tags: [], image_root: '' };
    assert.deepEqual(await problemsOf(wrong), [
      'file_name: expected text, received 7',
      'image_root: expected text, received ""',
      'columns.image: means the same as columns.images; use one of them',
      'tags: expected an object, received []',
    ]);
  });

  it('says which names there are', async () => {
    const path = await write({ faces: AUTHORS_ENTRY, other: AUTHORS_ENTRY });
    const unnamed = await errorOf(readDataset(path));
    assert.equal(unnamed.code, 'FACELLM_INVALID_ARGUMENT');
    assert.deepEqual(unnamed.details, ['faces', 'other']);
    for (const [name, hint] of [
      ['face', 'did you mean faces?'],
      ['__proto__', 'known: faces, other'],
    ] as const) {
      const error = await errorOf(readDataset(path, { name }));
      assert.equal(error.code, 'FACELLM_DATA_NOT_FOUND');
      assert.ok(error.message.endsWith(hint), error.message);
    }
  });

  it('refuses a data file that is absent or no records, and an info that is none', async () => {
    const entry = { file_name: 'gone.json', formatting: 'sharegpt' };
    const gone = await errorOf(readDataset(await write({ d: entry })));
    assert.equal(gone.code, 'FACELLM_DATA_NOT_FOUND');
    assert.ok(gone.message.includes(folder.at('gone.json')));
    const self = await errorOf(
      readDataset(await write({ d: { ...entry, file_name: 'dataset_info.json' } })),
    );
    assert.match(self.message, /expected an array of records/);
    for (const content of ['{}', '[]', '{"d": 1}']) {
      await folder.write('dataset_info.json', content);
      const error = await errorOf(readDataset(folder.path));
      assert.equal(error.code, 'FACELLM_DATA_INVALID');
      assert.match(error.message, /expected an object that maps names/);
    }
  });
});
