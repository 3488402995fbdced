/** Prompts against strings put together by hand from the shipped question files. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { buildPrompt, type FaceXSetting } from '../../lib/evaluation/facexbench/prompt.js';
import { parseQuestionFile } from '../../lib/evaluation/facexbench/question-file.js';
import { QUESTIONS } from '../support/facexbench-folder.js';

const LETTER =
  'Please answer the question and provide only the correct option letter, e.g., A, B, C, D.\n';

function prompt(name: string, key: string, setting: FaceXSetting, edit = (s: string) => s): string {
  const json = edit(readFileSync(join(QUESTIONS, `${name}.json`), 'utf8'));
  const { file, problems } = parseQuestionFile(`${name}.json`, json);
  assert.deepEqual(problems, []);
  const question = file?.questions.find((one) => one.key === key);
  assert.ok(file !== undefined && question !== undefined);
  return buildPrompt(file, question, setting);
}

describe('FaceXBench prompts', () => {
  it('zero-shot: question, request for a letter, options, each with its newline', () => {
    assert.equal(
      prompt('fairface_single_mcq_gender_test', '1', 'zero-shot'),
      'Which gender category best describes the person in this image?\n' +
        `${LETTER}(A) Both\n(B) Male\n(C) Female\n(D) None of the above\n`,
    );
    assert.equal(
      prompt('celebdf_multiple_mcq', '116', 'zero-shot'),
      `How many images are real?\n${LETTER}(A) 0\n(B) 2\n(C) 3\n(D) 1\n`,
    );
    assert.equal(
      prompt('jhucrowd_single_mcq_range_val', '2', 'zero-shot'),
      'What is the number of individuals shown in this image?\n' +
        `${LETTER}(A) 38 to 42\n(B) 48 to 52\n(C) 33 to 37\n(D) 43 to 47\n`,
    );
  });

  it('integer options are written as integers', () => {
    assert.equal(
      prompt('rafdb_multiple_mcq_train', '2', 'zero-shot'),
      "How many images have a person with the expression 'Sad'?\n" +
        `${LETTER}(A) 1\n(B) 3\n(C) 0\n(D) 2\n`,
    );
  });

  it('in-context: the description of the task comes first', () => {
    assert.equal(
      prompt('wmca_single_mcq', '1', 'in-context'),
      'Face anti-spoofing involves detecting whether a presented face is real or a spoof attempt using ' +
        "methods like photos, videos, or masks. Common attack types include 'Glasses,' 'Print,' 'Replay,' " +
        "'Fake Head,' 'Rigid Mask,' 'Flexible Mask,' 'Wig,' and 'Paper Mask.' You have to perform the task of " +
        'face anti-spoofing.\n' +
        `Is this image depicting a spoof attack?\n${LETTER}` +
        '(A) Not Sure\n(B) No\n(C) Cannot Determine\n(D) Yes\n',
    );
  });

  it('tools: the list of tools comes before everything else, in both settings', () => {
    const { context } = JSON.parse(
      readFileSync(join(QUESTIONS, 'tools_retrieval.json'), 'utf8'),
    ) as { readonly context: string };
    assert.ok(context.startsWith('Ignore the black image provided.\n1. Age Estimation:'));
    const end =
      'A high-security system verifies identity, checks for spoofing and deepfake content, and estimates ' +
      'both age and gender of the individual, along with detecting expressions. Verification is skipped if ' +
      'identity is manually confirmed, but spoof detection is mandatory. Which sequence of API function calls ' +
      `would accomplish this?\n${LETTER}` +
      '(A) api_4-detect_spoofing, api_1-predict_age, api_2-classify_gender, api_10-track_expression_over_time\n' +
      '(B) api_7-identify_high_res_face, api_5-detect_deepfake, api_4-detect_spoofing, api_1-predict_age, ' +
      'api_2-classify_gender, api_10-track_expression_over_time\n' +
      '(C) api_7-identify_high_res_face, api_5-detect_deepfake, api_1-age_confidence_score, ' +
      'api_4-spoof_confidence_score, api_2-get_gender_probabilities\n' +
      '(D) api_7-identify_high_res_face, api_4-detect_spoofing, api_5-detect_deepfake, api_1-predict_age, ' +
      'api_2-classify_gender, api_10-detect_expression\n';
    assert.equal(prompt('tools_retrieval', '1', 'zero-shot'), `${context}\n${end}`);
    const task =
      'This task involves selecting the correct sequence of API function calls from a set of multiple-choice ' +
      'options based on a given question. Each question describes a specific use case scenario that demands a ' +
      'tailored sequence of API functions to achieve desired results, such as identity verification, emotion ' +
      'detection, or demographic analysis.\n';
    assert.equal(prompt('tools_retrieval', '1', 'in-context'), `${context}\n${task}${end}`);
  });

  it('a context outside the tools is left out, absent texts leave no empty line', () => {
    const edit = (json: string): string =>
      json
        .replace(/"prepend_text": ".*",\n/, '"context": "Not for you.",\n')
        .replace(/"postpend_text": ".*",\n/, '');
    assert.equal(
      prompt('fairface_single_mcq_gender_test', '1', 'in-context', edit),
      'Which gender category best describes the person in this image?\n' +
        '(A) Both\n(B) Male\n(C) Female\n(D) None of the above\n',
    );
  });

  it('a fifth option has no label and stays out, as in the authors’ script', () => {
    const edit = (json: string): string =>
      json.replace('"None of the above"', '"None of the above", "Fifth"');
    const text = prompt('fairface_single_mcq_gender_test', '1', 'zero-shot', edit);
    assert.ok(text.endsWith('(D) None of the above\n'), text);
  });
});
