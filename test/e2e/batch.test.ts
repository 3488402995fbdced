/** A file of requests without a server: the server's answers, in order; stopped, killed, refused. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Calibration, type FaceLlm } from '../../lib/index.js';
import { batch } from '../../lib/serving/index.js';
import {
  CHECKPOINT,
  dataUrl,
  loadTiny,
  PHOTO,
  post,
  question,
  serveTiny,
  until,
} from '../support/server.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');

interface Line {
  readonly custom_id: string;
  readonly response: { readonly status_code: number; readonly body: Record<string, unknown> };
}

const read = (path: string): Line[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

const chat = (id: string, text = 'Hi?', more: object = {}): object => ({
  ...{ custom_id: id, method: 'POST', url: '/v1/chat/completions' },
  body: { messages: [{ role: 'user', content: text }], max_tokens: 3, seed: 1, ...more },
});

describe('batch of a file', () => {
  let folder: string;
  let model: FaceLlm;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-batch-'));
    model = await loadTiny();
  });
  after(async () => {
    await model.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  const write = (name: string, lines: readonly (object | string)[]): string => {
    const path = join(folder, name);
    const texts = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
    // The last line lacks its end, as editors leave it.
    writeFileSync(path, texts.join('\n'));
    return path;
  };

  it('answers as the server does, in the order of the lines; failures stand apart', async () => {
    const choose = { images: [dataUrl(PHOTO)], question: 'Smiling?', choices: ['Yes', 'No'] };
    const line = (id: string, url: string, body: object) => ({
      custom_id: id,
      method: 'POST',
      url,
      body,
    });
    const lines = [
      line('picture', '/v1/chat/completions', { messages: [question()], max_tokens: 4 }),
      line('choose', '/v1/choose', choose),
      chat('wrong', 'Hi?', { temperature: 9 }),
      line('embed', '/v1/embeddings', { input: dataUrl(PHOTO) }),
      line('newer', '/v1/responses', { input: 'Hi?', max_output_tokens: 2 }),
      line('extract', '/v1/extract', { question: 'Hi?', schema: { enum: ['a', 'b'] } }),
      chat('stream', 'Hi?', { stream: true }),
      chat('other', 'Hi?', { model: 'gpt' }),
      '',
      chat('last'),
    ];
    const output = join(folder, 'out.jsonl');
    const result = await batch({ model, input: write('in.jsonl', lines), output, ahead: 3 });
    assert.deepEqual([result.completed, result.failed, result.missing], [6, 3, 0]);
    const answers = read(output);
    const ids = answers.map(({ custom_id: id }) => id);
    assert.deepEqual(ids, ['picture', 'choose', 'embed', 'newer', 'extract', 'last']);
    const errors = read(result.errors ?? '').map(({ custom_id: id, response }) => {
      const { code } = response.body['error'] as { code: string };
      return [id, response.status_code, code];
    });
    assert.deepEqual(errors, [
      ['wrong', 400, 'invalid_value'],
      ['stream', 400, 'unsupported_parameter'],
      ['other', 404, 'model_not_found'],
    ]);
    await using server = await serveTiny(model, { servedName: 'facellm' });
    const same = await post(server, '/v1/chat/completions', {
      messages: [question()],
      max_tokens: 4,
    });
    assert.deepEqual(answers[0]?.response.body['choices'], same.json['choices']);
  });

  it('goes on where it was stopped, asking nothing twice', async () => {
    const lines = Array.from({ length: 12 }, (_, i) => chat(`line ${i}`, `Question ${i}?`));
    const input = write('many.jsonl', lines);
    const output = join(folder, 'many.out.jsonl');
    const run = batch({ model, input, output, ahead: 1 });
    for await (const { completed } of run) if (completed >= 4) run.stop();
    const stopped = await run;
    assert.ok(stopped.missing > 0 && stopped.missing <= 8 && !existsSync(output));
    const journal = join(`${output}.work`, 'answers.jsonl');
    const kept = readFileSync(journal, 'utf8');
    // As a process that died in the middle of a line leaves it.
    appendFileSync(journal, '{"custom_id":"line 11","resp');
    const whole = await batch({ model, input, output, ahead: 2 });
    assert.deepEqual([whole.completed, whole.missing], [12, 0]);
    assert.ok(readFileSync(journal, 'utf8').startsWith(kept));
    assert.deepEqual(
      read(output).map(({ custom_id: id }) => id),
      lines.map((_, i) => `line ${i}`),
    );
    const bytes = readFileSync(output, 'utf8');
    await batch({ model, input, output });
    assert.equal(readFileSync(output, 'utf8'), bytes);
    appendFileSync(input, `\n${JSON.stringify(chat('more'))}`);
    await assert.rejects(async () => batch({ model, input, output }), {
      code: 'FACELLM_RUN_INVALID',
      message: /belongs to another input file/,
    });
  });

  it('goes on with the same model, names, calibration and faces only, and names what differs', async () => {
    const input = write('same.jsonl', [chat('a')]);
    const output = join(folder, 'same.out.jsonl');
    await batch({ model, input, output });
    for (const [name, more] of [
      ['models', { servedName: 'other' }],
      ['faces', { faces: { margin: 0.5 } }],
    ] as const) {
      await assert.rejects(async () => batch({ model, input, output, ...more }), {
        code: 'FACELLM_RUN_INVALID',
        message: new RegExp(`other settings.*${name}: begun with `),
      });
    }
    const journal = join(`${output}.work`, 'answers.jsonl');
    const lines = readFileSync(journal, 'utf8');
    writeFileSync(
      journal,
      lines
        .replace(/"model":"\w+"/, '"model":"0","x":1')
        .replace('"calibration":[]', '"calibration":["1"]'),
    );
    await assert.rejects(
      async () => batch({ model, input, output }),
      ({ details }: { details: string[] }) => {
        assert.match(
          details.join('\n'),
          /^model: begun with "0", now .*\nx: begun with 1, now nothing\ncalibration: begun with .*$/,
        );
        return true;
      },
    );
  });

  it('asks failed lines again where it is told to, and answered ones never', async () => {
    const input = write('again.jsonl', [chat('good'), chat('bad', 'Hi?', { temperature: 9 })]);
    const output = join(folder, 'again.out.jsonl');
    const first = await batch({ model, input, output });
    assert.deepEqual([first.completed, first.failed], [1, 1]);
    const journal = join(`${output}.work`, 'answers.jsonl');
    const asked = () => readFileSync(journal, 'utf8').trimEnd().split('\n').length - 1;
    await batch({ model, input, output });
    assert.equal(asked(), 2);
    const again = await batch({ model, input, output, retryFailed: true });
    assert.deepEqual([asked(), again.completed, again.failed], [3, 1, 1]);
    // As if what failed was not the line's own fault.
    const good = readFileSync(journal, 'utf8')
      .split('\n')
      .find((line) => line.includes('"custom_id":"good"'));
    appendFileSync(journal, `${String(good).replace('"custom_id":"good"', '"custom_id":"bad"')}\n`);
    const whole = await batch({ model, input, output });
    assert.deepEqual([whole.completed, whole.failed, whole.errors], [2, 0, undefined]);
    assert.deepEqual(
      read(output).map(({ custom_id: id }) => id),
      ['good', 'bad'],
    );
    assert.ok(!existsSync(`${output}.errors.jsonl`), 'of a run before');
  });

  it('replaces an older output where every line fails', async () => {
    const input = write('all.jsonl', [chat('bad', 'Hi?', { temperature: 9 })]);
    const output = join(folder, 'all.out.jsonl');
    writeFileSync(output, 'old\n');
    const result = await batch({ model, input, output });
    assert.equal(result.failed, 1);
    assert.equal(readFileSync(output, 'utf8'), '');
  });

  it('reads a file with a byte order mark', async () => {
    const input = write('mark.jsonl', [`\ufeff${JSON.stringify(chat('a'))}`, chat('b')]);
    const result = await batch({ model, input, output: join(folder, 'mark.out.jsonl') });
    assert.equal(result.completed, 2);
  });

  it('refuses bytes that are not UTF-8 by line and column', async () => {
    const input = write('latin.jsonl', [chat('a'), chat('b', 'é?')]);
    writeFileSync(input, Buffer.from(readFileSync(input, 'utf8'), 'latin1'));
    const column = JSON.stringify(chat('b', 'é?')).indexOf('é') + 1;
    await assert.rejects(async () => batch({ model, input, output: join(folder, 'latin.out') }), {
      code: 'FACELLM_DATA_INVALID',
      message: new RegExp(`line 2: the line is not UTF-8 at column ${column};.*invalid_utf8`),
    });
  });

  it('asks nothing where its signal is raised already', async () => {
    const input = write('raised.jsonl', [chat('a')]);
    const output = join(folder, 'raised.out.jsonl');
    const signal = AbortSignal.abort(new Error('raised'));
    await assert.rejects(async () => batch({ model, input, output, signal }), {
      message: 'raised',
    });
    assert.equal(existsSync(output), false);
  });

  it('refuses options that are wrong before anything is touched', async () => {
    const input = write('options.jsonl', [chat('a')]);
    const output = join(folder, 'options.out.jsonl');
    for (const more of [{ faces: 'nonsense' }, { calibration: 'x' }, { servedName: 'a b' }]) {
      assert.throws(() => batch({ model, input, output, ...more } as never), {
        code: 'FACELLM_INVALID_ARGUMENT',
      });
    }
    const link = join(folder, 'options.link.jsonl');
    symlinkSync(input, link);
    for (const same of [input, link]) {
      await assert.rejects(async () => batch({ model, input, output: same }), {
        code: 'FACELLM_INVALID_ARGUMENT',
        message: /would replace the input/,
      });
    }
    const errors = write('x.errors.jsonl', [chat('a')]);
    await assert.rejects(
      async () => batch({ model, input: errors, output: join(folder, 'x') }),
      /would replace the input/,
    );
    assert.equal(read(input).length, 1);
  });

  it('leaves no lock behind where a calibration is of another model', async () => {
    const input = write('lock.jsonl', [chat('a')]);
    const output = join(folder, 'lock.out.jsonl');
    const other = new Calibration(
      'other',
      {
        model: { ...model.askedHow({ adapters: null }).model, checkpoint: '0', adapters: [] },
        questions: [],
        fields: [],
        schemas: [],
      } as never,
      '',
    );
    const run = async () => batch({ model, input, output, calibration: other });
    for (let i = 0; i < 2; i++) {
      await assert.rejects(run, { code: 'FACELLM_CALIBRATION_MISMATCH' });
    }
    assert.equal(existsSync(join(`${output}.work`, 'run.lock')), false);
  });

  const faults: readonly (readonly [string, readonly (object | string)[], RegExp])[] = [
    ['nothing', [], /line 1: the file has no lines \(empty_file\)/],
    [
      'no JSON',
      [chat('a'), '{'],
      /line 2: expected a JSON object on the line \(invalid_json_line\)/,
    ],
    ['one id twice', [chat('a'), chat('a')], /line 2: its custom_id is that of a line before/],
    ['no id', [{ ...chat('a'), custom_id: 3 }], /line 1: custom_id: expected a text/],
    ['GET', [{ ...chat('a'), method: 'GET' }], /line 1: method: expected POST/],
    [
      'another address',
      [{ ...chat('a'), url: '/v1/adapters' }],
      /line 1: url: expected \/v1\/chat/,
    ],
    ['no body', [{ ...chat('a'), body: 'x' }], /line 1: body: expected an object/],
    [
      'a field more',
      [{ ...chat('a'), key: 1 }],
      /line 1: there are custom_id, method, url, body, and no key/,
    ],
  ];
  for (const [what, lines, message] of faults) {
    it(`refuses a file with ${what} before anything is asked`, async () => {
      const input = write('faulty.jsonl', lines);
      const run = async () => batch({ model, input, output: join(folder, 'faulty.out.jsonl') });
      await assert.rejects(run, { code: 'FACELLM_DATA_INVALID', message });
    });
  }

  it('runs as a command, through a kill', async () => {
    const lines = Array.from({ length: 30 }, (_, i) =>
      chat(`line ${i}`, `Question ${i}?`, { max_tokens: 24 }),
    );
    const input = write('command.jsonl', lines);
    const output = join(folder, 'command.out.jsonl');
    const args = [
      MAIN,
      'batch',
      input,
      '--output',
      output,
      '--model',
      CHECKPOINT,
      '--dtype',
      'fp32',
    ];
    const child = spawn(process.execPath, [...args, '--ahead', '1'], { stdio: 'ignore' });
    const journal = join(`${output}.work`, 'answers.jsonl');
    const answered = () =>
      existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').length : 0;
    await until(() => answered() > 4 || child.exitCode !== null);
    child.kill('SIGKILL');
    await until(() => child.exitCode !== null || child.signalCode !== null);
    const run = spawnSync(process.execPath, args, { encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stdout, /^30 answers: .*command\.out\.jsonl\n$/);
    assert.equal(read(output).length, 30);
    assert.equal(new Set(read(output).map(({ custom_id: id }) => id)).size, 30);
  });
});
