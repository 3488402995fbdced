/**
 * Which answers may become training data. An answer that fails is asked for again and then set aside
 * with the reason. The rules look for what the answer says about itself and its sources; whether a
 * description is true cannot be told from here.
 */
import type { Attribute } from '../labels/vocabulary.js';
import type { TeacherAnswer, TeacherRequest } from '../teachers/exchange.js';
import { THINKING_TAG } from './thinking.js';

export type RejectionReason =
  'refusal' | 'empty' | 'truncated' | 'off_topic' | 'label_leak' | 'markup' | 'not_an_answer';

export interface Rejection {
  readonly reason: RejectionReason;
  /** The words that gave it away, or what else was wrong. */
  readonly detail: string;
}

/** Words may be joined by curly or straight apostrophes. */
const APOSTROPHE = "['\u2019]";

const REFUSALS: readonly RegExp[] = [
  new RegExp(
    `\\bI(?: am|${APOSTROPHE}m)? (?:sorry|afraid)\\b[^.]{0,80}\\b(?:can${APOSTROPHE}?t|cannot|unable|not able|won${APOSTROPHE}t)\\b`,
    'i',
  ),
  new RegExp(`^\\s*(?:I${APOSTROPHE}m|I am) sorry\\b`, 'i'),
  new RegExp(
    `\\bI(?: am|${APOSTROPHE}m) (?:unable|not able) to (?:analy[sz]e|assist|help|describe|identify|provide|comply|determine|process|see|view|answer|discuss|make)\\b`,
    'i',
  ),
  new RegExp(
    `\\bI (?:can${APOSTROPHE}?t|cannot|can not|won${APOSTROPHE}t) (?:analy[sz]e|assist|help|describe|identify|provide|comply|process|see|view|answer|discuss|fulfil|do that|make)`,
    'i',
  ),
  /\bas an AI(?: language)? (?:model|assistant)\b/i,
  /\b(?:against|violates?) (?:my|our|the) (?:guidelines|policy|policies)\b/i,
];

/** The answer speaks of the question or of how it came about instead of the picture. */
const SOURCE_NOUN =
  '(?:descriptions?|information|prompts?|details|context|instructions?|data|attributes|text)';
const OFF_TOPIC: readonly RegExp[] = [
  new RegExp(
    `\\b(?:based on|according to|given|from|per|in line with|consistent with|matching|matches) (?:the|your|this|that) (?:given|provided|supplied|stated|accompanying|above|known) ${SOURCE_NOUN}\\b`,
    'i',
  ),
  new RegExp(`\\b(?:based on|according to|per) your ${SOURCE_NOUN}\\b`, 'i'),
  new RegExp(
    `\\bas (?:you )?(?:stated|described|mentioned|provided|specified|given|noted) (?:in|by) (?:the|your) (?:prompt|question|description|request|user)\\b`,
    'i',
  ),
  new RegExp(`\\bbased on (?:the|a) description\\b`, 'i'),
  /\bplease (?:upload|provide|share|attach)\b/i,
  /\b(?:no|without an?) image (?:was|is|has been) (?:provided|attached|given|visible)\b/i,
];

/** The answer tells that labels were given. */
const LABEL_TALK: readonly RegExp[] = [
  /\b(?:it is|we|you|already|as) (?:already )?(?:known|know|knew) that (?:this|the|she|he|it)\b/i,
  new RegExp(
    `\\bthe (?:given|provided|stated|supplied|known) (?:labels?|age|gender|ethnicity|race|identity|metadata|annotations?)\\b`,
    'i',
  ),
  /\b(?:labell?ed|annotated|tagged) as\b/i,
  /\bground[- ]truth\b/i,
  /\b(?:labels?|metadata|annotations?) (?:says?|states?|indicates?|provided|given)\b/i,
  /\byou (?:said|told me|mentioned|provided|specified|stated)\b/i,
  /\bLatino_Hispanic\b/,
];

/** Text that would be read as a picture or as the end of a turn, and a model's thinking and wrappers of answers. */
const MARKUP: readonly RegExp[] = [
  /<(?:image|video|audio)>|<\|[a-z_]+\|>|<\/?(?:img|IMG_CONTEXT|answer|final|response)>/i,
  THINKING_TAG,
];

function firstMatch(patterns: readonly RegExp[], text: string): string | undefined {
  for (const pattern of patterns) {
    const match = pattern.exec(text);
    if (match !== null) return match[0];
  }
  return undefined;
}

/** A label in its raw form, in an answer to a question that is not about it. */
function rawLabel(text: string, { question, labels }: TeacherRequest): string | undefined {
  const isAbout = (attribute: Attribute): boolean => question.about.includes(attribute);
  const { age, race } = labels;
  if (age !== undefined && !isAbout('age')) {
    const range = /^(\d+)-(\d+)$/.exec(age);
    const forms = range
      ? new RegExp(
          `\\b${range[1]}\\s?[-\u2013\u2014]\\s?${range[2]}\\b(?=[- ]years?\\b|[- ]year-olds?\\b| years)`,
        )
      : /\bmore than 70 years\b/i;
    const match = forms.exec(text);
    if (match !== null) return match[0];
  }
  if (race !== undefined && !isAbout('race')) {
    const words = race.replace('_', '[ _/]');
    const match = new RegExp(`\\b${words} (?:ethnicity|race|descent)\\b`, 'i').exec(text);
    if (match !== null) return match[0];
  }
  return undefined;
}

/** Why the answer must not be used; undefined if it may. */
export function judge(answer: TeacherAnswer, request: TeacherRequest): Rejection | undefined {
  const text = answer.text.trim();
  const { refusal, finish } = answer;
  if (refusal !== undefined && refusal !== '') return { reason: 'refusal', detail: refusal };
  if (finish === 'filtered') return { reason: 'refusal', detail: 'withheld by a content filter' };
  const answers = request.question.answers && Object.values(request.question.answers);
  // Such a text needs no further judgement: "20-29" has no letter.
  if (finish !== 'length' && answers?.includes(text)) return undefined;
  if (!/\p{L}/u.test(text))
    return { reason: 'empty', detail: `no words: ${JSON.stringify(text.slice(0, 40))}` };
  const refused = firstMatch(REFUSALS, text);
  if (refused !== undefined) return { reason: 'refusal', detail: refused };
  if (finish === 'length') return { reason: 'truncated', detail: 'the token limit was reached' };
  const markup = firstMatch(MARKUP, text);
  if (markup !== undefined) return { reason: 'markup', detail: markup };
  const talk = firstMatch(LABEL_TALK, text);
  if (talk !== undefined) return { reason: 'label_leak', detail: talk };
  const stray = firstMatch(OFF_TOPIC, text);
  if (stray !== undefined) return { reason: 'off_topic', detail: stray };
  const leaked = rawLabel(text, request);
  if (leaked !== undefined) return { reason: 'label_leak', detail: leaked };
  if (answers === undefined) return undefined;
  return { reason: 'not_an_answer', detail: JSON.stringify(text.slice(0, 40)) };
}
