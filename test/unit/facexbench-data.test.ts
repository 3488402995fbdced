/** Question files and their folder: the published traps, every fault listed, partial sets called so. */
import assert from 'node:assert/strict';
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { faceXBench } from '../../lib/evaluation/facexbench/benchmark.js';
import {
  CATEGORIES,
  differencesFromPublished,
  FILE_NAMES,
  KNOWN_CONTENT,
  type SetMember,
} from '../../lib/evaluation/facexbench/published-set.js';
import {
  PUBLISHED_SCORES,
  PUBLISHED_TASKS,
} from '../../lib/evaluation/facexbench/published-scores.js';
import { parseQuestionFile } from '../../lib/evaluation/facexbench/question-file.js';
import { FaceLlmError } from '../../lib/index.js';
import {
  makeFolder,
  QUESTIONS,
  readQuestionFile,
  temporaryFolder,
} from '../support/facexbench-folder.js';
import { skip } from '../support/skip.js';

const GENDER = 'fairface_single_mcq_gender_test.json';
/** The larger excerpts, where the checkout lies beside them. */
const EXCERPTS = join(import.meta.dirname, '..', '..', '..', 'shared', 'data', 'facexbench');

async function faultsOf(work: Promise<unknown>): Promise<FaceLlmError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof FaceLlmError, String(error));
    return error;
  }
  return assert.fail('expected an error');
}

function changed(
  change: (question: Record<string, unknown>, file: Record<string, unknown>) => void,
) {
  const file = structuredClone(readQuestionFile(QUESTIONS, GENDER)) as unknown as Record<
    string,
    unknown
  >;
  const questions = file['questions'] as Record<string, Record<string, unknown>>;
  change(questions['1'] ?? {}, file);
  return parseQuestionFile('f.json', JSON.stringify(file)).problems;
}

describe('FaceXBench question files', () => {
  it('the published traps are read: integers, ranges, hyphenated keys, black pictures, late keys', async () => {
    const benchmark = await faceXBench({ data: await makeFolder() });
    assert.equal(benchmark.items.length, 24);
    const item = (id: string) => benchmark.items.find((one) => one.id === id);
    assert.deepEqual(item('rafdb_multiple_mcq_train/2')?.choices, ['A', 'B', 'C', 'D']);
    assert.equal(item('rafdb_multiple_mcq_train/2')?.answer, 0);
    assert.equal(item('jhucrowd_single_mcq_range_val/3')?.answer, 3);
    assert.equal(item('celebdf_multiple_mcq/116')?.images.length, 3);
    assert.equal(item('tinyface_multiple_mcq/1')?.images.length, 5);
    const tools = item('tools_retrieval/1');
    assert.equal(tools?.images.length, 1, 'the black picture is shown, as the authors do');
    assert.deepEqual(tools?.tags, {
      category: 'tools_use',
      task: 'tools_retrieval',
      images: 'zero',
      dataset: 'gpt4o',
    });
    assert.ok(!benchmark.notes.some((note) => note.includes('disagree')), benchmark.notes.join());
    assert.equal(benchmark.sources?.filter(({ path }) => path.endsWith('.json')).length, 8);
  });

  it('an early version with two options has two labels', () => {
    const options = ['Yes', 'No'];
    assert.deepEqual(
      changed((question) => Object.assign(question, { options, answer: 'No' })),
      [],
    );
    const [fault] = changed((question) =>
      Object.assign(question, { options, correct_answer_option: 'D' }),
    );
    assert.match(
      fault ?? '',
      /question 1 correct_answer_option: expected one of A, B, received "D"/,
    );
  });

  it('every fault of a file is listed with its place', () => {
    const problems = changed((question, file) => {
      delete question['question_text'];
      question['image_paths'] = ['../secret.png'];
      question['correct_answer_option'] = 2;
      file['num_images'] = 'some';
      file['sub-category'] = '';
      (file['questions'] as Record<string, unknown>)['2'] = null;
    });
    assert.equal(problems.length, 6, problems.join('\n'));
    for (const place of ['num_images', 'sub-category', 'question 1 image_paths', 'question 2']) {
      assert.ok(
        problems.some((problem) => problem.includes(place)),
        place,
      );
    }
    for (const options of [[], ['one'], [1, null], 'AB', [1.5, 2]]) {
      const [fault] = changed((question) => Object.assign(question, { options }));
      assert.match(fault ?? '', /options: expected at least two texts or whole numbers/);
    }
    const [broken] = parseQuestionFile('f.json', '{"category": "x",\n]').problems;
    assert.match(broken ?? '', /f\.json: is not JSON at line 2, column 1/);
    assert.equal(parseQuestionFile('f.json', '[]').file, undefined);
  });

  it('an answer that contradicts its letter is noted, and the letter counts', async () => {
    const data = await makeFolder();
    const file = structuredClone(readQuestionFile(data, GENDER)) as unknown as {
      questions: Record<string, { answer: string }>;
    };
    Object.assign(file.questions['1'] ?? {}, { answer: 'Female' });
    writeFileSync(join(data, GENDER), JSON.stringify(file));
    const { notes, items } = await faceXBench({ data });
    assert.ok(
      notes.some(
        (note) => note.includes(`disagree, the letter counts`) && note.includes(`${GENDER} 1`),
      ),
    );
    assert.equal(items.find(({ id }) => id === 'fairface_single_mcq_gender_test/1')?.answer, 1);
  });
});

