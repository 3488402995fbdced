/** attributesBenchmark: label files of both forms, filters, groups, and every fault told at once. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';

import { attributesBenchmark } from '../../lib/evaluation/attributes/benchmark.js';
import { BUILT_IN_ATTRIBUTES } from '../../lib/evaluation/labels/built-in.js';
import type { AttributeDefinition } from '../../lib/evaluation/labels/definition.js';
import { errorOf, TestFolder } from './checkpoint-folder.js';

const AGES = BUILT_IN_ATTRIBUTES.age.choices.map(({ text }) => text);
const FAIRFACE = `file,age,gender,race,service_test
val/1.jpg,3-9,Male,East Asian,True
val/2.jpg,more than 70,Female,Latino_Hispanic,False
`;
const FACES = `file,split,identity,age_bracket,gender,expression,pose,eyewear,race,source,upstream
a/1.jpg,train,p1,20-29,Male,neutral,frontal,none,White,london,x
a/2.jpg,test,p2,,Female,smiling,,,West Asian,london,x
b/1.png,test,p3,50-59,,happy,left,sunglasses,East Asian/White,cmu,x
b/2.png,test,p3,,,,,,,cmu,x
`;

describe('attributesBenchmark', () => {
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

  async function writeFaces(): Promise<void> {
    await folder.write('labels.csv', FACES);
    await writePictures('a/1.jpg', 'a/2.jpg', 'b/1.png', 'b/2.png');
  }

  for (const [layout, prefix] of [
    ['as its CSV says', 'val/'],
    ['in a published folder', 'fairface-img-margin025-trainval/val/'],
    ['in another published folder', 'fairface_img_margin025/val/'],
    ['without the prefix', ''],
  ] as const) {
    it(`reads FairFace with pictures ${layout}`, async () => {
      await folder.write('fairface_label_val.csv', FAIRFACE);
      await writePictures(`${prefix}1.jpg`, `${prefix}2.jpg`);
      const { items, isPartial, notes, readings } = await attributesBenchmark({
        data: folder.path,
      });
      assert.deepEqual(
        items.map(({ id, choices, answer }) => [id, choices[answer]]),
        [
          ['val/1.jpg#gender', 'Male'],
          ['val/1.jpg#age', '3-9'],
          ['val/1.jpg#race', 'East Asian'],
          ['val/2.jpg#gender', 'Female'],
          ['val/2.jpg#age', 'more than 70'],
          ['val/2.jpg#race', 'Latino or Hispanic'],
        ],
      );
      assert.deepEqual(items[0]?.images, [folder.at(`${prefix}1.jpg`)]);
      const tags = { attribute: 'gender', race: 'East Asian', gender: 'Male', age: '3-9' };
      assert.deepEqual(items[0]?.tags, tags);
      assert.equal(items[0]?.prompt, BUILT_IN_ATTRIBUTES.gender.question);
      assert.deepEqual([isPartial, notes, readings], [false, [], ['text', 'probability']]);
    });
  }

  it('an empty cell is not known, an ignored label not asked about; both are told', async () => {
    await writeFaces();
    const { items, notes } = await attributesBenchmark({ data: folder.path, split: 'test' });
    assert.deepEqual(
      items.map(({ id, choices, answer }) => `${id} ${choices[answer]}`),
      [
        'a/2.jpg#gender Female',
        'a/2.jpg#race Middle Eastern',
        'a/2.jpg#smile smiling',
        'b/1.png#age 50-59',
        'b/1.png#eyewear sunglasses',
      ],
    );
    // West Asian counts as Middle Eastern; what is not known is in no group.
    assert.deepEqual(items[0]?.tags, {
      ...{ attribute: 'gender', race: 'Middle Eastern', gender: 'Female' },
    });
    assert.deepEqual(items[3]?.tags, {
      ...{ attribute: 'age', race: 'East Asian/White', age: '50-59' },
    });
    assert.deepEqual(notes, [
      'gender: not known of 2 picture(s)',
      'age: not known of 2 picture(s)',
      'race: not known of 1 picture(s)',
      'race: 1 picture(s) not asked about (East Asian/White)',
      'smile: not known of 1 picture(s)',
      'smile: 1 picture(s) not asked about (happy)',
      'eyewear: not known of 2 picture(s)',
    ]);
  });

  it('filters by columns, asks what is asked for, groups by any column', async () => {
    await writeFaces();
    const { items } = await attributesBenchmark({
      data: folder.path,
      where: { source: ['london', 'nowhere'], gender: 'Male' },
      attributes: ['expression'],
      groups: ['pose', 'gender'],
      readings: ['probability'],
    });
    assert.deepEqual(
      items.map(({ id, tags }) => [id, tags]),
      [['a/1.jpg#expression', { attribute: 'expression', pose: 'frontal', gender: 'Male' }]],
    );
  });

  it('without a split column, the split is the first folder of the file name', async () => {
    await folder.write(
      'both.csv',
      `${FAIRFACE}train/7.jpg,20-29,Male,White,True\n`.replace('val/2.jpg', './val/2.jpg'),
    );
    await writePictures('val/1.jpg', 'val/2.jpg', 'train/7.jpg');
    const labels = folder.at('both.csv');
    const options = { data: folder.path, labels, attributes: ['gender'] as const };
    const train = await attributesBenchmark({ ...options, split: 'train' });
    assert.deepEqual(train.items.map(({ id }) => id), ['train/7.jpg#gender']); // prettier-ignore
    const val = await attributesBenchmark({ ...options, split: 'val' });
    assert.deepEqual(
      val.items.map(({ id }) => id),
      ['val/1.jpg#gender', 'val/2.jpg#gender'],
    );
    const error = await errorOf(attributesBenchmark({ ...options, split: 'dev' }));
    assert.equal(error.code, 'FACELLM_DATA_INVALID');
  });

  it('takes own attributes and column mappings', async () => {
    const beard: AttributeDefinition = {
      name: 'beard',
      question: 'Is there a beard?',
      choices: [
        { text: 'Yes', labels: ['1', 'y'] },
        { text: 'No', labels: ['0'] },
      ],
      ignoredLabels: ['?'],
    };
    await folder.write('own.csv', 'path;x,sex,hair_on_chin\n"p,1.jpg",Male,y\np2.jpg,Female,?\n');
    await writePictures('p,1.jpg', 'p2.jpg');
    const { items } = await attributesBenchmark({
      data: folder.path,
      labels: folder.at('own.csv'),
      columns: { file: 'path;x', gender: 'sex', beard: 'hair_on_chin' },
      attributes: ['gender', beard],
    });
    assert.deepEqual(
      items.map(({ id, answer, prompt }) => [id, answer, prompt]),
      [
        ['p,1.jpg#gender', 0, BUILT_IN_ATTRIBUTES.gender.question],
        ['p,1.jpg#beard', 0, 'Is there a beard?'],
        ['p2.jpg#gender', 1, BUILT_IN_ATTRIBUTES.gender.question],
      ],
    );
  });

  it('lists every fault by its line, or leaves faulty rows out', async () => {
    await folder.write(
      'labels.csv',
      'file,gender,age\nok.jpg,Male,20-29\nok.jpg,Male,20-29\nlost.jpg,Mal,21\n../up.jpg,Male,20-29\nshort.jpg,Male\n',
    );
    await writePictures('ok.jpg');
    const error = await errorOf(attributesBenchmark({ data: folder.path }));
    assert.equal(error.code, 'FACELLM_DATA_INVALID');
    assert.match(error.message, /4 of 5 row\(s\)/);
    assert.deepEqual(error.details, [
      'line 3: file: ok.jpg already stands in line 2',
      'line 4: gender: received "Mal", which is unknown; did you mean Male?',
      `line 4: age: received "21", which is unknown; known: ${AGES.join(', ')}`,
      `line 4: picture ${folder.at('lost.jpg')} does not exist`,
      'line 5: file: expected a path inside the image folder, received "../up.jpg"',
      'line 6: expected 3 cells as in the header, received 2',
    ]);
    const skipped = await attributesBenchmark({ data: folder.path, onInvalid: 'skip' });
    assert.deepEqual(skipped.items.map(({ id }) => id), ['ok.jpg#gender', 'ok.jpg#age']); // prettier-ignore
    assert.equal(skipped.isPartial, true);
    assert.deepEqual(skipped.notes, ['4 faulty row(s) of the label file were left out']);
  });

  it('its fingerprint follows pictures, labels and questions, not where they lie', async () => {
    const print = async (options: object = {}): Promise<string> =>
      (await attributesBenchmark({ data: folder.path, ...options })).fingerprint;
    await writeFaces();
    const before = await print();
    assert.match(before, /^[0-9a-f]{64}$/);
    assert.equal(await print(), before);
    await folder.write('elsewhere.csv', FACES);
    assert.equal(await print({ labels: folder.at('elsewhere.csv') }), before);
    const { sources = [] } = await attributesBenchmark({ data: folder.path });
    const names = ['labels.csv', 'a/1.jpg', 'a/2.jpg', 'b/1.png', 'b/2.png'];
    assert.deepEqual(sources.map(({ path }) => path), names); // prettier-ignore
    const prints = [before, await print({ attributes: ['gender'] }), await print({ limit: 2 })];
    await folder.write('labels.csv', FACES.replace('20-29', '30-39'));
    prints.push(await print());
    await writeFaces();
    await folder.write('a/1.jpg', 'another picture');
    prints.push(await print());
    assert.equal(new Set(prints).size, prints.length);
  });

  it('a limit makes it partial', async () => {
    await writeFaces();
    const { isPartial, notes } = await attributesBenchmark({ data: folder.path, limit: 3 });
    assert.equal(isPartial, true);
    assert.ok(notes.includes('only the first 3 of 4 pictures'));
  });

  it('refuses wrong definitions, all at once', async () => {
    await writeFaces();
    const error = await errorOf(
      attributesBenchmark({
        data: folder.path,
        attributes: [
          'gender',
          { name: 'gender', question: ' ', choices: [{ text: 'x', labels: [] }] },
          {
            name: 'a b',
            question: 'q',
            choices: [
              { text: 'Left', labels: ['l'], synonyms: ['port'], years: [9, 3] },
              { text: 'Right', labels: ['l'], synonyms: ['Port!'] },
            ],
          },
        ],
      }),
    );
    assert.equal(error.code, 'FACELLM_INVALID_ARGUMENT');
    assert.deepEqual(error.details, [
      'attribute gender: question: expected text',
      'attribute gender: choices: expected at least two, got 1',
      'attribute gender: choice "x": labels: expected at least one',
      'attribute a b: name: expected letters, digits, - and _, got "a b"',
      'attribute a b: choice "Left": years: expected lowest and highest age, got 9 and 3',
      'attribute a b: labels that mean two things: l',
      'attribute a b: words that mean two choices: port',
      'attribute gender is defined twice',
    ]);
  });

  it('refuses unknown attributes and columns, absent files', async () => {
    await writeFaces();
    const data = folder.path;
    const cases: readonly (readonly [object, string, RegExp])[] = [
      [{ attributes: ['gendr'] }, 'FACELLM_INVALID_ARGUMENT', /did you mean gender/],
      [{ attributes: [] }, 'FACELLM_INVALID_ARGUMENT', /expected at least one/],
      [{ columns: { file: 'fil' } }, 'FACELLM_DATA_INVALID', /no column fil .*did you mean file/],
      [{ columns: { gender: 'sex' }, attributes: ['gender'] }, 'FACELLM_DATA_INVALID', /sex/],
      [{ groups: ['rce'] }, 'FACELLM_DATA_INVALID', /rce.*did you mean race/],
      [{ groups: ['attribute'] }, 'FACELLM_DATA_INVALID', /cannot be the name/],
      [{ where: { sourc: 'x' } }, 'FACELLM_DATA_INVALID', /sourc.*did you mean source/],
      [{ where: { source: 'x' } }, 'FACELLM_DATA_INVALID', /none of 4 row/],
      [{ labels: folder.at('absent.csv') }, 'FACELLM_DATA_NOT_FOUND', /absent\.csv/],
      [{ data: folder.at('absent') }, 'FACELLM_DATA_NOT_FOUND', /absent/],
      [{ data: folder.at('a') }, 'FACELLM_DATA_NOT_FOUND', /labels\.csv/],
    ];
    for (const [options, code, text] of cases) {
      const error = await errorOf(attributesBenchmark({ data, ...options }));
      assert.equal(error.code, code, JSON.stringify(options));
      assert.match([error.message, ...error.details].join('\n'), text);
    }
  });

  it('gives no labels of one split to pictures of another', async () => {
    await folder.write('val.csv', FAIRFACE);
    await writePictures('train/1.jpg', 'train/2.jpg');
    const options = { data: folder.at('train'), labels: folder.at('val.csv') };
    const error = await errorOf(attributesBenchmark(options));
    assert.equal(error.code, 'FACELLM_DATA_INVALID');
    assert.match(error.message, /labels are of val\/.*named after the split train/);
  });

  it('names dates, lookalike characters and separators in label files', async () => {
    await writePictures('val/1.jpg', 'val/2.jpg');
    const data = folder.path;
    const labels = folder.at('labels.csv');
    const changed = FAIRFACE.replace('3-9', '9-Mar').replace('more than', 'more\u00a0than');
    await folder.write('labels.csv', changed);
    const error = await errorOf(attributesBenchmark({ data, labels }));
    assert.deepEqual(error.details, [
      'line 2: age: received "9-Mar", which is unknown; a spreadsheet made a date of 3-9; write 3-9 again',
      'line 3: age: received "more\u00a0than 70", which is unknown; it holds a no-break space (U+00A0); write more than 70 with plain characters',
    ]);
    await folder.write('labels.csv', FAIRFACE.replaceAll(',', ';'));
    const parted = await errorOf(attributesBenchmark({ data, labels }));
    assert.match(parted.message, /cells are parted by ;/);
  });

  it('refuses a label file that is not UTF-8: its groups would be merged', async () => {
    await writePictures('a.jpg', 'b.jpg');
    const csv = 'file,gender,studio\na.jpg,Male,Caf\xe8\nb.jpg,Female,Caf\xe9\n';
    await writeFile(folder.at('labels.csv'), csv, 'latin1');
    const options = { data: folder.path, attributes: ['gender'] as const, groups: ['studio'] };
    const error = await errorOf(attributesBenchmark(options));
    assert.equal(error.code, 'FACELLM_DATA_INVALID');
    assert.equal(error.details.length, 2);
  });

  it('makes no two groups of labels that look the same', async () => {
    await writePictures('a.jpg', 'b.jpg');
    await folder.write(
      'labels.csv',
      'file,gender,place\na.jpg,Male,New York\nb.jpg,Male,New\u00a0York\n',
    );
    const options = { data: folder.path, attributes: ['gender'] as const, groups: ['place'] };
    const error = await errorOf(attributesBenchmark(options));
    assert.deepEqual(error.details, [
      'groups: place: some cells say New York, some the same with a no-break space (U+00A0)',
    ]);
  });
});
