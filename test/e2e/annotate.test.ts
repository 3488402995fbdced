/** `facellm faces` and `facellm annotate` as processes: tables, exit codes, what is refused before a model is loaded. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { parse } from 'csv-parse/sync';
import sharp from 'sharp';

import * as golden from '../support/golden.js';

const ROOT = join(import.meta.dirname, '..', '..');
const CHECKPOINT = join(golden.GOLDEN, 'ckpt-300m');
const NAMES = ['A000014.jpg', 'A000109.jpg', '=cmd.jpg'];

describe('faces and annotate, from the command line', () => {
  let folder: string;
  const at = (...names: string[]): string => join(folder, ...names);
  const facellm = (...args: string[]) =>
    spawnSync(process.execPath, [join(ROOT, 'dist', 'cli', 'main.js'), ...args], {
      encoding: 'utf8',
      cwd: at('pictures'),
    });
  const table = (text: string): Record<string, string>[] => parse(text, { columns: true });
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-annotate-cli-'));
    mkdirSync(at('pictures'));
    const faces = join(ROOT, 'examples', 'faces', 'congress');
    for (const [i, name] of NAMES.entries()) {
      cpSync(join(faces, NAMES[i % 2] ?? ''), at('pictures', name));
    }
  });
  after(() => rmSync(folder, { recursive: true }));

  it('faces: a row each, chips as files, 1 where a picture cannot be read', () => {
    const { stdout, status } = facellm('faces', ...NAMES, '--csv', '--save-crops', at('chips'));
    assert.equal(status, 0);
    const rows = table(stdout);
    assert.deepEqual(
      rows.map(({ file, status: own, found }) => [file, own, found]),
      NAMES.map((name) => [name.startsWith('=') ? `'${name}` : name, 'ok', '1']),
    );
    assert.ok(rows.every(({ roll }) => Math.abs(Number(roll)) < 45));
    assert.ok(existsSync(at('chips', '000000_A000014_0.png')));
    writeFileSync(at('words.jpg'), 'words');
    const failed = facellm('faces', at('words.jpg'), '--json');
    assert.equal(failed.status, 1);
    assert.equal((JSON.parse(failed.stdout) as { status: string }).status, 'unreadable');
  });

  it('annotate: a table whose shares add up; the same again is the same bytes, other settings are refused', () => {
    const args = ['annotate', at('pictures'), '--model', CHECKPOINT, '--deterministic', '--json'];
    const asked = [
      ...args,
      '--attributes',
      'gender,smile',
      '--output',
      at('faces.csv'),
      at('faces.jsonl'),
    ];
    const { stdout, stderr, status } = facellm(...asked);
    assert.equal(status, 0, stderr);
    assert.deepEqual((JSON.parse(stdout) as { statuses: unknown }).statuses, { ok: 3 });
    const csv = readFileSync(at('faces.csv'), 'utf8');
    for (const row of table(csv)) {
      const shares = [row['gender_p_male'], row['gender_p_female']].map(Number);
      assert.ok(Math.abs((shares[0] ?? 0) + (shares[1] ?? 0) - 1) < 1e-6);
    }
    assert.equal(readFileSync(at('faces.jsonl'), 'utf8').trim().split('\n').length, 3);
    rmSync(at('faces.csv'));
    assert.equal(facellm(...asked).status, 0);
    assert.equal(readFileSync(at('faces.csv'), 'utf8'), csv);
    const other = facellm(...args, '--attributes', 'gender', '--output', at('faces.csv'));
    assert.equal(other.status, 1);
    assert.match(other.stderr, /begun with/);
  });

  it('annotate: a plan keeps nothing; two processes write what one writes', async () => {
    mkdirSync(at('many'));
    for (let i = 0; i < 300; i++) {
      const background = { r: i % 256, g: i >> 8, b: 0 };
      const picture = sharp({ create: { width: 1, height: 1, channels: 3, background } });
      writeFileSync(at('many', `${i}.png`), await picture.png().toBuffer());
    }
    const args = [
      'annotate',
      at('many'),
      '--model',
      CHECKPOINT,
      '--deterministic',
      '--faces',
      'off',
    ];
    const asked = [...args, '--attributes', 'smile', '--output'];
    const plan = facellm(...asked, at('one.csv'), '--dry-run');
    assert.match(
      plan.stdout,
      /^300 pictures, 300 of them to do\nby the first 8: about 300 rows, \d+ tokens/,
    );
    assert.ok(!existsSync(at('one.csv.work')));
    assert.equal(facellm(...asked, at('one.csv')).status, 0);
    const two = facellm(...asked, at('two.csv'), '--processes', '2', '--json');
    assert.equal(two.status, 0, two.stderr);
    assert.deepEqual((JSON.parse(two.stdout) as { statuses: unknown }).statuses, { ok: 300 });
    assert.ok(existsSync(at('two.csv.work', 'rank-1', 'pictures.jsonl')));
    assert.deepEqual(readFileSync(at('two.csv')), readFileSync(at('one.csv')));
    const other = ['--attributes', 'gender', '--output', at('two.csv'), '--processes', '2'];
    const refused = facellm(...args, ...other);
    assert.deepEqual([refused.status, refused.stdout], [1, '']);
    const exported = facellm(...asked, at('two.csv'), '--export', '--model', '/nowhere');
    assert.match(exported.stdout, /^300 rows of 300 pictures \(300 ok\): /, 'no model is loaded');
    assert.equal(facellm(...asked, at('two.csv'), '--export', '--dry-run').status, 2);
    assert.match(refused.stderr, /begun with/);
    const left = facellm(...asked, at('two.csv'), '--dry-run', '--json');
    assert.equal((JSON.parse(left.stdout) as { left: number }).left, 0);
  }).timeout(300_000);

  it('annotate: 24 pictures and a real model, killed again and again: the same bytes', async () => {
    mkdirSync(at('dozens'));
    for (let i = 0; i < 24; i++) {
      const source = join(ROOT, 'examples', 'faces', 'congress', NAMES[i % 2] ?? '');
      writeFileSync(
        at('dozens', `${i}.jpg`),
        await sharp(source)
          .modulate({ brightness: 1 + i / 50 })
          .toBuffer(),
      );
    }
    const args = ['annotate', at('dozens'), '--model', CHECKPOINT, '--deterministic'];
    const asked = [...args, '--attributes', 'gender,smile', '--output'];
    assert.equal(facellm(...asked, at('whole.jsonl')).status, 0);
    const journal = at('torn.jsonl.work', 'rank-0', 'pictures.jsonl');
    const size = (): number => statSync(journal, { throwIfNoEntry: false })?.size ?? 0;
    let kills = 0;
    for (let ended: number | null = null; ended === null;) {
      const before = size();
      const child = spawn(process.execPath, [join(ROOT, 'dist', 'cli', 'main.js'), ...asked, at('torn.jsonl')]); // prettier-ignore
      const watch = setInterval(() => size() > before && child.kill('SIGKILL'), 1);
      ended = await new Promise<number | null>((resolve) => child.once('close', resolve));
      clearInterval(watch);
      kills += Number(ended === null);
      assert.ok(ended === null || ended === 0);
    }
    assert.ok(kills >= 2, `${kills} kills`);
    assert.deepEqual(readFileSync(at('torn.jsonl')), readFileSync(at('whole.jsonl')));
  }).timeout(300_000);

  it('annotate: a schema from a file, asked by its own description', () => {
    const properties = {
      smiling: { type: 'boolean' },
      years: { type: 'integer', minimum: 0, maximum: 99 },
    };
    const object = {
      type: 'object',
      properties,
      required: ['smiling', 'years'],
      additionalProperties: false,
    };
    writeFileSync(
      at('face.json'),
      JSON.stringify({ ...object, description: 'Look at this face.' }),
    );
    writeFileSync(at('bare.json'), JSON.stringify(object));
    const args = ['annotate', at('pictures'), '--model', CHECKPOINT, '--output', at('objects.csv')];
    const bare = facellm(...args, '--schema', at('bare.json'));
    assert.equal(bare.status, 2);
    assert.match(bare.stderr, /does not say what is asked/);
    const { status, stderr } = facellm(...args, '--schema', at('face.json'), '--limit', '1');
    assert.equal(status, 0, stderr);
    const [row] = table(readFileSync(at('objects.csv'), 'utf8'));
    assert.ok(Number(row?.['years']) >= 0 && Number(row?.['years_p']) > 0);
    const shares = Number(row?.['smiling_p_true']) + Number(row?.['smiling_p_false']);
    assert.ok(Math.abs(shares - 1) < 1e-6);
  });

  it('annotate: nothing to ask, and questions that are none, are said before a model is looked for', () => {
    const to = ['--model', '/nowhere', '--output', at('none.csv')];
    const empty = facellm('annotate', at('pictures'), ...to);
    assert.equal(empty.status, 2);
    assert.match(empty.stderr, /--attributes/);
    assert.match(
      facellm('annotate', at('pictures'), ...to, '--attributes', 'beauty').stderr,
      /beauty/,
    );
  });
});