describe('FaceXBench folder', () => {
  it('is found as the repository or as its benchmark folder', async () => {
    const inner = await makeFolder();
    const outer = temporaryFolder();
    renameSync(inner, join(outer, 'benchmark'));
    const whole = await faceXBench({ data: outer });
    const direct = await faceXBench({ data: join(outer, 'benchmark') });
    assert.equal(whole.fingerprint, direct.fingerprint);
    const empty = await faultsOf(faceXBench({ data: temporaryFolder() }));
    assert.equal(empty.code, 'FACELLM_DATA_NOT_FOUND');
  });

  it('lists all absent pictures and faulty files at once, or leaves them out and says so', async () => {
    const data = await makeFolder();
    rmSync(join(data, 'images', 'tinyface_multiple_mcq'), { recursive: true });
    rmSync(join(data, 'images', 'wmca_single_mcq', 'question_2.png'));
    writeFileSync(join(data, 'biwi_single_mcq.json'), '{');
    const error = await faultsOf(faceXBench({ data }));
    assert.equal(error.code, 'FACELLM_DATA_INVALID');
    assert.equal(error.details.length, 5, error.details.join('\n'));
    assert.ok(error.details.some((detail) => detail.includes('question_1_5.png')));
    const partial = await faceXBench({ data, onInvalid: 'skip' });
    assert.equal(partial.items.length, 24 - 3 - 1 - 3);
    assert.equal(partial.isPartial, true);
    assert.ok(partial.notes.some((note) => note.includes('for lack of pictures: 4 questions')));
    assert.ok(partial.notes.some((note) => note.includes('biwi_single_mcq.json')));
  });

  it('its fingerprint follows every byte of questions and pictures, and nothing else', async () => {
    const data = await makeFolder();
    const before = await faceXBench({ data });
    assert.equal(
      (await faceXBench({ data, setting: 'in-context' })).fingerprint,
      before.fingerprint,
    );
    writeFileSync(join(data, 'images', 'wmca_single_mcq', 'question_1.png'), 'other');
    assert.notEqual((await faceXBench({ data })).fingerprint, before.fingerprint);
  });

  it('a limit takes the first questions of each file and makes the set partial', async () => {
    const { items, isPartial, notes } = await faceXBench({ data: await makeFolder(), limit: 2 });
    assert.equal(items.length, 16);
    assert.ok(isPartial && notes.some((note) => note.includes('limited to 16 of 24')));
  });

  it('the larger excerpts read without a fault, and the two complete files are known', async function () {
    if (!existsSync(EXCERPTS)) {
      skip(this, 'the larger excerpts of FaceXBench lie beside some checkouts only');
    }
    const { items, notes } = await faceXBench({ data: await makeFolder(EXCERPTS) });
    assert.equal(items.length, 294);
    assert.ok(!notes.some((note) => note.includes('is not the file of commit')), notes.join('\n'));
    assert.ok(!notes.some((note) => note.includes('disagree')), notes.join('\n'));
  });
});

