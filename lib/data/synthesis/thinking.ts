/**
 * What reasoning models write before their answer, where the server has no parser for it: it is paid for and it is
 * not the answer. A block that stands whole in front is cut off; anything else that looks like one is left in the
 * text, and the gate refuses it as `markup`.
 */

/** DeepSeek-R1, Qwen, GLM and R1-like models; Mistral; Kimi; Seed; and the words that prompts ask for. */
const NAME = '(?:seed:)?(?:think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis)';
const OPENING = `(?:<${NAME}(?:\\s[^<>]*)?>|\\[THINK\\]|◁think▷|<\\|(?:START_THINKING|begin_of_thought)\\|>)`;
const CLOSING = `(?:</${NAME}\\s*>|\\[/THINK\\]|◁/think▷|<\\|(?:END_THINKING|end_of_thought)\\|>)`;

/** Any tag of thinking, also one that HTML has escaped. */
export const THINKING_TAG: RegExp = new RegExp(
  `${OPENING}|${CLOSING}|<${NAME}\\s*/>|&lt;/?${NAME}&gt;`,
  'i',
);

export interface WithoutThinking {
  /** Without surrounding white space. */
  readonly text: string;
  /** Characters of thinking that were cut off; 0 if there was none. */
  readonly cut: number;
}

/** Where the block that opens the text ends; undefined if none opens it, or it does not end. */
function endOfFirstBlock(text: string): number | undefined {
  let depth = 0;
  for (const { 0: tag, index } of text.matchAll(
    new RegExp(`(?:${OPENING})|(?:${CLOSING})`, 'gi'),
  )) {
    const isOpening = new RegExp(`^${OPENING}$`, 'i').test(tag);
    if (depth === 0 && !(isOpening && index === 0)) return undefined;
    depth += isOpening ? 1 : -1;
    if (depth === 0) return index + tag.length;
  }
  return undefined;
}

/** Many chat templates open the block themselves: the reply then holds the closing tag alone. */
function endOfOpenedBlock(text: string): number | undefined {
  if (new RegExp(OPENING, 'i').test(text)) return undefined;
  const closings = [...text.matchAll(new RegExp(CLOSING, 'gi'))];
  const [only, ...others] = closings;
  return only === undefined || others.length > 0 ? undefined : only.index + only[0].length;
}

/** The answer alone. */
export function withoutThinking(written: string): WithoutThinking {
  const whole = written.trim();
  let text = whole;
  let end = endOfOpenedBlock(text);
  for (end ??= endOfFirstBlock(text); end !== undefined; end = endOfFirstBlock(text)) {
    text = text.slice(end).trimStart();
  }
  return { text, cut: whole.length - text.length };
}
