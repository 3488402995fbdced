/** A closed question as training puts it and as evaluation asks it: the same tokens up to the answer. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { ChatTemplate, encodeChat } from '../../lib/chat/index.js';
import { PROMPT_SETS } from '../../lib/data/index.js';
import { BUILT_IN_ATTRIBUTES, type BuiltInAttribute } from '../../lib/evaluation/labels/built-in.js';
import { Tokenizer } from '../../lib/tokenizer/index.js';
import { encodeRecord } from '../../lib/training/encode-record.js';
import * as golden from '../support/golden.js';

const DIRECTORY = join(golden.GOLDEN, 'ckpt-300m');
const IMAGE_TOKENS = 4;
/** Where training leaves place for `<img>`, its vectors and `</img>`. */
const PICTURE = -1;

describe('golden: asked as taught', () => {
  const { questions = [] } = PROMPT_SETS['attributes'] ?? {};

  for (const { id, student, answers } of questions) {
    if (answers === undefined) continue;
    it(`${id}: prompt and answers`, async () => {
      const tokenizer = await Tokenizer.load(DIRECTORY);
      const template = await ChatTemplate.load(DIRECTORY, 'training', tokenizer);
      const { question, choices } = BUILT_IN_ATTRIBUTES[id as BuiltInAttribute];
      const content = [
        { type: 'image', image: 'unused' },
        { type: 'text', text: question },
      ] as const;
      const rendered = template.render([{ role: 'user', content }], { system: '' });
      const asked = [...(await encodeChat(rendered, tokenizer, [IMAGE_TOKENS])).ids];
      for (const answer of new Set(Object.values(answers))) {
        const turns = [{ user: `<image>\n${student}`, assistant: answer }];
        const record = { index: 0, images: ['unused'], system: undefined, facts: {}, turns };
        const options = { system: '', cutoffLength: 256 };
        const taught = await encodeRecord(tokenizer, record, [IMAGE_TOKENS], options);
        assert.ok(taught);
        const learnt = [...taught.ids].filter((_, i) => taught.isLearnt[i] === 1);
        const prompt = [...taught.ids].filter((_, i) => taught.isLearnt[i] === 0);
        const at = prompt.indexOf(PICTURE);
        assert.deepEqual(prompt.slice(0, at), asked.slice(0, at));
        assert.deepEqual(prompt.slice(at + 1), asked.slice(at + IMAGE_TOKENS + 2));
        assert.ok(choices.some(({ text }) => text === answer));
        const end = [...tokenizer.encodeSegments([{ text: '<|im_end|>\n', trusted: true }])];
        const written = [...tokenizer.encodeSegments([{ text: answer, trusted: false }])];
        assert.deepEqual(learnt, [...written, ...end]);
      }
    });
  }
});