describe('FaceXBench, the published set', () => {
  /** 48 files whose sums are those published. */
  function wholeSet(): SetMember[] {
    const left = new Map(Object.values(CATEGORIES).flatMap((tasks) => Object.entries(tasks)));
    const tasks = [...left.keys()];
    return FILE_NAMES.map((name, i) => {
      const task = tasks[i % tasks.length] ?? '';
      const isLast = i + tasks.length >= FILE_NAMES.length;
      const questions = isLast ? (left.get(task) ?? 0) : 10;
      left.set(task, (left.get(task) ?? 0) - questions);
      return {
        name,
        task,
        questionCount: questions,
        contentHash: KNOWN_CONTENT[name]?.sha256 ?? name,
      };
    });
  }

  it('has 48 different files and 5,000 questions', () => {
    assert.equal(new Set(FILE_NAMES).size, 48);
    const counts = Object.values(CATEGORIES).flatMap((tasks) => Object.values(tasks));
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      5000,
    );
    assert.deepEqual(differencesFromPublished(wholeSet()), []);
  });

  it('a file less, a file more, another version, a question less: each is named', () => {
    const whole = wholeSet();
    const [first] = whole;
    assert.ok(first);
    assert.match(
      differencesFromPublished(whole.slice(1)).join(),
      /1 of 48 files are absent: affectnet/,
    );
    assert.match(
      differencesFromPublished([...whole, { ...first, name: 'own.json', questionCount: 0 }]).join(),
      /not of the published set: own\.json/,
    );
    const other = whole.map((file) =>
      file.name === GENDER ? { ...file, contentHash: 'x' } : file,
    );
    assert.match(differencesFromPublished(other).join(), /is not the file of commit 4ebf1450/);
    const fewer = [{ ...first, questionCount: first.questionCount - 1 }, ...whole.slice(1)];
    assert.deepEqual(differencesFromPublished(fewer), ['task age: 499 of 500 questions']);
  });

  it('published figures agree with the counts that they come from', () => {
    // 1942, 2806 and 3025 of 4,998 are the authors' raw counts.
    const overall = (model: string) => PUBLISHED_SCORES.find((one) => one.model === model)?.overall;
    for (const [model, correct] of [
      ['FaceLLM-1B', 1942],
      ['FaceLLM-8B', 2806],
      ['FaceLLM-38B', 3025],
    ] as const) {
      assert.equal(overall(model), Number(((100 * correct) / 4998).toFixed(2)));
    }
    const tasks = Object.values(CATEGORIES).flatMap((own) => Object.keys(own));
    assert.deepEqual(Object.keys(PUBLISHED_TASKS).sort(), tasks.sort());
    // Each model's overall figure is its categories' mean, weighted by their questions.
    for (const { model, overall: stated, categories } of PUBLISHED_SCORES) {
      const weighted = Object.entries(CATEGORIES).map(([category, own]) => {
        const questions = Object.values(own).reduce((sum, count) => sum + count, 0);
        return ((categories[category] ?? NaN) * questions) / 5000;
      });
      const mean = weighted.reduce((sum, part) => sum + part, 0);
      assert.ok(Math.abs(mean - stated) < 0.1, `${model}: ${mean} and ${stated}`);
    }
  });
});
