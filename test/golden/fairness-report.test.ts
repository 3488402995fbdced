/**
 * The fairness report of a small example: figures by hand, files equal to those of test/fixtures/fairness, HTML that
 * is whole and safe. After an intended change of the report, FACELLM_WRITE_FIXTURES=1 writes the fixtures anew; look
 * at their difference.
 */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { attributesBenchmark } from '../../lib/evaluation/attributes/benchmark.js';
import type { BenchmarkSummary } from '../../lib/evaluation/types.js';
import { BASE_NAME, exampleRuns, fairnessExample } from '../support/fairness-example.js';
import { errorOf, TestFolder } from '../unit/checkpoint-folder.js';

const FIXTURES = fileURLToPath(new URL('../fixtures/fairness', import.meta.url));

interface Json {
  attributes: {
    name: string;
    scores: {
      model: string;
      reading: string;
      overall: Record<string, { value: number; low?: number; high?: number }>;
      confusion: { counts: number[][]; unread: number[] };
      groupings: {
        by: string[];
        unknown: number;
        groups: { name: string; isSmall: boolean; figures: { accuracy: { value: number } } }[];
        gaps: Record<string, { gap: number; highest: string; lowest: string }>;
      }[];
    }[];
    comparisons: { reading: string; onlyFirst: number; onlySecond: number; pValue: number }[];
  }[];
}

