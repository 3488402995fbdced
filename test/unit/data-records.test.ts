/** lib/data: every rule that a record must keep, each with its message. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';

import { readDataset } from '../../lib/data/index.js';
import { errorOf, type Json, TestFolder } from './checkpoint-folder.js';

const human = (value: unknown): Json => ({ from: 'human', value });
const gpt = (value: unknown): Json => ({ from: 'gpt', value });
const system = (value: unknown): Json => ({ from: 'system', value });
const PAIR = [human('q'), gpt('a')];

describe('readDataset: records', () => {
  let folder: TestFolder;

  before(async () => {
    folder = await TestFolder.create();
    await folder.write('1.jpg', 'x');
    await folder.write('2.jpg', 'x');
    await mkdir(folder.at('folder.jpg'));
  });
  after(() => folder.remove());

  async function write(records: readonly unknown[]): Promise<string> {
    await folder.write('data.json', JSON.stringify(records));
    return folder.at('data.json');
  }

  /** The problems of each record, without "record N: ". */
  async function problemsOf(record: unknown): Promise<string[]> {
    const error = await errorOf(readDataset(await write([record])));
    assert.equal(error.code, 'FACELLM_DATA_INVALID');
    return error.details.map((detail) => {
      assert.match(detail, /^record 0: /);
      return detail.slice('record 0: '.length);
    });
  }

  const cases: readonly (readonly [name: string, record: unknown, ...problems: RegExp[]])[] = [
    ['no object', [1], /^expected an object with conversations, received \[1\]$/],
    ['no record', null, /received null/],
    [
      'no conversation, but another key',
      { messages: [] },
      /^conversations: expected an array of turns, but it is missing; keys: messages$/,
    ],
    ['a conversation that is no array', { conversations: 'q' }, /array of turns, received "q"/],
    ['an empty conversation', { conversations: [] }, /array of turns, received \[\]/],
    [
      'an unknown role',
      { conversations: [{ from: 'user', value: 'q' }, gpt('a')] },
      /^conversations\[0\]\.from: expected human or gpt or assistant or system, received "user"$/,
    ],
    [
      'a turn without a role',
      { conversations: [human('q'), { value: 'a' }] },
      /^conversations\[1\]\.from: expected .*, but it is missing$/,
    ],
    [
      'a turn that is no object',
      { conversations: [human('q'), 'a'] },
      /^conversations\[1\]: expected an object, received "a"$/,
    ],
    [
      'two questions in a row',
      { conversations: [human('q'), human('q'), gpt('a'), human('q')] },
      /^conversations\[1\]\.from: expected gpt or assistant here, received "human"/,
    ],
    [
      'an answer first',
      { conversations: [gpt('a'), human('q')] },
      /^conversations\[0\]\.from: expected human here, received "gpt"/,
    ],
    [
      'a late system turn',
      { conversations: [...PAIR, system('s'), gpt('a')] },
      /^conversations\[2\]\.from: expected human here, received "system"/,
    ],
    [
      'no last answer',
      { conversations: [...PAIR, human('q')] },
      /^conversations: expected the last turn to be an answer, but there are 3 turn/,
    ],
    ['a system turn alone', { conversations: [system('s')] }, /only a system turn came/],
    [
      'an empty question',
      { conversations: [human(''), gpt('a')] },
      /^conversations\[0\]\.value: expected text that is not blank, received ""$/,
    ],
    [
      'a question that is no text',
      { conversations: [human(['q']), gpt('a')] },
      /expected text that is not blank, received \["q"\]$/,
    ],
    [
      'an empty system turn',
      { conversations: [system(''), ...PAIR] },
      /^conversations\[0\]\.value: expected text/,
    ],
    [
      'an answer of blank space',
      { conversations: [human('q'), gpt(' \n\t')] },
      /^conversations\[1\]\.value: expected an answer that is not blank, received " \\n\\t"$/,
    ],
    [
      'an answer that is null',
      { conversations: [human('q'), gpt(null)] },
      /^conversations\[1\]\.value: expected an answer that is not blank, received null$/,
    ],
    [
      'more placeholders than images',
      { conversations: [human('<image><image>q'), gpt('a')], images: ['1.jpg'] },
      /^2 <image> placeholder\(s\) but 1 image\(s\)$/,
    ],
    [
      'images without placeholders',
      { conversations: PAIR, images: ['1.jpg', '2.jpg'] },
      /^0 <image> placeholder\(s\) but 2 image\(s\)$/,
    ],
    [
      'a placeholder without images',
      { conversations: [human('<image>q'), gpt('a')] },
      /^1 <image> placeholder\(s\) but 0 image\(s\)$/,
    ],
    [
      'a placeholder in an answer',
      { conversations: [human('q'), gpt('<image>a')], images: ['1.jpg'] },
      /^conversations\[1\]\.value: <image> may stand only in a turn of human, not of gpt$/,
    ],
    [
      'a placeholder in a system turn',
      { conversations: [system('<image>'), ...PAIR], images: ['1.jpg'] },
      /^conversations\[0\]\.value: <image> may stand only in a turn of human, not of system$/,
    ],
    [
      'a placeholder in the system column',
      { conversations: PAIR, system: 'see <image>' },
      /^system: <image> may not stand in the system text$/,
    ],
    [
      'a system column that is no text',
      { conversations: PAIR, system: 7 },
      /^system: expected text, received 7$/,
    ],
    [
      'paths that are no text',
      {
        conversations: [human('<image><image><image>q'), gpt('a')],
        images: ['1.jpg', 7, { path: '1.jpg' }],
      },
      /^images\[1\]: expected the path of an image, received 7$/,
      /^images\[2\]: expected the path of an image, received \{"path":"1.jpg"\}$/,
    ],
    [
      'an image that is a number',
      { conversations: [human('<image>q'), gpt('a')], image: 7 },
      /^image: expected the path of an image, received 7$/,
    ],
    [
      'an empty path',
      { conversations: [human('<image>q'), gpt('a')], images: [''] },
      /^images\[0\]: expected the path of an image, received ""$/,
    ],
    [
      'pictures under both keys',
      { conversations: [human('<image>q'), gpt('a')], image: '1.jpg', images: ['1.jpg'] },
      /^pictures stand in images and image; use one of them$/,
    ],
    ...['image_path', 'image_paths', 'img', 'Images', 'imagePath'].map(
      (key) =>
        [
          `pictures under ${key}`,
          { conversations: PAIR, [key]: '1.jpg' },
          new RegExp(`^${key} holds pictures that would be lost: images or image is read`),
        ] as const,
    ),
  ];
  for (const [name, record, ...expected] of cases) {
    it(`refuses ${name}`, async () => {
      const problems = await problemsOf(record);
      assert.equal(problems.length, expected.length, problems.join('\n'));
      expected.forEach((pattern, i) => assert.match(problems[i] ?? '', pattern));
    });
  }

  it('refuses images that are not files, and names where it looked', async () => {
    const images = ['gone.jpg', 'folder.jpg', '1.jpg/x.jpg', 'nul\0.jpg', folder.at('none.jpg')];
    const question = '<image>'.repeat(images.length);
    const problems = await problemsOf({ conversations: [human(question), gpt('a')], images });
    assert.deepEqual(problems, [
      `image ${folder.at('gone.jpg')} does not exist`,
      `image ${folder.at('folder.jpg')} is not a file`,
      `image ${folder.at('1.jpg', 'x.jpg')} does not exist`,
      `image ${folder.at('nul\0.jpg')} is no valid path`,
      `image ${folder.at('none.jpg')} does not exist`,
    ]);
  });

  it('lists all problems of all records, also missing images beside other faults', async () => {
    const good = { conversations: PAIR };
    const bad = { conversations: [human('q'), gpt('')], images: ['gone.jpg'] };
    const file = await write([good, bad, good, { conversations: [] }]);
    const error = await errorOf(readDataset(file));
    assert.match(error.message, /2 of 4 record\(s\) cannot be used; .*onInvalid 'skip'/);
    assert.deepEqual(
      error.details.map((detail) => detail.slice(0, 30)),
      [
        'record 1: conversations[1].val',
        'record 1: 0 <image> placeholde',
        `record 1: image ${folder.path}`.slice(0, 30),
        'record 3: conversations: expec',
      ],
    );
    const data = await readDataset(file, { onInvalid: 'skip' });
    assert.deepEqual(
      data.records.map(({ index }) => index),
      [0, 2],
    );
    assert.deepEqual(
      data.skipped.map(({ index, problems }) => [index, problems.length]),
      [
        [1, 3],
        [3, 1],
      ],
    );
  });

  it('caps the list, and never returns an empty dataset', async () => {
    const file = await write(Array.from({ length: 1500 }, () => ({})));
    for (const onInvalid of ['error', 'skip'] as const) {
      const error = await errorOf(readDataset(file, { onInvalid }));
      assert.equal(error.code, 'FACELLM_DATA_INVALID');
      assert.match(error.message, /1500 of 1500/);
      assert.equal(error.details.length, 1001);
      assert.equal(error.details.at(-1), 'and 500 more');
    }
  });

  it('reads several turns with pictures in order, and lets a system turn win', async () => {
    const conversations = [
      system('turn'),
      human('<image>q1'),
      { from: 'assistant', value: ' a1\r\n' },
      human('q2 <image>'),
      gpt('a2'),
    ];
    const images = ['2.jpg', '1.jpg'];
    const file = await write([{ conversations, images, system: 'column', attribute: 'x' }]);
    const { records } = await readDataset(file);
    assert.deepEqual(records, [
      {
        index: 0,
        images: [folder.at('2.jpg'), folder.at('1.jpg')],
        system: 'turn',
        facts: {},
        turns: [
          { user: '<image>q1', assistant: ' a1\r\n' },
          { user: 'q2 <image>', assistant: 'a2' },
        ],
      },
    ]);
  });

  it('reads what a record says of the person, as text; other kinds of values say nothing', async () => {
    const own = { conversations: PAIR, person: 17, gender: 'Female', age: '20-29', race: ['x'] };
    const file = await write([own, { conversations: PAIR, person: '', gender: null }]);
    const { records } = await readDataset(file);
    assert.deepEqual(
      records.map(({ facts }) => facts),
      [{ person: '17', gender: 'Female', age: '20-29' }, {}],
    );
  });

  it('takes null and empty columns as none, and one path as a list of one', async () => {
    const question = [human('<image>q'), gpt('a')];
    const file = await write([
      { conversations: PAIR, images: null, image: [], img: '', image_path: null, system: null },
      { conversations: PAIR, system: '' },
      { conversations: question, images: '1.jpg', image: null },
      { conversations: question, image: ['1.jpg'], images: [] },
      { conversations: question, image: '1.jpg', image_id: 5, prompt_hash: 'x' },
    ]);
    const { records } = await readDataset(file);
    assert.deepEqual(
      records.map(({ images, system: text }) => [images.length, text]),
      [
        [0, undefined],
        [0, undefined],
        [1, undefined],
        [1, undefined],
        [1, undefined],
      ],
    );
  });
});
