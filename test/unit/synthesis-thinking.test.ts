/** Thinking in front of an answer: cut off where it stands whole, left for the gate where it does not. */
import assert from 'node:assert/strict';

import { THINKING_TAG, withoutThinking } from '../../lib/data/synthesis/thinking.js';

const ANSWER = 'Short brown hair.';

const CUT: readonly string[] = [
  `<think>The user wants the hair.</think>\n${ANSWER}`,
  `\n<think>\nTwo lines,\nand more.\n</think>\n\n${ANSWER}\n`,
  `<thinking>Hair.</thinking>${ANSWER}`,
  `<THINKING>Hair.</Thinking> ${ANSWER}`,
  `<reasoning>Hair.</reasoning>${ANSWER}`,
  `<thought>Hair.</thought>${ANSWER}`,
  `<think time="3">Hair.</think>${ANSWER}`,
  `<seed:think>Hair.</seed:think>${ANSWER}`,
  `[THINK]Hair.[/THINK]${ANSWER}`,
  `◁think▷Hair.◁/think▷${ANSWER}`,
  `<|START_THINKING|>Hair.<|END_THINKING|>${ANSWER}`,
  `<think></think>\n${ANSWER}`,
  `<think>One.</think><think>Two.</think>${ANSWER}`,
  `<think>One <think>within</think> another.</think>${ANSWER}`,
  // The chat template has written the opening tag.
  `The user wants the hair.\n</think>\n\n${ANSWER}`,
];

const LEFT: readonly string[] = [
  `<think>The user wants ${ANSWER}`,
  `${ANSWER} <think>Was that right?</think>`,
  `<think>One.</think>${ANSWER}<think>Two.</think>`,
  `Thus.</think>${ANSWER}</think>`,
  `<think>An unclosed <think>one.</think>${ANSWER}`,
  `&lt;think&gt;Hair.&lt;/think&gt;${ANSWER}`,
];

describe('unit: thinking before an answer', () => {
  for (const text of CUT) {
    it(`is cut off: ${JSON.stringify(text)}`, () => {
      const { text: left, cut } = withoutThinking(text);
      assert.equal(left, ANSWER);
      assert.equal(cut, text.trim().length - ANSWER.length);
    });
  }

  for (const text of LEFT) {
    it(`is left for the gate: ${JSON.stringify(text)}`, () => {
      assert.match(withoutThinking(text).text, THINKING_TAG);
    });
  }

  it('is told from other words', () => {
    for (const text of [
      ANSWER,
      'I think <b>so</b>.',
      'A <thinker> statue.',
      'Age < 20, reasoning > 3',
    ]) {
      assert.deepEqual(withoutThinking(text), { text, cut: 0 });
      assert.doesNotMatch(text, THINKING_TAG);
    }
  });

  it('takes linear time over hostile tags', () => {
    const text = '<think>'.repeat(50_000);
    assert.equal(withoutThinking(text).cut, 0);
    assert.equal(withoutThinking(`${text}${'</think>'.repeat(50_000)}${ANSWER}`).text, ANSWER);
  });
});
