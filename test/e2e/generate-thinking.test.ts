/** Teachers that think aloud: single requests, the Batch API, and teachers of one's own. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  type GenerateOptions,
  generateDataset,
  openAiTeacher,
  readDataset,
  type Teacher,
} from '../../lib/data/index.js';
import { LabelledFaces } from '../support/labelled-faces.js';
import { type Behaviour, TeacherServer } from '../support/teacher-server.js';

const ANSWER = 'Short brown hair.';
const PAIRS = 8;
const PRICES = { input: 1, output: 1 };

/** One way of replying for each of the eight questions about a picture; the last two are never of use. */
const REPLIES: readonly Behaviour[] = [
  { kind: 'answer', content: `<think>The user wants the hair.</think>\n${ANSWER}` },
  { kind: 'answer', content: `The user wants the hair.</think>\n${ANSWER}` },
  { kind: 'answer', content: ANSWER, message: { reasoning_content: 'The user wants the hair.' } },
  {
    kind: 'answer',
    content: [
      { type: 'text', text: 'Short ' },
      { type: 'text', text: 'brown hair.' },
    ],
  },
  {
    kind: 'answer',
    content: [
      { type: 'thinking', thinking: [{ type: 'text', text: 'The user wants the hair.' }] },
      { type: 'text', text: ANSWER },
    ],
  },
  { kind: 'answer', content: ANSWER },
  { kind: 'answer', content: `<think>The user wants the hair. ${ANSWER}` },
  { kind: 'answer', content: null, message: { reasoning_content: `The hair: ${ANSWER}` } },
];

describe('e2e: generate from teachers that think aloud', () => {
  let faces: LabelledFaces;
  let server: TeacherServer;
  const key = process.env['OPENAI_API_KEY'];

  before(async () => {
    process.env['OPENAI_API_KEY'] = 'x';
    faces = await LabelledFaces.create(1);
    const order = new Map<string, number>();
    server = await TeacherServer.start(({ key: question }) => {
      if (!order.has(question)) order.set(question, order.size % PAIRS);
      return REPLIES[order.get(question) ?? 0] as Behaviour;
    });
  });
  after(async () => {
    if (key === undefined) delete process.env['OPENAI_API_KEY'];
    else process.env['OPENAI_API_KEY'] = key;
    faces.remove();
    await server.close();
  });

  function options(name: string, teacher: Teacher): GenerateOptions {
    const { labels, folder: images } = faces;
    return { labels, images, output: faces.output(name), teacher, maxAttempts: 1, concurrency: 1 };
  }

  for (const batch of [undefined, { pollMs: 5 }]) {
    const way = batch === undefined ? 'single requests' : 'the Batch API';
    it(`no thinking is learnt from ${way}; what was cut off is counted`, async () => {
      const teacher = await openAiTeacher({ baseUrl: server.url, model: 'm', prices: PRICES });
      const result = await generateDataset({ ...options(way, teacher), batch });
      assert.deepEqual(result.setAside, { markup: 1, empty: 1 });
      assert.deepEqual([result.answered, result.thinkingCut], [6, 2]);
      const { records } = await readDataset(result.output);
      for (const { turns } of records) assert.equal(turns[0]?.assistant, ANSWER);
      const card = readFileSync(join(result.output, 'README.md'), 'utf8');
      assert.match(card, /a model's thinking in front, which was cut off: 2\./);
      const calls = server.calls.length;
      const again = await generateDataset({ ...options(way, teacher), batch });
      assert.equal(again.thinkingCut, 2, 'the journal remembers');
      assert.equal(server.calls.length, calls);
    });
  }

  it('nor from any other teacher, such as a model of one’s own', async () => {
    const teacher: Teacher = {
      name: 'own',
      identity: {},
      defaultConcurrency: 1,
      prices: undefined,
      answer: () => Promise.resolve({ text: `<thinking>Hm.</thinking>${ANSWER}`, finish: 'stop' }),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const result = await generateDataset(options('own', teacher));
    assert.deepEqual([result.answered, result.thinkingCut], [PAIRS, PAIRS]);
    assert.equal((await readDataset(result.output)).records[0]?.turns[0]?.assistant, ANSWER);
  });
});
