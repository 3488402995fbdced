/** Folders that do not stay as they were: pictures that come later, and outputs of a run that is not at its end. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';

import {
  annotate,
  type AnnotateOptions,
  type AnnotationEvent,
  type AnnotationRow,
  exportAnnotation,
  type FaceLlmError,
  planAnnotation,
} from '../../lib/index.js';
import { annotatingStub } from '../support/annotating-stub.js';

const QUESTIONS = [{ name: 'smile', question: 'Smiling?', choices: ['Yes', 'No'] }];

describe('annotate a folder that changes', () => {
  let folder: string;
  const at = (...names: string[]): string => join(folder, ...names);
  const put = async (name: string, r: number): Promise<void> => {
    const picture = { width: 2, height: 1, channels: 3 as const, background: { r, g: 0, b: 0 } };
    writeFileSync(at('pictures', name), await sharp({ create: picture }).png().toBuffer());
  };
  const options = (more: Partial<AnnotateOptions> = {}): AnnotateOptions => ({
    ...{ input: at('pictures'), output: at('out.jsonl'), model: annotatingStub() },
    ...{ questions: QUESTIONS, faces: 'off', environment: {}, ...more },
  });
  const rowsOf = (): AnnotationRow[] =>
    readFileSync(at('out.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as AnnotationRow);
  const filesOf = (): string[] => rowsOf().map(({ file }) => file);
  const first = ['b.png', 'd.png', 'f.png'];
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-grown-'));
    mkdirSync(at('pictures'));
    for (const [i, name] of first.entries()) await put(name, i);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('pictures that came later stand behind, old rows stay and are not asked again', async () => {
    assert.equal((await annotate(options())).added, 0);
    const before = readFileSync(at('out.jsonl'), 'utf8');
    await put('c.png', 10);
    await put('a.png', 11);
    const plan = await planAnnotation(options());
    assert.deepEqual([plan.pictures, plan.left], [5, 2]);
    assert.ok(!readFileSync(at('out.jsonl.work', 'files.json'), 'utf8').includes('a.png'));
    let asked = 0;
    const model = annotatingStub((calls) => (asked = calls));
    const { added, pictures } = await annotate(options({ model }));
    assert.deepEqual([added, pictures, asked], [2, 5, 2]);
    assert.deepEqual(filesOf(), [...first, 'a.png', 'c.png']);
    assert.ok(readFileSync(at('out.jsonl'), 'utf8').startsWith(before));
    // Told of the run, not of the start: whoever writes the outputs may not have listed them.
    assert.equal((await annotate(options())).added, 2);
  });

  it('two processes that find them at once list them once and write what one writes', async () => {
    await annotate(options());
    await annotate(options({ output: at('two.jsonl') }));
    for (let i = 0; i < 300; i++) await put(`more ${i}.png`, i % 256);
    await annotate(options());
    const ranks = [0, 1].map((rank) =>
      annotate(
        options({
          output: at('two.jsonl'),
          environment: { RANK: String(rank), WORLD_SIZE: '2' },
        }),
      ),
    );
    const results = await Promise.all(ranks);
    assert.ok(results.some(({ outputs, added }) => outputs.length === 1 && added === 300));
    assert.deepEqual(readFileSync(at('two.jsonl')), readFileSync(at('out.jsonl')));
  });

  it('a run of the first so many takes no more', async () => {
    const limit = 3;
    await annotate(options({ limit }));
    await put('a.png', 11);
    assert.deepEqual((await annotate(options({ limit }))).added, 0);
    assert.deepEqual(filesOf(), first);
  });

  it('an export is of what is answered, asks nothing and changes nothing of the run', async () => {
    const { input, output, questions } = options();
    const made = { input, output, questions };
    await assert.rejects(exportAnnotation(made), { code: 'FACELLM_RUN_INVALID' });
    const job = annotate(
      options({ ahead: 1, model: annotatingStub((calls) => calls === 2 && job.stop()) }),
    );
    const { missing } = await job;
    assert.ok(missing > 0 && !existsSync(at('out.jsonl')));
    await put('a.png', 11);
    const result = await exportAnnotation({ ...made, output: [at('out.jsonl'), at('out.csv')] });
    const answered = 3 - missing;
    const { rows, pictures, outputs } = result;
    assert.deepEqual([result.missing, rows, pictures, outputs.length], [missing, answered, 3, 2]);
    assert.deepEqual(filesOf(), first.slice(0, answered));
    const other = [{ ...QUESTIONS[0], name: 'other', question: 'Other?', choices: ['Yes', 'No'] }];
    await assert.rejects(exportAnnotation({ ...made, questions: other }), /other settings/);
    await annotate(options());
    assert.deepEqual(filesOf(), [...first, 'a.png']);
  });

  /** One other, one gone, one written again as it was. */
  const change = async (): Promise<void> => {
    await put('b.png', 20);
    rmSync(at('pictures', 'd.png'));
    utimesSync(at('pictures', 'f.png'), 1, 1);
  };

  it('pictures that have changed or gone are refused by name, unless it is said what to do', async () => {
    await annotate(options());
    const before = readFileSync(at('out.jsonl'), 'utf8');
    await change();
    const model = annotatingStub(() => assert.fail('asked'));
    const isNamed = ({ code, details }: FaceLlmError): boolean =>
      code === 'FACELLM_RUN_INVALID' && details.join() === 'b.png has changed,d.png is gone';
    await assert.rejects(async () => annotate(options({ model })), isNamed);
    await assert.rejects(planAnnotation(options({ model })), isNamed);
    await annotate(options({ model, changed: 'keep' }));
    assert.equal(readFileSync(at('out.jsonl'), 'utf8'), before);
  });

  it('looking for changes tells how far it is, and ends where it is told to', async () => {
    await annotate(options());
    const before = readFileSync(at('out.jsonl'), 'utf8');
    rmSync(at('out.jsonl'));
    // Holes, which are read nevertheless: the first for a while, the second for longer than anybody waits.
    truncateSync(at('pictures', 'b.png'), 2 ** 29);
    truncateSync(at('pictures', 'd.png'), 2 ** 37);
    const model = annotatingStub(() => assert.fail('asked'));
    const told: AnnotationEvent[] = [];
    const job = annotate(options({ model, changed: 'redo' }));
    for await (const event of job) {
      told.push(event);
      job.stop();
    }
    const { missing, outputs, rows } = await job;
    assert.deepEqual([missing, outputs, rows], [0, [], 0]);
    assert.ok(!existsSync(at('out.jsonl')), 'a stopped run writes nothing');
    const abort = new AbortController();
    const onCheck = (event: AnnotationEvent): void => {
      told.push(event);
      abort.abort(new Error('enough'));
    };
    const { signal } = abort;
    await assert.rejects(planAnnotation({ ...options({ model, signal }), onCheck }), /enough/);
    assert.deepEqual(told, Array(2).fill({ type: 'check', done: 2, total: 3 }));
    await put('b.png', 0);
    await put('d.png', 1);
    await annotate(options({ model }));
    assert.equal(readFileSync(at('out.jsonl'), 'utf8'), before);
  });

  it('changed ones are asked again, whichever process had asked them, and are then as they are', async () => {
    await annotate(options());
    const before = rowsOf();
    await change();
    renameSync(at('out.jsonl.work', 'rank-0'), at('out.jsonl.work', 'rank-3'));
    let asked = 0;
    const model = annotatingStub((calls) => (asked = calls));
    assert.equal((await planAnnotation(options({ changed: 'redo' }))).left, 2);
    await annotate(options({ model, changed: 'redo' }));
    const [b, d, f] = rowsOf();
    assert.equal(asked, 1, 'what is gone is not asked about');
    assert.notEqual(b?.sha256, before[0]?.sha256);
    assert.deepEqual([b?.status, d?.status, f], ['ok', 'unreadable', before[2]]);
    // It was answered before: that is of other bytes.
    writeFileSync(at('pictures', 'b.png'), 'words');
    await annotate(options({ changed: 'redo' }));
    assert.deepEqual(rowsOf()[0]?.status, 'unreadable');
    await put('b.png', 21);
    await annotate(options({ retryFailed: true }));
    const last = rowsOf();
    assert.equal(last[0]?.status, 'ok');
    await annotate(options());
    assert.deepEqual(rowsOf(), last);
  });

  it('what another process has to ask again is missing until it has', async () => {
    await annotate(options());
    await put('b.png', 20);
    const again = (rank: number) =>
      annotate(options({ changed: 'redo', environment: { RANK: String(rank), WORLD_SIZE: '2' } }));
    const early = await again(1);
    assert.deepEqual([early.missing, early.outputs], [1, []]);
    assert.equal((await again(0)).missing, 0);
    assert.equal((await again(1)).missing, 0);
  });
});
