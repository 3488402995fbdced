/** pairsBenchmark: lists in both forms, pairs drawn from people, and what its report counts. */
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';

import fc from 'fast-check';

import { drawPairs } from '../../lib/evaluation/pairs/draw-pairs.js';
import { pairsBenchmark } from '../../lib/evaluation/pairs/benchmark.js';
import type { Benchmark, ItemOutcome } from '../../lib/evaluation/types.js';
import { errorOf, TestFolder } from './checkpoint-folder.js';

const COUNTS = { promptTokens: 1, imageTokens: 1, generatedTokens: 1, milliseconds: 1 };

function outcome(id: string, answers: Partial<ItemOutcome>): ItemOutcome {
  return { id, promptHash: '', ...COUNTS, ...answers };
}

function labelsOf(benchmark: Benchmark): string[] {
  return benchmark.items.map(({ id, choices, answer }) => `${id} ${choices[answer]}`);
}

describe('pairsBenchmark', () => {
  let folder: TestFolder;
  beforeEach(async () => {
    folder = await TestFolder.create();
  });
  afterEach(async () => {
    await folder.remove();
  });

  async function writePictures(...names: string[]): Promise<void> {
    for (const name of names) await folder.write(name, `picture ${name}`);
  }

  it("reads LFW's pairs.txt", async () => {
    await folder.write('pairs.txt', '1\t1\nAnn_Lee\t1\t12\nAnn_Lee\t1\tBo\t2\n');
    await writePictures('Ann_Lee/Ann_Lee_0001.jpg', 'Ann_Lee/Ann_Lee_0012.jpg', 'Bo/Bo_0002.jpg');
    const benchmark = await pairsBenchmark({ data: folder.path });
    assert.deepEqual(labelsOf(benchmark), [
      'Ann_Lee/Ann_Lee_0001.jpg|Ann_Lee/Ann_Lee_0012.jpg Yes',
      'Ann_Lee/Ann_Lee_0001.jpg|Bo/Bo_0002.jpg No',
    ]);
    assert.deepEqual(benchmark.items[0]?.images, [
      folder.at('Ann_Lee/Ann_Lee_0001.jpg'),
      folder.at('Ann_Lee/Ann_Lee_0012.jpg'),
    ]);
    assert.deepEqual(benchmark.readings, ['probability']);
  });

  it('tells of every fault in pairs.txt, a short file included', async () => {
    await folder.write('pairs.txt', '2 2\nAnn 1 2\nAnn 2\nAnn 1 x\nAnn 2 1\nAnn 1 Bo 1\nAnn 1 1\n');
    await writePictures('Ann/Ann_0001.jpg', 'Ann/Ann_0002.jpg');
    const error = await errorOf(pairsBenchmark({ data: folder.path }));
    assert.equal(error.code, 'FACELLM_DATA_INVALID');
    assert.deepEqual(error.details, [
      'line 1: the first line promises 8 pairs, found 6',
      'line 3: expected "name n m" or "name n other m", received "Ann 2"',
      'line 4: expected "name n m" or "name n other m", received "Ann 1 x"',
      'line 5: the pair Ann/Ann_0002.jpg, Ann/Ann_0001.jpg already stands in line 2',
      `line 6: picture ${folder.at('Bo/Bo_0001.jpg')} does not exist`,
      'line 7: Ann/Ann_0001.jpg is paired with itself',
    ]);
  });

  it('reads a CSV of pairs, under other column names too, with groups from labels', async () => {
    await folder.write('my.csv', 'left,right,match\na.jpg,b.jpg,1\na.jpg,c.jpg,different\n');
    await folder.write(
      'labels.csv',
      'file,gender,race\na.jpg,Female,White\nb.jpg,Female,Black\nc.jpg,Male,\n',
    );
    await writePictures('a.jpg', 'b.jpg', 'c.jpg');
    const benchmark = await pairsBenchmark({
      data: folder.path,
      pairs: folder.at('my.csv'),
      labels: folder.at('labels.csv'),
      columns: { path_a: 'left', path_b: 'right', same: 'match' },
      question: 'Same?',
      answers: ['same', 'different'],
    });
    assert.deepEqual(labelsOf(benchmark), ['a.jpg|b.jpg same', 'a.jpg|c.jpg different']);
    assert.deepEqual(
      benchmark.items.map(({ tags }) => tags),
      [{ pair: 'genuine', gender: 'Female' }, { pair: 'impostor' }],
    );
    assert.equal(benchmark.items[0]?.prompt, 'Same?');
  });

  it('lists wrong verdicts and paths of a CSV, or leaves them out', async () => {
    await folder.write(
      'pairs.csv',
      'path_a,path_b,same\na.jpg,b.jpg,1\na.jpg,c.jpg,maybe\n/a.jpg,c.jpg,0\nb.jpg,c.jpg,no\n',
    );
    await writePictures('a.jpg', 'b.jpg', 'c.jpg');
    const error = await errorOf(pairsBenchmark({ data: folder.path }));
    assert.match(error.details[0] ?? '', /^line 3: same: expected 1, true, .*received "maybe"/);
    assert.match(error.details[1] ?? '', /^line 4: expected two paths inside/);
    const skipped = await pairsBenchmark({ data: folder.path, onInvalid: 'skip' });
    assert.deepEqual(labelsOf(skipped), ['a.jpg|b.jpg Yes', 'b.jpg|c.jpg No']);
    assert.equal(skipped.isPartial, true);
  });

  it('draws pairs of people, the same with the same seed', async () => {
    const people = ['a', 'b', 'c', 'd'];
    const rows = people.flatMap((name) => [1, 2, 3].map((i) => `${name}${i}.jpg,${name}`));
    await folder.write('labels.csv', `file,identity\n${rows.join('\n')}\nx.jpg,\n`);
    await writePictures(...rows.map((row) => row.split(',')[0] ?? ''), 'x.jpg');
    const options = { data: folder.path, genuine: 5, impostor: 20 };
    const one = await pairsBenchmark({ ...options, seed: 1 });
    assert.equal(one.items.length, 25);
    assert.equal(one.items.filter(({ answer }) => answer === 0).length, 5);
    for (const { id, answer } of one.items) {
      const [first = '', second = ''] = id.split('|');
      assert.equal(first[0] === second[0], answer === 0, id);
    }
    assert.deepEqual(one.notes, [
      '5 pair(s) of one person and 20 of two drawn from 12 pictures with seed 1',
      '1 picture(s) of people not known were not used',
    ]);
    const again = await pairsBenchmark({ ...options, seed: 1 });
    assert.deepEqual(labelsOf(again), labelsOf(one));
    assert.equal(again.fingerprint, one.fingerprint);
    assert.notEqual((await pairsBenchmark({ ...options, seed: 2 })).fingerprint, one.fingerprint);
    assert.deepEqual(one.sources?.slice(0, 2).map(({ path }) => path), ['labels.csv', 'a1.jpg']); // prettier-ignore
  });

  it('refuses one-sided pairs, and labels without people', async () => {
    await folder.write('labels.csv', 'file,who\na.jpg,a\n');
    await folder.write('one.csv', 'path_a,path_b,same\na.jpg,b.jpg,1\n');
    await folder.write('columns.csv', 'path_a,pathb,sme\na.jpg,b.jpg,1\n');
    await folder.write('empty.txt', '\n');
    await writePictures('a.jpg', 'b.jpg');
    const data = folder.path;
    const cases: readonly (readonly [object, string, RegExp])[] = [
      [{}, 'FACELLM_DATA_INVALID', /no column identity/],
      [{ columns: { identity: 'who' } }, 'FACELLM_DATA_INVALID', /got 0 and 0/],
      [{ pairs: folder.at('one.csv') }, 'FACELLM_DATA_INVALID', /got 1 and 0/],
      [
        { pairs: folder.at('columns.csv') },
        'FACELLM_DATA_INVALID',
        /no column path_b.*no column same .*did you mean sme/s,
      ],
      [{ pairs: folder.at('empty.txt') }, 'FACELLM_DATA_INVALID', /holds no pairs/],
      [{ pairs: folder.at('absent.txt') }, 'FACELLM_DATA_NOT_FOUND', /absent/],
    ];
    for (const [options, code, text] of cases) {
      const error = await errorOf(pairsBenchmark({ data, ...options }));
      assert.equal(error.code, code, JSON.stringify(options));
      assert.match([error.message, ...error.details].join('\n'), text);
    }
  });

  it('reports error rates of two models, by hand', async () => {
    // Four genuine pairs and five impostor pairs.
    const names = ['a', 'b', 'c', 'd'];
    const genuine = names.map((name) => `${name}1.jpg,${name}2.jpg,1`);
    const impostor = ['a1,b1', 'a1,c1', 'a1,d1', 'b1,c1', 'b1,d1'].map(
      (pair) => `${pair.replace(',', '.jpg,')}.jpg,0`,
    );
    await folder.write(
      'pairs.csv',
      `path_a,path_b,same\n${[...genuine, ...impostor].join('\n')}\n`,
    );
    await writePictures(...names.flatMap((name) => [`${name}1.jpg`, `${name}2.jpg`]));
    const benchmark = await pairsBenchmark({
      data: folder.path,
      readings: ['probability', 'text'],
    });
    const run = (
      name: string,
      scores: readonly (number | undefined)[],
      texts: readonly string[],
    ) => ({
      name,
      outcomes: benchmark.items.map(({ id }, i) => {
        const score = scores[i];
        if (score === undefined) return outcome(id, {});
        return outcome(id, { probabilities: [score, 1 - score], text: texts[i] ?? 'No.' });
      }),
    });
    const output = folder.at('report');
    await mkdir(output);
    const summary = await benchmark.report(
      [
        run(
          '<base>',
          [0.9, 0.8, 0.3, undefined, 0.7, 0.2, 0.2, 0.1, 0.1],
          ['Yes', 'Yes!', 'maybe'],
        ),
        run('tuned', [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], ['Yes', 'Yes', 'Yes', 'Yes']),
      ],
      output,
    );
    const [base, tuned] = summary.models.map(({ figures }) => figures);
    // Scores 0.9 0.8 0.3 0 against 0.7 0.2 0.2 0.1 0.1: at 0.3 one of four is missed and one of five matches.
    assert.equal(base?.['tmr.at.fmr.0.1'], 2 / 4);
    // From (fmr 1/5, miss 1/4) straight to (1, 1/4 ...): the next point is (3/5, 1/4).
    assert.ok(Math.abs((base?.['eer'] ?? 0) - 1 / 4) < 1e-12);
    // Right by probability: 0.9, 0.8, and the impostors but 0.7.
    assert.equal(base?.['accuracy.probability'], 6 / 9);
    assert.equal(base?.['accuracy.text'], 7 / 9);
    assert.equal(base?.['unread.text'], 2);
    assert.equal(base?.['failed'], 1);
    assert.equal(tuned?.['eer'], 0);
    assert.equal(tuned?.['area'], 1);
    // 0.5 for each answer: the first of equals, Yes, is wrong.
    assert.equal(tuned?.['accuracy.probability'], 8 / 9);
    const names2 = ['pairs.md', 'pairs.html', 'pairs.json', 'pairs.csv'];
    assert.deepEqual(summary.files.slice(0, 4), names2);
    const html = await readFile(folder.at('report/pairs.html'), 'utf8');
    assert.ok(!html.includes('<base>') && html.includes('&lt;base&gt;'));
    const json = JSON.parse(await readFile(folder.at('report/pairs.json'), 'utf8')) as {
      comparisons: object[];
    };
    assert.deepEqual(json.comparisons, [
      {
        ...{ first: '<base>', second: 'tuned', difference: 0.222222, onlyFirst: 0, onlySecond: 2 },
        ...{ statistic: 0, pValue: 0.5, isExact: true },
      },
    ]);
  });
});

