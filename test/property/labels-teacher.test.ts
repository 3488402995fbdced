/** The teacher without eyes: whatever the labels, its sentences are English, true to them, and the same again. */
import assert from 'node:assert/strict';

import fc from 'fast-check';

import {
  type Attribute,
  ATTRIBUTES,
  type FaceLabels,
  VOCABULARY,
} from '../../lib/data/labels/vocabulary.js';
import { judge } from '../../lib/data/synthesis/gate.js';
import { Plan } from '../../lib/data/synthesis/plan.js';
import { PROMPT_SETS } from '../../lib/data/prompts/load-prompt-set.js';
import type { PromptSet } from '../../lib/data/prompts/prompt-set.js';
import { labelsTeacher } from '../../lib/data/teachers/make-teacher.js';

const SETS = Object.values(PROMPT_SETS);
const NEVER = new AbortController().signal;

const labels: fc.Arbitrary<FaceLabels> = fc.record(
  Object.fromEntries(
    ATTRIBUTES.map((attribute) => [attribute, fc.constantFrom(...VOCABULARY[attribute])]),
  ) as Record<Attribute, fc.Arbitrary<string>>,
  { requiredKeys: [] },
);
const situation = fc.record({
  labels,
  set: fc.constantFrom(...SETS),
  question: fc.nat(7),
  file: fc.nat(1000),
  seed: fc.nat(3),
});
type Situation = typeof situation extends fc.Arbitrary<infer T> ? T : never;

async function ask({ labels, set, question, file, seed }: Situation): Promise<{
  readonly text: string;
  readonly about: readonly Attribute[];
  readonly answers: Readonly<Record<string, string>> | undefined;
  readonly isAsked: boolean;
  readonly isGood: boolean;
}> {
  const image = { file: `${file}.jpg`, path: `/${file}.jpg`, labels, line: 2 };
  const plan = new Plan([image], set);
  const pair = question % plan.size;
  const request = plan.request(pair, 0);
  const answer = await labelsTeacher({ seed }).answer(request, NEVER);
  const isAsked = plan.obstacle(pair) === undefined;
  const { about, answers } = request.question;
  const isGood = judge(answer, request) === undefined;
  return { text: answer.text, about, answers, isAsked, isGood };
}

/** Words by which an answer tells a label. */
const TELLTALE: { readonly [attribute in Attribute]: RegExp } = {
  gender: /\b(?:man|woman|boy|girl|male|female|he|she|his|her)\b/i,
  // A boy or a baby is a gender's word, as in the prompts; the bracket is the label.
  age: /\byears\b/i,
  race: /\bappears to be [A-Z]|\bbackground\b/,
  expression:
    /\bexpression (?:on|can)|\b(?:an?) (?:neutral|smiling|happy|sad|angry|surprised|fearful|disgusted)\b/,
  pose: /\bturned (?:to|up|down)\b/,
  eyewear: /glasses/,
};

describe('property: the labels teacher', () => {
  it('writes sentences that pass the gate', async () => {
    await fc.assert(
      fc.asyncProperty(situation, async (all) => {
        const { text, answers, isAsked, isGood } = await ask(all);
        if (!isAsked) return;
        assert.ok(isGood, text);
        if (answers !== undefined) return;
        assert.match(text, /^(?:[A-Z][^.]*\. ?)+$/, text);
        assert.ok(text.endsWith('.'), text);
        assert.doesNotMatch(text, /undefined| {2}|\ba [aeiou]|\ban [^aeiou]|_/i, text);
      }),
      { numRuns: 2000 },
    );
  });

  it('tells no label that is not known or not asked about', async () => {
    await fc.assert(
      fc.asyncProperty(situation, async (all) => {
        const { text, about, isAsked } = await ask(all);
        if (!isAsked) return;
        for (const attribute of ATTRIBUTES) {
          if (about.includes(attribute) && all.labels[attribute] !== undefined) continue;
          assert.doesNotMatch(text, TELLTALE[attribute], `${attribute}: ${text}`);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('answers a closed question by the text of its label alone, and is not asked without one', async () => {
    const closed = PROMPT_SETS['attributes'] as PromptSet;
    await fc.assert(
      fc.asyncProperty(situation, async (all) => {
        const { text, about, answers, isAsked } = await ask({ ...all, set: closed });
        const [attribute] = about;
        assert.ok(attribute);
        const label = all.labels[attribute] ?? '';
        assert.equal(isAsked, answers === undefined ? label !== '' : answers[label] !== undefined);
        if (isAsked && answers !== undefined) assert.equal(text, answers[label]);
      }),
      { numRuns: 1000 },
    );
  });

  it('tells the label that a short question wants, in words that never vary', async () => {
    const set = PROMPT_SETS['attributes'] as PromptSet;
    // One open question an attribute.
    const short: PromptSet = {
      ...set,
      questions: ATTRIBUTES.map((attribute) => ({
        ...{ id: attribute, topic: attribute, student: 'What?', teacher: '{known} What?' },
        ...{ about: [attribute], requires: [attribute] },
      })),
    };
    await fc.assert(
      fc.asyncProperty(situation, async (all) => {
        const { text, about, isAsked } = await ask({ ...all, set: short });
        const [attribute] = about;
        if (!isAsked || attribute === undefined) return;
        const label = all.labels[attribute] ?? '';
        const wanted = {
          gender: label === 'Male' ? /\b(?:man|boy)\b/ : /\b(?:woman|girl)\b/,
          age: new RegExp(label.replace('-', ' and ')),
          race: /./,
          expression: new RegExp(`\\b${label} expression\\b`),
          pose: label === 'frontal' ? /to the camera/ : new RegExp(`\\b${label}\\b`),
          eyewear: label === 'none' ? /not wearing glasses/ : new RegExp(`wearing ${label}`),
        }[attribute];
        assert.match(text, wanted);
      }),
      { numRuns: 1000 },
    );
  });

  it('is the same for the same picture and seed, and varies over pictures', async () => {
    const set = PROMPT_SETS['fairfacegpt'] as PromptSet;
    const all = {
      labels: { gender: 'Male', age: '30-39', race: 'Indian' },
      set,
      question: 0,
      seed: 0,
    };
    const texts = await Promise.all(
      Array.from({ length: 100 }, async (_, file) => (await ask({ ...all, file })).text),
    );
    const again = await Promise.all(
      Array.from({ length: 100 }, async (_, file) => (await ask({ ...all, file })).text),
    );
    assert.deepEqual(again, texts);
    assert.ok(new Set(texts).size > 40, String(new Set(texts).size));
    const other = await ask({ ...all, file: 0, seed: 1 });
    const others = await Promise.all([1, 2, 3].map((seed) => ask({ ...all, file: 0, seed })));
    assert.ok([other, ...others].some(({ text }) => text !== texts[0]));
  });
});