describe('fairness report', () => {
  let folder: TestFolder;
  let output: string;
  let summary: BenchmarkSummary;
  let json: Json;
  before(async () => {
    folder = await TestFolder.create();
    const benchmark = await fairnessExample(folder);
    output = folder.at('report');
    await mkdir(output);
    summary = await benchmark.report(exampleRuns(benchmark), output);
    json = JSON.parse(await readFile(join(output, 'fairness.json'), 'utf8')) as Json;
  });
  after(async () => {
    await folder.remove();
  });

  function scoreOf(attribute: string, model: string, reading: string) {
    const scores = json.attributes.find(({ name }) => name === attribute)?.scores ?? [];
    const score = scores.find((one) => one.model === model && one.reading === reading);
    assert.ok(score !== undefined);
    return score;
  }

  it('counts as one does by hand', () => {
    const [base, tuned] = summary.models.map(({ figures }) => figures);
    // Of six men the base model gets four, of six women three.
    assert.equal(base?.['gender.accuracy.probability'], 7 / 12);
    assert.equal(base?.['gender.balancedAccuracy.probability'], (4 / 6 + 3 / 6) / 2);
    // F1 2·4/(6 + 7) and 2·3/(6 + 5).
    assert.equal(base?.['gender.macroF1.probability'], (8 / 13 + 6 / 11) / 2);
    assert.ok(Math.abs((base?.['gender.ece.probability'] ?? 0) - (0.65 - 7 / 12)) < 1e-12);
    assert.equal(tuned?.['gender.accuracy.probability'], 10 / 12);
    // From text one answer of the base model less, a right one, is read.
    assert.equal(base?.['gender.accuracy.text'], 6 / 12);
    assert.equal(base?.['gender.unread.text'], 1);
    // Ages: right 0, 2, 3, 4, 6, 8 (3-9 for 3-9), 9, 11; one off 1, 5, 10? 10-19 for 30-39 is two off.
    assert.equal(base?.['age.accuracy.probability'], 8 / 12);
    assert.equal(base?.['age.withinOneBin.probability'], 9 / 12);
    // Tuned: all but pictures 5 and 11 (one off each).
    assert.equal(tuned?.['age.accuracy.probability'], 11 / 12);
    assert.equal(tuned?.['age.withinOneBin.probability'], 1);
  });

  it('groups pictures, marks small groups, and tells the largest gap of the others', () => {
    const { groupings } = scoreOf('gender', BASE_NAME, 'probability');
    assert.deepEqual(groupings.map(({ by }) => by.join()), ['race', 'gender', 'race,gender']); // prettier-ignore
    const [race] = groupings;
    assert.deepEqual(
      race?.groups.map(({ name, isSmall, figures }) => [name, isSmall, figures.accuracy.value]),
      [
        ['White', false, 0.833333],
        ['Black', false, 0],
        ['Latino_Hispanic', true, 1],
      ],
    );
    assert.equal(race?.unknown, 1);
    assert.deepEqual(race?.gaps['accuracy'], { gap: 0.833333, highest: 'White', lowest: 'Black' });
    const crossed = groupings[2]?.groups.map(({ name }) => name);
    assert.deepEqual(crossed?.slice(0, 3), ['White · Male', 'White · Female', 'Black · Male']);
  });

  it('sorts groups as the attribute sorts its choices', async () => {
    const benchmark = await fairnessExample(folder, ['age']);
    const at = folder.at('ages');
    await mkdir(at);
    await benchmark.report(exampleRuns(benchmark), at);
    const ages = JSON.parse(await readFile(join(at, 'fairness.json'), 'utf8')) as Json;
    assert.deepEqual(
      ages.attributes[0]?.scores[0]?.groupings[0]?.groups.map(({ name }) => name),
      ['3-9', '20-29', '30-39', '40-49', '50-59', '60-69', 'more than 70'],
    );
  });

  it('draws of very many groups the worst served, and says so', async () => {
    const towns = Array.from({ length: 52 }, (_, i) => `T${i}`);
    const rows = towns.flatMap((town) => [0, 1].map((k) => `${town}-${k}.jpg,Male,${town}`));
    const many = await TestFolder.create();
    await many.write('labels.csv', `file,gender,town\n${rows.join('\n')}\n`);
    for (const row of rows) await many.write(row.split(',')[0] ?? '', row);
    const benchmark = await attributesBenchmark({
      data: many.path,
      attributes: ['gender'],
      groups: ['town'],
      readings: ['probability'],
      smallGroup: 2,
    });
    const outcomes = benchmark.items.map(({ id }, i) => ({
      id,
      promptHash: '',
      // One of two pictures of the last three towns is taken wrong.
      probabilities: i % 2 === 0 && i >= 98 ? [0.4, 0.6] : [0.6, 0.4],
      ...{ promptTokens: 1, imageTokens: 1, generatedTokens: 0, milliseconds: 1 },
    }));
    await benchmark.report([{ name: 'one', outcomes }], many.path);
    const markdown = await readFile(many.at('fairness.md'), 'utf8');
    assert.ok(markdown.includes('Of 52 groups the 40 in which a model is least accurate'));
    const svg = await readFile(many.at('fairness-plots/gender-by-town.svg'), 'utf8');
    assert.equal([...svg.matchAll(/>T\d+ \(n=2\)</g)].length, 40);
    for (const name of ['T49', 'T50', 'T51']) assert.ok(svg.includes(`>${name} (n=2)<`), name);
    await many.remove();
  });

  it('compares the models on the same pictures', () => {
    const comparisons = json.attributes[0]?.comparisons ?? [];
    const probability = comparisons.find(({ reading }) => reading === 'probability');
    // Exact: 2 · (1/2)^3.
    assert.deepEqual(
      [probability?.onlyFirst, probability?.onlySecond, probability?.pValue],
      [0, 3, 0.25],
    );
  });

  for (const name of ['fairness.md', 'fairness.csv', 'fairness.json']) {
    it(`${name} is as it was`, async () => {
      const written = await readFile(join(output, name), 'utf8');
      const path = join(FIXTURES, name);
      if (process.env['FACELLM_WRITE_FIXTURES'] === '1') {
        await mkdir(FIXTURES, { recursive: true });
        await writeFile(path, written);
      }
      assert.equal(written, await readFile(path, 'utf8'));
    });
  }

  it('writes the same bytes again, whatever was drawn before', async () => {
    const again = folder.at('again');
    await mkdir(again);
    const benchmark = await fairnessExample(folder);
    const { files } = await benchmark.report(exampleRuns(benchmark), again);
    assert.deepEqual(files, summary.files);
    for (const file of files) {
      const [first, second] = await Promise.all([output, again].map((at) => readFile(join(at, file))));
      assert.deepEqual(second, first, file);
    }
  });

  it('HTML needs nothing else, and no text of the user is markup', async () => {
    const html = await readFile(join(output, 'fairness.html'), 'utf8');
    assert.ok(!/<script|<i>|javascript:|<link|<img|@import/i.test(html));
    assert.ok(!/(?:src|href)="(?!#)/.test(html.replaceAll(/xmlns(?::\w+)?="[^"]*"/g, '')));
    assert.ok(html.includes('&lt;script&gt;alert(&quot;no&quot;)&lt;/script&gt;'));
    assert.ok(html.includes('base &lt;i&gt;|&quot;1&quot;&amp;'));
    const plots = html.match(/<svg role="img" aria-label="[^"]+"/g) ?? [];
    assert.equal(plots.length, summary.files.filter((file) => file.endsWith('.svg')).length);
    const ids = [...html.matchAll(/\bid="([^"]+)"/g)].map(([, id]) => id);
    assert.equal(new Set(ids).size, ids.length);
    for (const [, id] of html.matchAll(/url\(#([^)]+)\)/g)) assert.ok(ids.includes(id), id);
    assert.ok(!/NaN|undefined|Infinity/.test(html));
    // Every element that is opened is closed.
    for (const tag of ['table', 'tr', 'td', 'th', 'figure', 'svg', 'details', 'p', 'ul', 'li', 'g']) {
      const opened = html.match(new RegExp(`<${tag}(?=[\\s>])(?![^>]*/>)`, 'g'))?.length ?? 0;
      assert.equal(opened, html.match(new RegExp(`</${tag}>`, 'g'))?.length ?? 0, tag);
    }
  });

  it('Markdown keeps what users wrote from being markup', async () => {
    const markdown = await readFile(join(output, 'fairness.md'), 'utf8');
    assert.ok(!/<script|<i>/.test(markdown));
    // Each row of a table has as many cells as its header.
    const tables = markdown.split('\n\n').filter((block) => block.startsWith('|'));
    for (const table of tables) {
      const widths = table.split('\n').map((line) => line.match(/(?<!\\)\|/g)?.length);
      assert.equal(new Set(widths).size, 1, table);
    }
    assert.ok(tables.length > 5);
  });

  it('refuses runs that do not answer the items, listing all that is wrong', async () => {
    const benchmark = await fairnessExample(folder);
    const [base, tuned] = exampleRuns(benchmark);
    const swapped = { ...tuned, outcomes: [...tuned.outcomes].reverse() };
    const error = await errorOf(benchmark.report([base, swapped], output));
    assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
    assert.equal(error.details.length, 24);
    assert.equal(error.details[0], 'run tuned: expected the outcome of p0.jpg#gender, got that of p11.jpg#age');
    const short = { ...tuned, outcomes: tuned.outcomes.slice(1, 2) };
    assert.ok((await errorOf(benchmark.report([short, short], output))).details.includes('two runs are named tuned'));
    const wrong = { ...tuned, outcomes: tuned.outcomes.map((one) => ({ ...one, probabilities: [1.5] })) };
    assert.match((await errorOf(benchmark.report([wrong], output))).details[0] ?? '', /expected 2 probabilities, got \[1\.5\]/);
    assert.equal((await errorOf(benchmark.report([], output))).code, 'FACELLM_INVALID_ARGUMENT');
  });

  it('answers that are absent are wrong, not dropped', async () => {
    const benchmark = await fairnessExample(folder);
    const [base] = exampleRuns(benchmark);
    const outcomes = base.outcomes.map(({ text, probabilities, ...rest }, i) =>
      i === 0 || text === undefined || probabilities === undefined
        ? rest
        : { ...rest, text, probabilities },
    );
    const result = await benchmark.report([{ name: 'one', outcomes }], folder.at('again'));
    const figures = result.models[0]?.figures ?? {};
    assert.equal(figures['gender.accuracy.probability'], 6 / 12);
    assert.equal(figures['gender.unread.probability'], 1);
  });
});