describe('drawPairs', () => {
  const pictures = fc.uniqueArray(
    fc.record({
      file: fc.string({ minLength: 1, maxLength: 4 }),
      identity: fc.constantFrom('p', 'q', 'r', 's'),
      pool: fc.constantFrom('x', 'y'),
    }),
    { maxLength: 14, selector: ({ file }) => file },
  );

  it('draws different pairs, of the right kind, as many as there are', () => {
    fc.assert(
      fc.property(pictures, fc.nat(30), fc.nat(30), fc.nat(), (list, genuine, impostor, seed) => {
        const pairs = drawPairs({ pictures: list, genuine, impostor, seed });
        const byFile = new Map(list.map((picture) => [picture.file, picture]));
        let possibleGenuine = 0;
        let possibleImpostor = 0;
        for (const [i, a] of list.entries()) {
          for (const b of list.slice(i + 1)) {
            if (a.identity === b.identity) possibleGenuine += 1;
            else if (a.pool === b.pool) possibleImpostor += 1;
          }
        }
        const count = (kind: boolean): number =>
          pairs.filter(({ isGenuine }) => isGenuine === kind).length;
        assert.equal(count(true), Math.min(genuine, possibleGenuine));
        assert.equal(count(false), Math.min(impostor, possibleImpostor));
        const keys = new Set<string>();
        for (const { first, second, isGenuine } of pairs) {
          const [a, b] = [byFile.get(first), byFile.get(second)];
          assert.ok(a !== undefined && b !== undefined && first < second);
          assert.equal(a.identity === b.identity, isGenuine);
          assert.ok(isGenuine || a.pool === b.pool);
          keys.add(JSON.stringify([first, second]));
        }
        assert.equal(keys.size, pairs.length);
        const reversed = drawPairs({ pictures: [...list].reverse(), genuine, impostor, seed });
        assert.deepEqual(reversed, pairs);
      }),
    );
  });

  it('draws evenly', () => {
    // Three pictures of one person and one of another: three genuine and three impostor pairs.
    const list = [1, 2, 3].map((i) => ({ file: `a${i}`, identity: 'a', pool: '' }));
    const all = [...list, { file: 'b1', identity: 'b', pool: '' }];
    const counts = new Map<string, number>();
    const rounds = 3000;
    for (let seed = 0; seed < rounds; seed++) {
      for (const { first, second } of drawPairs({ pictures: all, genuine: 1, impostor: 1, seed })) {
        counts.set(`${first} ${second}`, (counts.get(`${first} ${second}`) ?? 0) + 1);
      }
    }
    assert.equal(counts.size, 6);
    // 1000 each with a standard deviation of 26.
    for (const [pair, count] of counts) assert.ok(Math.abs(count - 1000) < 130, `${pair} ${count}`);
  });

  it('draws from many pictures without listing their pairs', () => {
    const many = Array.from({ length: 60_000 }, (_, i) => ({
      ...{ file: `f${i}`, identity: `p${Math.floor(i / 3)}`, pool: '' },
    }));
    const pairs = drawPairs({ pictures: many, genuine: 100, impostor: 100, seed: 3 });
    assert.equal(pairs.length, 200);
    const impostors = pairs.filter(({ isGenuine }) => !isGenuine);
    const places = impostors.map(({ first }) => Number(first.slice(1)));
    // Half of them lie in the lower half, give or take five standard deviations.
    const low = places.filter((place) => place < 30_000).length;
    assert.ok(low > 25 && low < 90, String(low));
  });
});
