/** Label CSVs: FairFace as published and others, every bad row by its line. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { FaceLlmError } from '../../lib/errors.js';
import { normaliseFile } from '../../lib/data/labels/image-folder.js';
import { readLabels, type ReadLabelsOptions } from '../../lib/data/labels/read-labels.js';

const HEADER = 'file,age,gender,race,service_test';

describe('unit: label CSVs', () => {
  let folder: string;
  let count = 0;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'facellm-labels-'))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function picture(...names: string[]): void {
    for (const name of names) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), 'x');
    }
  }

  function read(csv: string, more: Partial<ReadLabelsOptions> = {}): ReturnType<typeof readLabels> {
    const labels = join(folder, `labels-${++count}.csv`);
    writeFileSync(labels, csv);
    return readLabels({ labels, images: folder, ...more });
  }

  async function problems(csv: string, more: Partial<ReadLabelsOptions> = {}): Promise<string[]> {
    try {
      await read(csv, more);
    } catch (error) {
      assert.ok(error instanceof FaceLlmError);
      return [...error.details];
    }
    return assert.fail('expected an error');
  }

  it('reads FairFace as published', async () => {
    picture('val/1.jpg', 'val/2.jpg');
    const csv = `${HEADER}\nval/1.jpg,3-9,Male,East Asian,False\nval/2.jpg,more than 70,Female,Latino_Hispanic,True\n`;
    const { images, isFairFace, skipped } = await read(csv);
    assert.equal(isFairFace, true);
    assert.deepEqual(skipped, []);
    assert.deepEqual(images[1], {
      file: 'val/2.jpg',
      path: join(folder, 'val/2.jpg'),
      labels: { age: 'more than 70', gender: 'Female', race: 'Latino_Hispanic' },
      line: 3,
    });
  });

  for (const place of [
    'val/1.jpg',
    'fairface_img_margin025/val/1.jpg',
    'fairface-img-margin025-trainval/val/1.jpg',
    'fairface-img-margin125-trainval/val/1.jpg',
    '1.jpg',
  ]) {
    it(`finds val/1.jpg at ${place}`, async () => {
      picture(place);
      const { images } = await read(`${HEADER}\nval/1.jpg,0-2,Male,White,True\n`);
      assert.deepEqual(images[0]?.path, join(folder, place));
      assert.equal(images[0]?.file, 'val/1.jpg');
    });
  }

  it('lists unknown values, missing pictures and doubled rows at once, by line', async () => {
    picture('val/1.jpg', 'val/2.jpg');
    const rows = [
      'val/1.jpg,20-29,Male,White,True',
      '',
      'val/2.jpg,20-30,Femal,White,True',
      'val/9.jpg,20-29,Male,White,True',
      './val/1.jpg,20-29,Male,White,True',
      'val/2.jpg,20-29,,White,True',
      'val/2.jpg,20-29,Male',
      '../secret.jpg,20-29,Male,White,True',
    ];
    assert.deepEqual(await problems(`\uFEFF${HEADER}\r\n${rows.join('\r\n')}`), [
      'line 4: age: "20-30" is unknown; did you mean 20-29?',
      'line 4: gender: "Femal" is unknown; did you mean Female?',
      `line 5: image ${join(folder, 'val/9.jpg')} does not exist`,
      'line 6: file: val/1.jpg already stands in line 2',
      'line 7: gender: is empty; expected one of Male, Female',
      'line 7: file: val/2.jpg already stands in line 4',
      'line 8: expected 5 cells as in the header, received 3',
      'line 9: file: expected a path inside the image folder, received "../secret.jpg"',
    ]);
  });

  it('leaves bad rows out only when told, and says which', async () => {
    picture('a.jpg');
    const csv = `${HEADER}\na.jpg,0-2,Male,White,True\nb.jpg,0-2,Male,White,True\n`;
    const { images, skipped } = await read(csv, { onInvalid: 'skip' });
    assert.equal(images.length, 1);
    assert.deepEqual(
      skipped.map(({ line }) => line),
      [3],
    );
  });

  it('counts lines through quoted cells that hold line breaks', async () => {
    picture('a.jpg');
    const csv = `${HEADER}\n"a.jpg","0-2\n",Male,White,"x\n\ny"\nb.jpg,0-2,Male,White,z\n`;
    const [problem, ...rest] = await problems(csv);
    assert.match(problem ?? '', /^line 6: image .*b\.jpg does not exist$/);
    assert.deepEqual(rest, []);
  });

  it('reads other columns by a mapping, with own words, for some rows', async () => {
    picture('a.png', 'b.png', 'c.png');
    const csv =
      'path,bracket,sex,split,eyewear,race\na.png,20-29,m,train,none,Martian\nb.png,,f,train,,\nc.png,,f,test,,\n';
    const { images, otherRows, isFairFace } = await read(csv, {
      columns: { file: 'path', age: 'bracket', gender: 'sex', race: '' },
      values: { gender: { m: 'Male', f: 'Female' } },
      where: { split: 'train' },
    });
    assert.equal(isFairFace, false);
    assert.equal(otherRows, 1);
    assert.deepEqual(
      images.map(({ labels }) => labels),
      [{ age: '20-29', gender: 'Male', eyewear: 'none' }, { gender: 'Female' }],
    );
  });

  it('refuses a mapping that cannot be meant', async () => {
    const wrong = { columns: { agee: 'x' }, values: { gender: { m: 'Man' }, hair: {} } };
    assert.deepEqual(await problems(`${HEADER}\n`, wrong), [
      'columns.agee: did you mean age?',
      'values.gender.m: Man is unknown; did you mean Male?',
      'values.hair: known: gender, age, race, expression, pose, eyewear',
    ]);
    assert.deepEqual(await problems('name,age\n', { columns: { file: 'nam' } }), [
      'there is no column nam for file; did you mean name? (a column mapping names others)',
    ]);
  });

  it('refuses bytes that are not UTF-8 by line: different words would become one', async () => {
    picture('a.jpg', 'b.jpg');
    const rows = ['file,gender,studio', 'a.jpg,Male,Caf\xe8', 'b.jpg,Female,Caf\xe9'];
    const labels = join(folder, 'latin1.csv');
    writeFileSync(labels, rows.join('\n'), 'latin1');
    await assert.rejects(readLabels({ labels, images: folder, columns: {} }), (error) => {
      assert.ok(error instanceof FaceLlmError);
      assert.equal(error.code, 'FACELLM_DATA_INVALID');
      assert.match(error.message, /latin1\.csv is not UTF-8.*save it as UTF-8/);
      assert.deepEqual(error.details, [
        'line 2: "a.jpg,Male,Caf\uFFFD"',
        'line 3: "b.jpg,Female,Caf\uFFFD"',
      ]);
      return true;
    });
  });

  it('names what a spreadsheet or a word processor has put into cells', async () => {
    picture('a.jpg', 'b.jpg', 'c.jpg');
    const rows = [
      'a.jpg,9-Mar,Male,White,True',
      'b.jpg,2026-10-19,Male,White,True',
      'c.jpg,20\u201329,Male,East\u00a0Asian,True',
    ];
    assert.deepEqual(await problems(`${HEADER}\n${rows.join('\n')}\n`), [
      `line 2: age: "9-Mar" is unknown; a spreadsheet made a date of 3-9; read it with --value "age:9-Mar=3-9" (values: { age: { '9-Mar': '3-9' } })`,
      `line 3: age: "2026-10-19" is unknown; a spreadsheet made a date of 10-19; read it with --value "age:2026-10-19=10-19" (values: { age: { '2026-10-19': '10-19' } })`,
      'line 4: age: "20\u201329" is unknown; it holds an en dash (U+2013); write 20-29 with plain characters',
      'line 4: race: "East\u00a0Asian" is unknown; it holds a no-break space (U+00A0); write East Asian with plain characters',
    ]);
    const values = { age: { '9-Mar': '3-9' } };
    const { images } = await read(`${HEADER}\n${rows[0]}\n`, { values });
    assert.equal(images[0]?.labels.age, '3-9');
  });

  for (const [name, sign] of [
    [';', ';'],
    ['tabs', '\t'],
  ] as const) {
    it(`says that cells are parted by ${name}`, async () => {
      const csv = `${HEADER}\nval/1.jpg,20-29,Male,White,True\n`.replaceAll(',', sign);
      await assert.rejects(read(csv), {
        code: 'FACELLM_DATA_INVALID',
        message: new RegExp(`cells are parted by ${name}, expected commas`),
      });
    });
  }

  describe('labels of one split, pictures of another', () => {
    const csv = `${HEADER}\nval/1.jpg,0-2,Male,White,True\nval/2.jpg,3-9,Male,Black,True\n`;

    for (const name of ['train', 'faces_train', 'training/img']) {
      it(`are refused for a folder ${name}`, async () => {
        picture(`${name}/1.jpg`, `${name}/2.jpg`);
        await assert.rejects(read(csv, { images: join(folder, name) }), {
          code: 'FACELLM_DATA_INVALID',
          message: /labels are of val\/, but .* is named after the split train/,
        });
      });
    }

    for (const name of ['val', 'validation', 'val_faces/img', 'faces', 'trainval', 'train/val']) {
      it(`are taken for one another in a folder ${name}, which contradicts nothing`, async () => {
        picture(`${name}/1.jpg`, `${name}/2.jpg`);
        const { images } = await read(csv, { images: join(folder, name) });
        assert.equal(images[1]?.path, join(folder, name, '2.jpg'));
      });
    }

    it('are refused behind a link of another name', async () => {
      picture('train/1.jpg', 'train/2.jpg');
      symlinkSync(join(folder, 'train'), join(folder, 'faces'));
      await assert.rejects(read(csv, { images: join(folder, 'faces') }), /the split train/);
    });

    it('share no picture: with both splits in the labels no prefix is left off', async () => {
      picture('faces/1.jpg');
      const both = `${HEADER}\nval/1.jpg,0-2,Male,White,True\ntrain/1.jpg,3-9,Male,Black,True\n`;
      const faces = join(folder, 'faces');
      assert.deepEqual(await problems(both, { images: faces }), [
        `line 2: image ${join(faces, 'val/1.jpg')} does not exist`,
        `line 3: image ${join(faces, 'train/1.jpg')} does not exist`,
      ]);
    });
  });

  it('says what is wrong with a file that is no CSV, is empty or absent', async () => {
    await assert.rejects(read(`${HEADER}\n"val/1.jpg,0-2`), /is no CSV file: .*line/i);
    await assert.rejects(read(''), /is empty/);
    await assert.rejects(read(`${HEADER}\n`), /no rows to use/);
    const labels = join(folder, 'none.csv');
    await assert.rejects(readLabels({ labels, images: folder }), {
      code: 'FACELLM_DATA_NOT_FOUND',
    });
    await assert.rejects(read(HEADER, { images: labels }), { code: 'FACELLM_DATA_NOT_FOUND' });
  });

  it('file names have one form and stay in the folder', () => {
    const cases: [string, string | undefined][] = [
      ['val/1.jpg', 'val/1.jpg'],
      ['./val//1.jpg ', 'val/1.jpg'],
      ['val\\1.jpg', 'val/1.jpg'],
      ['a/../1.jpg', '1.jpg'],
      ['../1.jpg', undefined],
      ['a/../../1.jpg', undefined],
      ['/etc/passwd', undefined],
      ['C:\\x.jpg', undefined],
      ['', undefined],
      ['a\0.jpg', undefined],
    ];
    for (const [written, expected] of cases)
      assert.equal(normaliseFile(written), expected, written);
  });
});
