/** What training runs have written, loaded as adapters: over HTTP, and by a click on the page in a real browser. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Browser, Page } from 'playwright-core';

import type { Adapter, FaceLlm } from '../../lib/index.js';
import { createKey, type RunningServer } from '../../lib/serving/index.js';
import { writeAdapter } from '../support/adapters.js';
import { launchChromium, shootPage } from '../support/chromium.js';
import {
  CHECKPOINT,
  errorOf,
  loadTiny,
  post,
  question,
  type Reply,
  request,
  serveTiny,
  until,
} from '../support/server.js';

const ROOT = join(import.meta.dirname, '..', '..');
const ADAPTERS = '/v1/adapters';
const LIST = '/v1/runs/faces/checkpoints';
const WEIGHTS = 'adapter_model.safetensors';
const CONFIG = 'adapter_config.json';

const recordOf = (step: number): string =>
  `${JSON.stringify({ current_steps: step, total_steps: 100, loss: 2 - step / 100, lr: 1e-4 })}\n`;
const refusalOf = (reply: Reply): readonly unknown[] => {
  const { code, param } = errorOf(reply);
  return [reply.status, code, param];
};
const asked = (body: object): object => ({ messages: [question()], max_tokens: 8, ...body });

async function answerOf(server: RunningServer, body: object): Promise<string> {
  const reply = await post(server, '/v1/chat/completions', asked(body));
  assert.equal(reply.status, 200, reply.text);
  return (reply.json['choices'] as { message: { content: string } }[])[0]?.message.content ?? '';
}

const remove = (server: RunningServer, name: string): Promise<Reply> =>
  request(`${server.url}${ADAPTERS}/${name}`, { method: 'DELETE' });

async function idsOf(server: RunningServer): Promise<string[]> {
  const { json } = await request(`${server.url}/v1/models`);
  return (json['data'] as { id: string }[]).map(({ id }) => id);
}

interface Listed {
  readonly id: string;
  readonly step: number | null;
  readonly updated_at: number;
  readonly loaded_as: string | null;
}

async function list(server: RunningServer, path = LIST): Promise<readonly Listed[]> {
  const { status, json } = await request(server.url + path);
  assert.equal(status, 200);
  return json['data'] as Listed[];
}

describe("serving: a run's checkpoints", () => {
  let base: string;
  /** A run that is named itself. */
  let faces: string;
  let model: FaceLlm;
  before(async () => {
    base = mkdtempSync(join(tmpdir(), 'facellm-checkpoints-'));
    faces = join(base, 'faces');
    await writeAdapter(CHECKPOINT, join(faces, 'checkpoint-20'), { seed: 21, b: 0.3 });
    await writeAdapter(CHECKPOINT, join(faces, 'checkpoint-100'), { seed: 22, b: 0.3 });
    writeFileSync(join(faces, 'trainer_log.jsonl'), recordOf(20) + recordOf(40));
    const other = join(base, 'runs', 'large batches');
    cpSync(join(faces, 'checkpoint-20'), join(other, 'checkpoint-7'), { recursive: true });
    writeFileSync(join(other, 'trainer_log.jsonl'), recordOf(7));
    model = await loadTiny();
  });
  after(async () => {
    await model?.dispose();
    rmSync(base, { recursive: true });
  });

  describe('over HTTP', () => {
    let server: RunningServer;
    const load = (body: object): Promise<Reply> => post(server, ADAPTERS, body);
    before(async () => {
      server = await serveTiny(model, { runs: [faces, join(base, 'runs')] });
    });
    after(() => server?.close());

    it('lists them, those of later updates first, the result before all', async () => {
      const { json } = await request(server.url + LIST);
      const [first] = json['data'] as Record<string, unknown>[];
      const { updated_at, ...others } = first ?? {};
      assert.equal(json['object'], 'list');
      assert.deepEqual(others, {
        ...{ id: 'checkpoint-100', object: 'facellm.checkpoint', step: 100, loaded_as: null },
      });
      assert.ok(Math.abs(Number(updated_at) - Date.now() / 1000) < 3600);
      for (const name of [CONFIG, WEIGHTS]) {
        cpSync(join(faces, 'checkpoint-20', name), join(faces, name));
      }
      const steps = (await list(server)).map(({ id, step }) => [id, step]);
      assert.deepEqual(steps, [
        ['result', null],
        ['checkpoint-100', 100],
        ['checkpoint-20', 20],
      ]);
      rmSync(join(faces, CONFIG));
      assert.equal((await list(server)).length, 2);
      const below = await list(server, '/v1/runs/runs/large%20batches/checkpoints');
      assert.deepEqual([below.length, below[0]?.id], [1, 'checkpoint-7']);
    });

    it('loads one, without --adapters-root, which answers otherwise than the base; unloads it', async () => {
      const loaded = await load({ run: 'faces', checkpoint: 'checkpoint-20' });
      const name = 'faces-checkpoint-20';
      assert.deepEqual(
        [loaded.status, loaded.json['id'], loaded.json['parent']],
        [...[200, name, 'tiny']],
      );
      assert.deepEqual(await idsOf(server), ['tiny', name]);
      assert.notEqual(await answerOf(server, { model: name }), await answerOf(server, {}));
      const loadedAs = async () => (await list(server)).map(({ loaded_as }) => loaded_as);
      assert.deepEqual(await loadedAs(), [null, name]);
      const again = await load({ run: 'faces', checkpoint: 'checkpoint-20' });
      assert.deepEqual(refusalOf(again), [400, 'invalid_value', 'name']);
      assert.equal((await remove(server, name)).status, 200);
      assert.deepEqual([await idsOf(server), await loadedAs()], [['tiny'], [null, null]]);
    });

    it('under another name and scale; by default in plain characters', async () => {
      const named = await load({
        ...{ run: 'faces', checkpoint: 'checkpoint-100', name: 'best', scale: 0 },
      });
      assert.deepEqual([named.status, named.json['id']], [200, 'best']);
      // Of no effect, as it was asked.
      assert.equal(await answerOf(server, { model: 'best' }), await answerOf(server, {}));
      const plain = await load({ run: 'runs/large batches', checkpoint: 'checkpoint-7' });
      assert.equal(plain.json['id'], 'runs-large-batches-checkpoint-7');
      for (const name of ['best', 'runs-large-batches-checkpoint-7']) {
        assert.equal((await remove(server, name)).status, 200);
      }
    });

    it('nothing else, whatever is asked: no other folder, nothing behind links', async () => {
      const outside = join(base, 'outside');
      const of = (name: string): string => join(faces, name);
      cpSync(of('checkpoint-20'), outside, { recursive: true });
      symlinkSync(outside, of('checkpoint-50'));
      for (const [name, link] of [
        ['checkpoint-60', WEIGHTS],
        ['checkpoint-61', CONFIG],
        ['checkpoint-62', 'facellm_training.json'],
      ] as const) {
        cpSync(outside, of(name), { recursive: true });
        rmSync(join(of(name), link), { force: true });
        symlinkSync(join(outside, link), join(of(name), link));
      }
      mkdirSync(of('checkpoint-70'));
      cpSync(join(outside, CONFIG), join(of('checkpoint-70'), CONFIG));
      cpSync(outside, of('checkpoint-80.partial'), { recursive: true });
      symlinkSync(faces, join(base, 'runs', 'link'));
      const ids = (await list(server)).map(({ id }) => id);
      assert.deepEqual(ids, ['checkpoint-100', 'checkpoint-20']);
      for (const checkpoint of [
        ...['checkpoint-50', 'checkpoint-60', 'checkpoint-61', 'checkpoint-62', 'checkpoint-70'],
        ...['checkpoint-80.partial', 'checkpoint-1', 'result', '..', '.', 'checkpoint-20/..'],
        ...['../outside', outside, 'checkpoint-20/', 'checkpoint-20\0', 'checkpoint--1', 'x'],
      ]) {
        const reply = await load({ run: 'faces', checkpoint });
        assert.deepEqual(refusalOf(reply), [404, 'checkpoint_not_found', 'checkpoint'], checkpoint);
        assert.ok(!reply.text.includes(base));
      }
      const runs = ['none', 'runs', 'runs/link', 'runs/..', '../faces', base, 'faces/.', 'outside'];
      for (const run of [...runs, 'faces/checkpoint-20']) {
        const reply = await load({ run, checkpoint: 'checkpoint-20' });
        assert.deepEqual(refusalOf(reply), [404, 'run_not_found', 'run'], run);
        const address = `${server.url}/v1/runs/${encodeURIComponent(run)}/checkpoints`;
        const listed = await request(address);
        assert.deepEqual([listed.status, errorOf(listed)['code']], [404, 'run_not_found'], run);
      }
      for (const name of ['checkpoint-50', 'checkpoint-60', 'checkpoint-61', 'checkpoint-62']) {
        rmSync(of(name), { recursive: true });
      }
      rmSync(join(base, 'runs', 'link'));
    });

    it('tells all that is wrong with a request, and no path', async () => {
      const wrong = async (body: object, param: string, ...others: string[]): Promise<void> => {
        const reply = await load(body);
        assert.deepEqual([reply.status, errorOf(reply)['param']], [400, param], reply.text);
        for (const one of others) assert.match(errorOf(reply)['message'] ?? '', new RegExp(one));
      };
      await wrong({ name: 'x', run: 'faces' }, 'checkpoint');
      await wrong({ name: 'x', checkpoint: 'checkpoint-20' }, 'run');
      await wrong({ name: '../x', run: 'faces', scale: 'all' }, 'scale', 'checkpoint:', 'name:');
      await wrong(
        { run: 7, checkpoint: ['checkpoint-20'], step: 1 },
        'step',
        'run:',
        'checkpoint:',
      );
      await wrong({}, 'name', 'or run and checkpoint');
      const named = { run: 'faces', checkpoint: 'checkpoint-20', name: 'tiny' };
      await wrong(named, 'name', 'unload it first');
      assert.deepEqual(refusalOf(await load({ name: 'checkpoint-20' })), [
        ...[404, 'unsupported_endpoint', 'name'],
      ]);
      const broken = join(faces, 'checkpoint-90');
      mkdirSync(broken);
      for (const name of [CONFIG, WEIGHTS]) writeFileSync(join(broken, name), '{');
      const reply = await load({ run: 'faces', checkpoint: 'checkpoint-90' });
      assert.deepEqual(refusalOf(reply), [400, 'invalid_adapter', 'checkpoint']);
      assert.ok(!reply.text.includes(base));
      cpSync(join(faces, 'checkpoint-20', CONFIG), join(broken, CONFIG));
      const empty = await load({ run: 'faces', checkpoint: 'checkpoint-90' });
      assert.deepEqual(refusalOf(empty), [400, 'invalid_adapter', 'checkpoint']);
      assert.ok(!empty.text.includes(base));
      rmSync(broken, { recursive: true });
    });

    it('one that is deleted while it loads is a fault of the request, whenever that is', async () => {
      const folder = join(faces, 'checkpoint-30');
      const make = (): void => cpSync(join(faces, 'checkpoint-20'), folder, { recursive: true });
      const loadIt = (): Promise<Reply> => load({ run: 'faces', checkpoint: 'checkpoint-30' });
      make();
      const usual = model.loadAdapter.bind(model);
      model.loadAdapter = (place, options): Promise<Adapter> => {
        rmSync(place, { recursive: true });
        return usual(place, options);
      };
      try {
        assert.deepEqual(refusalOf(await loadIt()), [404, 'checkpoint_not_found', 'checkpoint']);
      } finally {
        model.loadAdapter = usual;
      }
      for (let turn = 0; turn < 20; turn++) {
        make();
        const reply = loadIt();
        await new Promise((resolve) => setTimeout(resolve, turn));
        renameSync(folder, `${folder}.gone`);
        rmSync(`${folder}.gone`, { recursive: true });
        const { status, text } = await reply;
        assert.ok([200, 400, 404].includes(status), text);
        assert.ok(!text.includes(base));
        if (status === 200) assert.equal((await remove(server, 'faces-checkpoint-30')).status, 200);
      }
      assert.deepEqual(await idsOf(server), ['tiny']);
    });

    it('asks for the rights: metrics to look, admin to load', async () => {
      const keys = [['infer'], ['metrics'], ['infer', 'admin']].map((rights, i) =>
        createKey(`k${i}`, rights),
      );
      await using guarded = await serveTiny(model, {
        ...{ runs: [faces], apiKeys: keys.map(({ line }) => line) },
      });
      const body = { run: 'faces', checkpoint: 'checkpoint-20' };
      const statuses = async (key?: string): Promise<number[]> => {
        const headers: Record<string, string> =
          key === undefined ? {} : { authorization: `Bearer ${key}` };
        const address = `${guarded.url}${ADAPTERS}/faces-checkpoint-20`;
        return [
          (await request(guarded.url + LIST, { headers })).status,
          (await post(guarded, ADAPTERS, body, headers)).status,
          (await request(address, { method: 'DELETE', headers })).status,
        ];
      };
      assert.deepEqual(await statuses(), [401, 401, 401]);
      const [asks, reads, admin] = keys;
      assert.deepEqual(await statuses(asks?.key), [403, 403, 403]);
      assert.deepEqual(await statuses(reads?.key), [200, 403, 403]);
      assert.deepEqual(await statuses(admin?.key), [403, 200, 200]);
    });

    it('without --runs there are none; beside --adapters-root both forms are', async () => {
      await using rooted = await serveTiny(model, { adaptersRoot: faces });
      const listed = await request(rooted.url + LIST);
      assert.deepEqual(refusalOf(listed), [404, 'unsupported_endpoint', null]);
      const refused = await post(rooted, ADAPTERS, { run: 'faces', checkpoint: 'checkpoint-20' });
      assert.deepEqual(refusalOf(refused), [404, 'unsupported_endpoint', 'run']);
      await using both = await serveTiny(model, { adaptersRoot: faces, runs: [faces] });
      assert.equal((await post(both, ADAPTERS, { name: 'checkpoint-20' })).status, 200);
      const ofRun = { run: 'faces', checkpoint: 'checkpoint-100' };
      assert.equal((await post(both, ADAPTERS, ofRun)).status, 200);
      const names = (await list(both)).map(({ loaded_as }) => loaded_as);
      assert.deepEqual(names, ['faces-checkpoint-100', 'checkpoint-20']);
      for (const name of names) assert.equal((await remove(both, name ?? '')).status, 200);
    });
  });

  describe('on the page', () => {
    let server: RunningServer;
    let browser: Browser;
    let page: Page;
    const complaints: string[] = [];
    before(async function () {
      browser = await launchChromium(this);
      const built = spawnSync(process.execPath, [join(ROOT, 'scripts', 'build-page.mjs')], {
        encoding: 'utf8',
      });
      assert.equal(built.status, 0, built.stderr);
      server = await serveTiny(model, { runs: [faces] });
      page = await (await browser.newContext({ viewport: { width: 1200, height: 900 } })).newPage();
      page.on('pageerror', (error) => complaints.push(String(error)));
      page.setDefaultTimeout(20_000);
    });
    after(async () => {
      await browser?.close();
      await server?.close();
    });

    const shoot = (name: string) => shootPage(page, name);
    const models = () => page.locator('header select option').allTextContents();
    const section = () => page.getByRole('region', { name: 'Checkpoints' });
    const rows = () => section().getByRole('listitem');
    const told = () => section().getByRole('status').innerText();

    it('is used by one click, told under which name, and unloaded by another', async () => {
      await page.goto(server.url);
      await page.getByRole('tab', { name: 'Runs' }).click();
      const use = page.getByRole('button', { name: 'Use as adapter: checkpoint-100' });
      await use.focus();
      await page.keyboard.press('Enter');
      const name = 'faces-checkpoint-100';
      const unload = page.getByRole('button', { name: 'Unload: checkpoint-100' });
      await until(async () => (await models()).includes(`${name} (adapter)`));
      await until(async () => (await told()).includes(`choose ${name} as the model above`));
      await rows().first().getByText(`loaded as ${name}`).waitFor();
      const focused = await page.evaluate("document.activeElement?.getAttribute('aria-label')");
      assert.equal(focused, 'Unload: checkpoint-100');
      await shoot('checkpoints-1200-light');
      await page.emulateMedia({ colorScheme: 'dark' });
      await page.setViewportSize({ width: 400, height: 800 });
      await until(
        async () => Number(await page.evaluate('document.documentElement.scrollWidth')) <= 400,
      );
      await shoot('checkpoints-400-dark');
      await page.emulateMedia({ colorScheme: 'light' });
      await page.setViewportSize({ width: 1200, height: 900 });
      await unload.click();
      await until(async () => (await told()) === `${name} is unloaded.`);
      await until(async () => (await models()).length === 1);
      await use.waitFor();
      assert.deepEqual(await idsOf(server), ['tiny']);
    });

    it('shows another one when the log grows, and in its box what went wrong', async () => {
      cpSync(join(faces, 'checkpoint-20'), join(faces, 'checkpoint-44'), { recursive: true });
      appendFileSync(join(faces, 'trainer_log.jsonl'), recordOf(44));
      const use = page.getByRole('button', { name: 'Use as adapter: checkpoint-44' });
      await use.waitFor();
      assert.equal(await rows().count(), 3);
      // Else the list may tell of it first, and there is nothing to click.
      await page.route('**/checkpoints', (route) => route.abort());
      rmSync(join(faces, 'checkpoint-44'), { recursive: true });
      await use.click();
      await section().getByRole('alert').waitFor();
      assert.match(await section().getByRole('alert').innerText(), /no such checkpoint/);
      await page.unroute('**/checkpoints');
      appendFileSync(join(faces, 'trainer_log.jsonl'), recordOf(45));
      await use.waitFor({ state: 'detached' });
      assert.deepEqual(complaints, []);
    });
  });
});
