/** The command line with the tiny checkpoint: streams, JSON, exit codes, Ctrl-C, and the API's answers. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';

import { FaceLlm } from '../../lib/index.js';
import * as golden from '../support/golden.js';

const ROOT = join(import.meta.dirname, '..', '..');
const MAIN = join(ROOT, 'dist', 'cli', 'main.js');
const MODEL = ['--model', join(golden.GOLDEN, 'ckpt-300m')];
const PHOTO = join(golden.GOLDEN, 'infer-300m', 'images', 'face_square_0.png');
const QUESTION = 'Describe the face image based on visual information.';

function facellm(args: readonly string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', cwd: ROOT });
}

describe('end to end', () => {
  const one = golden
    .goldenCases('300m')
    .find((c) => c.name === 'face_square' && c.dtype === 'fp32');

  it("ask gives the reference's text and ids", () => {
    assert.ok(one);
    const limit = ['--max-new-tokens', String(one.generated_ids.length), '--dtype', 'fp32'];
    const plain = facellm(['ask', PHOTO, QUESTION, ...MODEL, ...limit]);
    assert.equal(plain.stdout, `${one.generated_text}\n`);
    assert.equal(plain.status, 0);
    const { stdout } = facellm(['ask', PHOTO, QUESTION, ...MODEL, ...limit, '--json']);
    const answer = JSON.parse(stdout) as Record<string, unknown>;
    const keys =
      'text tokenIds promptTokens imageTokens finishReason sampling timings peakBytes'.split(' ');
    assert.deepEqual(Object.keys(answer), keys);
    assert.deepEqual(answer['tokenIds'], one.generated_ids);
    assert.equal(answer['promptTokens'], one.input_ids.length);
    assert.equal(answer['imageTokens'], 4);
  });

  it('an output that is full is told in a line; a reader that goes away is no failure', function () {
    if (!existsSync('/dev/full')) this.skip();
    const full = openSync('/dev/full', 'w');
    try {
      for (const command of [
        ['plan', PHOTO, ...MODEL],
        ['ask', 'Hi?', '--max-new-tokens', '2', ...MODEL],
      ]) {
        const { status, stderr } = spawnSync(process.execPath, [MAIN, ...command], {
          encoding: 'utf8',
          stdio: ['ignore', full, 'pipe'],
        });
        assert.equal(status, 1, stderr);
        assert.match(
          stderr,
          /facellm: the output cannot be written: no space is left on its device\n$/,
        );
      }
    } finally {
      closeSync(full);
    }
    const plan = `"${process.execPath}" "${MAIN}" plan "${PHOTO}" ${MODEL.map((one) => `"${one}"`).join(' ')}`;
    const closed = spawnSync(
      'bash',
      ['-c', `set -o pipefail; { sleep 0.2; ${plan}; } | exec 0<&-`],
      { encoding: 'utf8' },
    );
    assert.deepEqual([closed.status, closed.stderr], [0, '']);
  });

  it('ask without a picture, choose and plan', () => {
    const text = facellm(['ask', 'Hello?', ...MODEL, '--max-new-tokens', '3', '--json']);
    assert.equal((JSON.parse(text.stdout) as { imageTokens: number }).imageTokens, 0);
    const chosen = facellm([
      'choose',
      PHOTO,
      'Smiling?',
      ...MODEL,
      '--choices',
      'Yes',
      'No',
      '--json',
    ]);
    const { choices } = JSON.parse(chosen.stdout) as {
      choices: { logProb: number; probability: number }[];
    };
    assert.equal(choices.length, 2);
    assert.ok(Math.abs((choices[0]?.probability ?? 0) + (choices[1]?.probability ?? 0) - 1) < 1e-9);
    const plan = facellm(['plan', PHOTO, ...MODEL, '--json']);
    assert.equal((JSON.parse(plan.stdout) as { imageTokens: number }).imageTokens, 4);
  });

  it('failures exit with 1 and a plain message', () => {
    for (const [args, code] of [
      [['ask', join(ROOT, 'absent.jpg'), 'x', ...MODEL], 'FACELLM_IMAGE_NOT_FOUND'],
      [['ask', 'x', '--model', join(ROOT, 'absent')], 'FACELLM_CHECKPOINT_NOT_FOUND'],
      [['ask', 'x', '--model', 'nobody/no-such-model'], 'FACELLM_HUB_NOT_CACHED'],
      [['ask', 'x', ...MODEL, '--device', 'cuda:9'], 'FACELLM_DEVICE_'],
    ] as const) {
      const { status, stdout, stderr } = facellm(args);
      assert.equal(status, 1, stderr);
      assert.equal(stdout, '');
      assert.ok(stderr.includes(code), stderr);
      assert.ok(!stderr.includes('    at '), 'no stack');
    }
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`${signal} stops an answer and exits with 130`, async () => {
      const long = ['--max-new-tokens', '30000'];
      const child = spawn(process.execPath, [MAIN, 'ask', PHOTO, QUESTION, ...MODEL, ...long]);
      child.stdout.once('data', () => child.kill(signal));
      const code = await new Promise((resolve) => child.once('exit', resolve));
      assert.equal(code, 130);
    });
  }

  it('the API: stop strings, batches, reuse of a picture, the training form', async () => {
    await using model = await FaceLlm.load(join(golden.GOLDEN, 'ckpt-300m'), { dtype: 'fp32' });
    assert.ok(one);
    const ask = { image: PHOTO, question: QUESTION, maxNewTokens: one.generated_ids.length };
    const whole = await model.ask(ask).result();
    assert.equal(whole.text, one.generated_text);
    const stop = whole.text.slice(8, 12);
    const cut = await model.ask({ ...ask, stop: [stop] }).result();
    assert.equal(cut.finishReason, 'stop-string');
    assert.equal(cut.text, whole.text.slice(0, whole.text.indexOf(stop)));
    assert.ok(cut.cachedTokens > 0 && cut.timings.vision === 0);
    const [first, second] = await model.chatBatch(
      [
        [
          {
            role: 'user',
            content: [
              { type: 'image', image: PHOTO },
              { type: 'text', text: QUESTION },
            ],
          },
        ],
        [{ role: 'user', content: 'Something short' }],
      ],
      { maxNewTokens: 5 },
    );
    assert.deepEqual(first?.tokenIds, whole.tokenIds.slice(0, 5));
    assert.equal(second?.imageTokens, 0);
    const training = await model.ask({ ...ask, template: 'training', maxNewTokens: 1 }).result();
    assert.ok(training.promptTokens > whole.promptTokens);
    const [vectors] = await model.embedImages([PHOTO]);
    assert.equal(vectors?.data.length, (vectors?.tokens ?? 0) * (vectors?.dimension ?? 0));
    await assert.rejects(model.ask({ question: '' }).result(), {
      code: 'FACELLM_INVALID_ARGUMENT',
    });
    const long = 'word '.repeat(40_000);
    await assert.rejects(model.ask({ question: long }).result(), {
      code: 'FACELLM_PROMPT_TOO_LONG',
    });
  });
});
