/** Prompt sets, against sentences written out by hand. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ATTRIBUTES, VOCABULARY } from '../../lib/data/labels/vocabulary.js';
import {
  checkPromptSet,
  loadPromptSet,
  PROMPT_SETS,
  promptSetHash,
  selectQuestions,
} from '../../lib/data/prompts/load-prompt-set.js';
import { genderWord, teacherPrompt } from '../../lib/data/prompts/person.js';
import type { PromptSet } from '../../lib/data/prompts/prompt-set.js';
import {
  BUILT_IN_ATTRIBUTES,
  type BuiltInAttribute,
} from '../../lib/evaluation/labels/built-in.js';
import type { FaceLlmError } from '../../lib/errors.js';

const fairfacegpt = PROMPT_SETS['fairfacegpt'] as PromptSet;

function rejected(value: unknown): readonly string[] {
  try {
    checkPromptSet(value, 'test');
  } catch (error) {
    return (error as FaceLlmError).details;
  }
  return assert.fail('expected an error');
}

describe('unit: prompt sets', () => {
  it('the student is asked the eight questions of the paper', () => {
    const about = (attribute: string): string =>
      `Describe the ${attribute} of the image based on the visual information.`;
    assert.deepEqual(
      fairfacegpt.questions.map(({ student }) => student),
      [
        about('demographic attributes'),
        about('facial structure'),
        about('skin texture'),
        about('expression and emotion'),
        about('lighting and image quality'),
        about('face pose'),
        about('forensic considerations'),
        'Describe this image.',
      ],
    );
  });

  it('the teacher is told the labels, raw, and asked for one attribute', () => {
    const labels = { gender: 'Female', age: 'more than 70', race: 'Latino_Hispanic' };
    const [demographic] = fairfacegpt.questions;
    const detail = fairfacegpt.questions[7];
    assert.ok(demographic && detail);
    const known =
      'It is known that this is a face image of a woman with Latino_Hispanic ethnicity, more than 70 years old.';
    assert.equal(
      teacherPrompt(fairfacegpt, demographic, labels),
      `${known} Describe only the demographic attributes of the image, and argue your description of the demographic attributes from what can be seen. Do not mention that anything about the person was given to you.`,
    );
    assert.equal(teacherPrompt(fairfacegpt, detail, labels), `${known} Describe this image.`);
  });

  it('says what is known where labels are few', () => {
    const detail = fairfacegpt.questions[7];
    assert.ok(detail);
    const prompt = teacherPrompt(fairfacegpt, detail, { expression: 'angry', eyewear: 'none' });
    assert.match(prompt, /image of a person, with an angry expression, without glasses\. /);
  });

  it('boy and girl are for 3-9 alone', () => {
    for (const age of VOCABULARY.age) {
      const [male, female] = age === '3-9' ? ['boy', 'girl'] : ['man', 'woman'];
      assert.equal(genderWord({ gender: 'Male', age }), male);
      assert.equal(genderWord({ gender: 'Female', age }), female);
    }
    assert.equal(genderWord({ age: '3-9' }), 'person');
  });

  it('no question to a student holds a placeholder or gives a label away', () => {
    const words = ATTRIBUTES.flatMap((attribute) => VOCABULARY[attribute]);
    for (const { questions } of Object.values(PROMPT_SETS)) {
      for (const { student, requires, answers = {} } of questions) {
        assert.doesNotMatch(student, /[{}]/);
        // A closed question names all its answers. Without them, a question may name what it asks for, such as
        // glasses, and may not tell the answer.
        const rest = Object.values(answers).reduce((text, answer) => {
          assert.ok(student.includes(answer), `${student} lacks ${answer}`);
          return text.replaceAll(answer, '');
        }, student);
        const told = words.filter((word) => new RegExp(`\\b${word}\\b`).test(rest));
        assert.deepEqual(told, [], `${student} ${requires.join()}`);
      }
    }
  });

  it('training asks and answers in the words that evaluation scores by', () => {
    const { questions } = PROMPT_SETS['attributes'] as PromptSet;
    const closed = questions.filter(({ answers }) => answers !== undefined);
    assert.deepEqual(
      closed.map(({ id }) => id),
      Object.keys(BUILT_IN_ATTRIBUTES),
    );
    for (const { id, student, requires, answers = {} } of closed) {
      const { question, choices, ignoredLabels } = BUILT_IN_ATTRIBUTES[id as BuiltInAttribute];
      assert.equal(student, question);
      const [attribute] = requires;
      assert.ok(attribute);
      for (const label of VOCABULARY[attribute]) {
        const scored = choices.find(({ labels }) => labels.includes(label))?.text;
        assert.equal(answers[label], scored, `${id}: ${label}`);
        assert.equal(ignoredLabels?.includes(label) ?? false, scored === undefined, label);
      }
    }
  });

  it('takes some of a set, and says which it lacks', () => {
    const set = PROMPT_SETS['attributes'] as PromptSet;
    const some = selectQuestions(set, ['smile', 'gender', 'smile']);
    assert.deepEqual(
      some.questions.map(({ id }) => id),
      ['gender', 'smile'],
    );
    assert.notEqual(promptSetHash(some), promptSetHash(set));
    assert.throws(
      () => selectQuestions(set, ['gendre', 'gender', 'hats']),
      ({ details }: FaceLlmError) => {
        assert.equal(details[0], 'question gendre: did you mean gender?');
        assert.match(details[1] ?? '', /^question hats: /);
        return details.length === 2;
      },
    );
    assert.throws(() => selectQuestions(set, []), { code: 'FACELLM_INVALID_ARGUMENT' });
  });

  it('checks the answers of a closed question', () => {
    const [question] = (PROMPT_SETS['attributes'] as PromptSet).questions;
    const set = { ...fairfacegpt, name: 'own' };
    const wrong = (change: object): readonly string[] =>
      rejected({ ...set, questions: [{ ...question, ...change }] });
    assert.deepEqual(wrong({ requires: [] }), [
      'questions.0.requires: expected exactly one attribute beside answers, got 0',
    ]);
    assert.equal(wrong({ requires: ['gender', 'age'] }).length, 1);
    assert.deepEqual(wrong({ answers: { Male: 'yes', Femal: '<image>' } }), [
      "questions.0: <image> is put before the student's question; leave it out",
      'questions.0.answers.Femal: gender has no such label; did you mean Female?',
    ]);
    assert.deepEqual(wrong({ answers: { Male: 'yes', Female: 'yes' } }), [
      'questions.0.answers: expected two or more',
    ]);
  });

  it('the hash knows the content, not the order of keys', () => {
    const turned = Object.fromEntries(
      Object.entries(fairfacegpt).reverse(),
    ) as unknown as PromptSet;
    assert.equal(promptSetHash(turned), promptSetHash(fairfacegpt));
    const changed = { ...fairfacegpt, system: `${fairfacegpt.system} ` };
    assert.notEqual(promptSetHash(changed), promptSetHash(fairfacegpt));
    assert.match(promptSetHash(fairfacegpt), /^[0-9a-f]{64}$/);
  });

  it('is read from YAML and JSON files alike', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'facellm-prompts-'));
    try {
      const yaml = [
        'name: own',
        'version: "2"',
        'system: Look.',
        'known: This is {person}.',
        'questions:',
        '  - { id: hair, topic: hair, student: Describe the hair., teacher: "{known} Hair?", about: [age] }',
      ];
      writeFileSync(join(folder, 'own.yaml'), yaml.join('\n'));
      const set = await loadPromptSet(join(folder, 'own.yaml'));
      assert.deepEqual(set.questions[0]?.requires, []);
      writeFileSync(join(folder, 'own.json'), JSON.stringify(set));
      const again = await loadPromptSet(join(folder, 'own.json'));
      assert.equal(promptSetHash(again), promptSetHash(set));
      writeFileSync(join(folder, 'bad.yaml'), 'a: [');
      await assert.rejects(loadPromptSet(join(folder, 'bad.yaml')), /neither YAML nor JSON/);
      await assert.rejects(loadPromptSet('fairfacgpt'), /did you mean fairfacegpt\?/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('lists everything that is wrong with a set', () => {
    const question = { id: 'a', topic: 't', student: 's', teacher: 'q' };
    const set = { name: 'n', version: '1', system: 's', known: '{person}' };
    assert.deepEqual(
      rejected({
        ...set,
        questions: [
          question,
          { ...question, student: 'The {known}?', teacher: '{labels} <image>' },
        ],
      }),
      [
        'questions.1.id: a stands twice',
        'questions.1.student: {known} would show labels to the student',
        'questions.1.teacher: {labels} is unknown; use {known}',
        "questions.1: <image> is put before the student's question; leave it out",
      ],
    );
    assert.equal(rejected({ ...set, known: 'x', questions: [], extra: 1 }).length, 3);
    assert.equal(rejected({ ...set, questions: [{ ...question, about: ['hair'] }] }).length, 1);
    assert.equal(rejected('text').length, 1);
  });
});
