/** Which answers are used: a table of bad ones with their reasons, and of good ones that look alike. */
import assert from 'node:assert/strict';

import { judge, type RejectionReason } from '../../lib/data/synthesis/gate.js';
import { Plan } from '../../lib/data/synthesis/plan.js';
import { PROMPT_SETS } from '../../lib/data/prompts/load-prompt-set.js';
import type { PromptSet } from '../../lib/data/prompts/prompt-set.js';
import type { TeacherAnswer, TeacherRequest } from '../../lib/data/teachers/exchange.js';

const LABELS = { gender: 'Female', age: '20-29', race: 'Middle Eastern' };
const plan = new Plan(
  [{ file: 'val/1.jpg', path: '/val/1.jpg', labels: LABELS, line: 2 }],
  PROMPT_SETS['fairfacegpt'] as PromptSet,
);
const DEMOGRAPHIC = plan.request(0, 0);
const SKIN = plan.request(2, 0);

function reason(text: string, request: TeacherRequest = SKIN): RejectionReason | undefined {
  return judge({ text, finish: 'stop' }, request)?.reason;
}

const BAD: readonly (readonly [RejectionReason, string])[] = [
  ['refusal', "I'm sorry, but I can't help with that."],
  ['refusal', 'I’m sorry, but I can’t assist with this request.'],
  ['refusal', "I'm unable to analyze the facial features of people in images."],
  ['refusal', 'I am not able to identify this person.'],
  ['refusal', 'I cannot describe people based on their appearance.'],
  ['refusal', "Unfortunately, I can't provide a description of the skin."],
  ['refusal', 'I won’t make inferences about a face.'],
  ['refusal', 'As an AI language model, I see no images.'],
  ['refusal', 'Describing faces is against my guidelines.'],
  ['empty', ''],
  ['empty', ' \n\t'],
  ['empty', '...'],
  ['empty', '1. 2.'],
  ['off_topic', 'Based on the given description, the skin is smooth.'],
  ['off_topic', 'According to the provided information, the skin looks young.'],
  ['off_topic', 'Consistent with the known details, the skin is even.'],
  ['off_topic', 'The skin is smooth, as described in the prompt.'],
  ['off_topic', 'Based on your description, the skin is smooth.'],
  ['off_topic', 'Please upload the image again.'],
  ['off_topic', 'No image was provided, but skin is often smooth.'],
  ['label_leak', 'It is known that this is a young woman; her skin is smooth.'],
  ['label_leak', 'We know that the person is young, hence the smooth skin.'],
  ['label_leak', 'The skin fits the stated age.'],
  ['label_leak', 'She is labeled as young, and her skin is smooth.'],
  ['label_leak', 'The ground truth says young skin.'],
  ['label_leak', 'As you mentioned, the skin is smooth.'],
  ['label_leak', 'A face of a Latino_Hispanic man with smooth skin.'],
  ['label_leak', 'The skin is that of a 20-29 year old.'],
  ['label_leak', 'Her skin is smooth, as in people 20–29 years old.'],
  ['label_leak', 'The tone is typical of Middle Eastern ethnicity.'],
  ['markup', 'The skin <image> is smooth.'],
  ['markup', 'The skin is smooth.<|im_end|>'],
  ['markup', '<think>The user asks about the skin. It is smooth.'],
  ['markup', '<answer>The skin is smooth.</answer>'],
];

const GOOD: readonly string[] = [
  'The skin appears smooth and even, without visible scars.',
  'Freckles cannot be made out at this resolution.',
  'Details of the pores are not visible, and the left cheek cannot be seen.',
  'The face is given a warm tone by the light from the left.',
  'Based on the visible texture, the skin looks young.',
  'The skin looks healthy; a mole stands out as described above.',
  'There are 20-29 freckles on the cheek.',
  'The description above rests on the even light.',
];

describe('unit: the gate', () => {
  for (const [expected, text] of BAD) {
    it(`${expected}: ${JSON.stringify(text)}`, () => assert.equal(reason(text), expected));
  }

  for (const text of GOOD) {
    it(`good: ${text}`, () => assert.equal(reason(text), undefined));
  }

  it('age and ethnicity may be named where they are asked for', () => {
    const text = 'She looks 20-29 years old and of Middle Eastern descent.';
    assert.equal(reason(text, DEMOGRAPHIC), undefined);
    assert.equal(reason(text, SKIN), 'label_leak');
  });

  it('the interface’s own signs count before the text', () => {
    const good = 'The skin is smooth.';
    const cases: [Partial<TeacherAnswer>, RejectionReason][] = [
      [{ finish: 'length' }, 'truncated'],
      [{ finish: 'filtered' }, 'refusal'],
      [{ refusal: 'No.' }, 'refusal'],
      [{ finish: 'length', text: '' }, 'empty'],
    ];
    for (const [signs, expected] of cases) {
      assert.equal(judge({ text: good, finish: 'stop', ...signs }, SKIN)?.reason, expected);
    }
  });

  it('the answer to a closed question is one of its texts and nothing else', () => {
    const age = new Plan(plan.images, PROMPT_SETS['attributes'] as PromptSet).request(1, 0);
    assert.equal(age.question.id, 'age');
    for (const text of ['20-29', '30-39', ' more than 70\n'])
      assert.equal(reason(text, age), undefined);
    for (const text of ['20-30', 'She looks 20-29 years old.', 'More than 70', 'Forty.']) {
      assert.match(reason(text, age) ?? '', /^(?:not_an_answer|empty)$/, text);
    }
    assert.equal(judge({ text: '20-29', finish: 'length' }, age)?.reason, 'empty');
    assert.equal(reason("I'm sorry, but I can't help with that.", age), 'refusal');
  });

  it('says what gave an answer away', () => {
    const found = judge({ text: 'Yes. I cannot assist with it.', finish: 'stop' }, SKIN);
    assert.deepEqual(found, { reason: 'refusal', detail: 'I cannot assist' });
  });
});
