/** lib/data: the kinds of files, what is wrong with whole files, options, and the skip report. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { relative } from 'node:path';

import { readDataset, writeSkipped } from '../../lib/data/index.js';
import { errorOf, type Json, TestFolder } from './checkpoint-folder.js';

function record(question: string, answer: string, rest: Json = {}): Json {
  const turns = [
    { from: 'human', value: question },
    { from: 'gpt', value: answer },
  ];
  return { conversations: turns, ...rest };
}

describe('readDataset: files', () => {
  let folder: TestFolder;

  beforeEach(async () => {
    folder = await TestFolder.create();
  });
  afterEach(() => folder.remove());

  async function write(name: string, content: unknown): Promise<string> {
    await folder.write(name, typeof content === 'string' ? content : JSON.stringify(content));
    return folder.at(name);
  }

  it('reads a JSON array', async () => {
    await folder.write('faces/1.jpg', 'x');
    await folder.write('faces/2.jpg', 'x');
    const images = ['faces/2.jpg', folder.at('faces', '1.jpg')];
    const file = await write('data.json', [
      record('<image><image>Same person?', 'No.', { images, id: 7 }),
      record('Hello', 'Hi', { system: 'Be brief.' }),
    ]);
    const data = await readDataset(file);
    assert.deepEqual(data.records, [
      {
        index: 0,
        images: [folder.at('faces', '2.jpg'), folder.at('faces', '1.jpg')],
        system: undefined,
        facts: {},
        turns: [{ user: '<image><image>Same person?', assistant: 'No.' }],
      },
      {
        index: 1,
        images: [],
        system: 'Be brief.',
        facts: {},
        turns: [{ user: 'Hello', assistant: 'Hi' }],
      },
    ]);
    assert.equal(data.file, file);
    assert.deepEqual(data.skipped, []);
    assert.equal(
      data.sha256,
      createHash('sha256')
        .update(await readFile(file))
        .digest('hex'),
    );
  });

  it('takes a relative path and returns an absolute one', async () => {
    const file = await write('data.json', [record('q', 'a')]);
    assert.equal((await readDataset(relative(process.cwd(), file))).file, file);
  });

  it('reads JSONL by name and by content, with blank lines, CRLF, BOM and unicode', async () => {
    const text = '\u2028 Gesicht 顔 👩🏽 \u0000 ü\r\n';
    const lines = [record('q1', text), record('q2', 'a2'), record('q3', 'a3')].map((line) =>
      JSON.stringify(line),
    );
    const content = `\uFEFF${lines.join('\r\n\r\n')}\r\n`;
    for (const name of ['a.jsonl', 'b.json', 'c.txt']) {
      const data = await readDataset(await write(name, content));
      assert.deepEqual(
        data.records.map(({ index, turns }) => [index, turns[0]?.assistant]),
        [
          [0, text],
          [1, 'a2'],
          [2, 'a3'],
        ],
        name,
      );
    }
  });

  it('reads an array with a BOM, also under a JSONL name, and a single line', async () => {
    const array = await write('a.jsonl', `\uFEFF ${JSON.stringify([record('q', 'a')])}`);
    assert.equal((await readDataset(array)).records.length, 1);
    const single = await write('b.jsonl', record('q', 'a'));
    assert.equal((await readDataset(single)).records.length, 1);
  });

  it('names every broken line of a JSONL file', async () => {
    const good = JSON.stringify(record('q', 'a'));
    const file = await write('data.jsonl', [good, '{"conversations": [', '', good, '7'].join('\n'));
    const error = await errorOf(readDataset(file));
    assert.equal(error.code, 'FACELLM_DATA_INVALID');
    assert.ok(error.message.includes(file));
    assert.match(error.message, /2 of 4 record\(s\)/);
    assert.equal(error.details.length, 2);
    assert.match(error.details[0] ?? '', /^record 1 \(line 2\): is not JSON: /);
    assert.equal(
      error.details[1],
      'record 3 (line 5): expected an object with conversations, received 7',
    );
    const data = await readDataset(file, { onInvalid: 'skip' });
    assert.deepEqual(
      data.records.map(({ index }) => index),
      [0, 2],
    );
    assert.deepEqual(
      data.skipped.map(({ index }) => index),
      [1, 3],
    );
    assert.deepEqual(Object.keys(data.skipped[0] ?? {}), ['index', 'problems']);
  });

  it('says where a JSON file is broken', async () => {
    const cases: readonly (readonly [content: string, place: string])[] = [
      ['[\n  {"a": 1},\n  {"a": tru}\n]', 'line 3, column 9'],
      ['[1, 2,]', 'line 1, column 7'],
      ['[{"a": 1}, {"b"', 'line 1, column 16'],
      ['[{"a" 1}]', 'line 1, column 7'],
      ['[{"a": 01}]', 'line 1, column 8'],
      ['["a\tb"]', 'line 1, column 2'],
      ['["\\x"]', 'line 1, column 2'],
      ['[{,}]', 'line 1, column 3'],
      ['[1}', 'line 1, column 3'],
      ['[1] 2', 'line 1, column 5'],
      ['[[1, 2], {"a": [true, null, -1.5e+3]}', 'line 1, column 38'],
      ['# hello', 'line 1, column 1'],
      ['{\n "conversations": [}', 'line 2, column 20'],
    ];
    for (const [content, place] of cases) {
      const error = await errorOf(readDataset(await write('data.json', content)));
      assert.equal(error.code, 'FACELLM_DATA_INVALID');
      assert.ok(
        error.message.includes(`is not JSON at ${place}: `),
        `${content}: ${error.message}`,
      );
    }
  });

  it('refuses other JSON, other encodings, and nothing at all', async () => {
    for (const content of ['7', '"text"', 'null']) {
      const error = await errorOf(readDataset(await write('data.json', content)));
      assert.equal(error.code, 'FACELLM_DATA_INVALID');
      assert.match(error.message, /expected an array of records.*received/);
    }
    for (const content of ['', '[]', ' \r\n\n', '\uFEFF']) {
      const error = await errorOf(readDataset(await write('data.json', content)));
      assert.equal(error.code, 'FACELLM_DATA_INVALID');
      assert.match(error.message, /holds no records/);
    }
    await writeFile(folder.at('data.json'), Buffer.from('[{"a": "ü"}]', 'utf16le'));
    const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('[]', 'utf16le')]);
    await writeFile(folder.at('data.json'), utf16);
    const error = await errorOf(readDataset(folder.at('data.json')));
    assert.equal(error.code, 'FACELLM_DATA_INVALID');
    assert.match(error.message, /UTF-8/);
  });

  it('says what is absent', async () => {
    for (const path of ['none.json', 'none/none.json']) {
      const error = await errorOf(readDataset(folder.at(path)));
      assert.equal(error.code, 'FACELLM_DATA_NOT_FOUND');
      assert.ok(error.message.includes(folder.at(path)));
    }
    const error = await errorOf(readDataset(folder.path));
    assert.equal(error.code, 'FACELLM_DATA_NOT_FOUND');
    assert.ok(error.message.includes(folder.at('dataset_info.json')));
    assert.equal((await errorOf(readDataset('a\0.json'))).code, 'FACELLM_DATA_NOT_FOUND');
  });

  it('lists every invalid argument', async () => {
    const options = { name: '', imageRoot: 7, maxSamples: 1.5, onInvalid: 'warn' };
    const error = await errorOf(readDataset('', options as never));
    assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
    assert.deepEqual(
      error.details.map((detail) => detail.split(':')[0]),
      ['path', 'name', 'imageRoot', 'maxSamples', 'onInvalid'],
    );
    const file = await write('data.json', [record('q', 'a')]);
    for (const maxSamples of [0, -1, NaN, '3']) {
      const wrong = await errorOf(readDataset(file, { maxSamples: maxSamples as number }));
      assert.equal(wrong.code, 'FACELLM_INVALID_ARGUMENT');
    }
    const named = await errorOf(readDataset(file, { name: 'x' }));
    assert.equal(named.code, 'FACELLM_INVALID_ARGUMENT');
    assert.match(named.message, /data file without named datasets/);
  });

  it('takes and checks the first maxSamples records only', async () => {
    const file = await write('data.json', [record('q1', 'a'), record('q2', 'a'), 'broken']);
    const data = await readDataset(file, { maxSamples: 2 });
    assert.deepEqual(
      data.records.map(({ index }) => index),
      [0, 1],
    );
    assert.equal((await errorOf(readDataset(file, { maxSamples: 4 }))).details.length, 1);
  });

  it('looks for relative images in imageRoot, and says if there is no such folder', async () => {
    await folder.write('root/1.jpg', 'x');
    const file = await write('data.json', [record('<image>q', 'a', { images: ['1.jpg'] })]);
    const root = folder.at('root');
    for (const imageRoot of [root, relative(process.cwd(), root)]) {
      const data = await readDataset(file, { imageRoot });
      assert.deepEqual(data.records[0]?.images, [folder.at('root', '1.jpg')]);
    }
    const error = await errorOf(readDataset(file, { imageRoot: folder.at('gone') }));
    assert.equal(error.code, 'FACELLM_DATA_NOT_FOUND');
    assert.ok(error.message.includes(folder.at('gone')));
  });

  it('writes the skip report whole, over an older one', async () => {
    const path = await write('skipped.jsonl', 'old');
    const skipped = [
      { index: 3, problems: ['a "quoted"\nproblem', 'ü'] },
      { index: 9, problems: ['b'] },
    ];
    await writeSkipped(path, skipped);
    const lines = (await readFile(path, 'utf8')).split('\n');
    assert.equal(lines.pop(), '');
    assert.deepEqual(
      lines.map((line) => JSON.parse(line) as unknown),
      skipped,
    );
    await writeSkipped(path, []);
    assert.equal(await readFile(path, 'utf8'), '');

    const error = await errorOf(writeSkipped(folder.at('none', 'x.jsonl'), skipped));
    assert.equal(error.code, 'FACELLM_RUN_WRITE');
    await folder.write('taken/x', 'x');
    const taken = await errorOf(writeSkipped(folder.at('taken'), skipped));
    assert.equal(taken.code, 'FACELLM_RUN_WRITE');
    // No half-written file is left behind.
    assert.deepEqual((await readdir(folder.path)).sort(), ['skipped.jsonl', 'taken']);
  });
});
