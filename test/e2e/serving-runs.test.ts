/** Training runs over HTTP, and on the page in a real browser, while a recorded log grows. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Browser, Page } from 'playwright-core';

import type { FaceLlm } from '../../lib/index.js';
import { createKey, type RunningServer } from '../../lib/serving/index.js';
import { launchChromium, shootPage } from '../support/chromium.js';
import { errorOf, loadTiny, request, serveTiny, until } from '../support/server.js';

const ROOT = join(import.meta.dirname, '..', '..');
const LOG = 'trainer_log.jsonl';
/** Of a real run of 1032 updates that was stopped: training every 15 updates, three validations. */
const LINES = readFileSync(join(ROOT, 'test', 'fixtures', 'run', LOG), 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => `${line}\n`);
const stepOf = (line: string): number =>
  (JSON.parse(line) as { current_steps: number }).current_steps;
const ID = 'runs/large batches';

interface Event {
  readonly event: string;
  readonly id: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Events until it is enough, then it leaves. */
async function watch(
  url: string,
  isEnough: (events: readonly Event[]) => boolean,
  headers: Record<string, string> = {},
): Promise<Event[]> {
  const leave = new AbortController();
  const response = await fetch(url, { headers, signal: leave.signal });
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
  const events: Event[] = [];
  let text = '';
  assert.ok(response.body);
  for await (const bytes of response.body) {
    text += Buffer.from(bytes).toString();
    const whole = text.split('\n\n');
    text = whole.pop() ?? '';
    for (const one of whole.filter((part) => !part.startsWith(':'))) {
      const field = (name: string): string =>
        new RegExp(`^${name}: (.*)$`, 'm').exec(one)?.[1] ?? '';
      const data = JSON.parse(field('data')) as Event['data'];
      events.push({ event: field('event'), id: field('id'), data });
    }
    if (isEnough(events)) break;
  }
  leave.abort();
  return events;
}

const namesOf = (events: readonly Event[]): string[] => events.map(({ event }) => event);
const recordsOf = (events: readonly Event[]): unknown[] =>
  events.flatMap(({ data }) => (data['records'] as unknown[] | undefined) ?? []);
const caughtUp = (events: readonly Event[]): boolean => events.at(-1)?.event === 'caught_up';

describe('serving: training runs', () => {
  let base: string;
  let root: string;
  let log: string;
  let model: FaceLlm;
  before(async () => {
    base = mkdtempSync(join(tmpdir(), 'facellm-runs-'));
    root = join(base, 'runs');
    mkdirSync(join(root, 'large batches'), { recursive: true });
    log = join(root, 'large batches', LOG);
    model = await loadTiny();
  });
  after(async () => {
    await model?.dispose();
    rmSync(base, { recursive: true });
  });

  describe('over HTTP', () => {
    let server: RunningServer;
    let events: string;
    before(async () => {
      server = await serveTiny(model, { runs: [root] });
      events = `${server.url}/v1/runs/runs/large%20batches/events`;
    });
    after(() => server?.close());
    beforeEach(() => writeFileSync(log, LINES.slice(0, 20).join('')));

    it('lists them', async () => {
      const { status, json } = await request(`${server.url}/v1/runs`);
      const [run, ...others] = json['data'] as Record<string, unknown>[];
      assert.deepEqual([status, json['object'], json['watching'], others], [200, 'list', true, []]);
      const last = stepOf(LINES[19] ?? '');
      assert.deepEqual([run?.['id'], run?.['step'], run?.['total_steps']], [ID, last, 1032]);
    });

    it('streams records as they come, and goes on from where a reader was', async () => {
      const first = await watch(events, (told) => {
        if (told.length === 2) appendFileSync(log, LINES.slice(20, 22).join(''));
        return told.length > 2 && caughtUp(told);
      });
      assert.deepEqual(namesOf(first), ['records', 'caught_up', 'records', 'caught_up']);
      const expected = LINES.slice(0, 22).map((line) => JSON.parse(line) as unknown);
      assert.deepEqual(recordsOf(first), expected);
      assert.ok(Number(first[1]?.data['age_ms']) >= 0);
      const last = { 'last-event-id': first[2]?.id ?? '' };
      assert.deepEqual(namesOf(await watch(events, caughtUp, last)), ['caught_up']);
      appendFileSync(log, (LINES[22] ?? '') + (LINES[23] ?? '').slice(0, 30));
      const second = await watch(events, caughtUp, last);
      assert.deepEqual(recordsOf(second), [JSON.parse(LINES[22] ?? '')]);
      truncateSync(log, 0);
      const anew = await watch(events, caughtUp, last);
      assert.deepEqual(namesOf(anew), ['restart', 'caught_up']);
      const wrong = { 'last-event-id': '../../x' };
      assert.deepEqual(namesOf(await watch(events, caughtUp, wrong)), ['restart', 'caught_up']);
    });

    it('says when a run is gone, and that a log is none', async () => {
      const elsewhere = join(root, 'short');
      mkdirSync(elsewhere);
      writeFileSync(join(elsewhere, LOG), LINES[0] ?? '');
      const address = `${server.url}/v1/runs/runs/short/events`;
      const told = await watch(address, (all) => {
        if (all.length === 2) rmSync(elsewhere, { recursive: true });
        return all.at(-1)?.event === 'gone';
      });
      assert.deepEqual(namesOf(told), ['records', 'caught_up', 'gone']);
      appendFileSync(log, 'secret words\n');
      const broken = await watch(events, (all) => all.at(-1)?.event === 'error');
      const { code, message } = broken.at(-1)?.data['error'] as { code: string; message: string };
      assert.equal(code, 'invalid_run_log');
      assert.match(message, /^the log of this run holds something that is no record, at byte \d+$/);
    });

    it('opens nothing else, whatever the address', async () => {
      writeFileSync(join(base, LOG), LINES[0] ?? '');
      symlinkSync(base, join(root, 'link'));
      for (const id of [
        ...['runs', 'runs/none', 'runs/link', 'runs/..', 'runs/%2e%2e', 'runs%2F..%2F..%2Fetc'],
        ...['..', '%2e%2e', '%2Fetc', 'runs/large%20batches/..', 'runs/%00', 'runs/%E0', '%'],
      ]) {
        const reply = await request(`${server.url}/v1/runs/${id}/events`);
        assert.equal(reply.status, 404, id);
        assert.ok(!reply.text.includes(base));
      }
      rmSync(join(root, 'link'));
    });

    it('without --runs there are none; a folder that is none ends the start', async () => {
      await using plain = await serveTiny(model);
      const { json } = await request(`${plain.url}/v1/runs`);
      assert.deepEqual(json, { object: 'list', watching: false, data: [] });
      const reply = await request(`${plain.url}/v1/runs/runs/events`);
      assert.deepEqual([reply.status, errorOf(reply)['code']], [404, 'unsupported_endpoint']);
      await assert.rejects(serveTiny(model, { runs: [join(base, 'none')] }), {
        code: 'FACELLM_INVALID_ARGUMENT',
      });
    });

    it('asks for a key with the right metrics, and a name that the server has', async () => {
      const [asks, reads] = [createKey('asks'), createKey('reads', ['metrics'])];
      await using guarded = await serveTiny(model, {
        ...{ runs: [root], apiKeys: [asks.line, reads.line] },
      });
      const path = '/v1/runs/runs/large%20batches/events';
      for (const address of ['/v1/runs', path]) {
        const as = async (key?: string): Promise<number> =>
          (
            await request(guarded.url + address, {
              headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
            })
          ).status;
        assert.deepEqual([await as(), await as('x'), await as(asks.key)], [401, 401, 403], address);
      }
      const headers = { authorization: `Bearer ${reads.key}` };
      assert.equal(recordsOf(await watch(guarded.url + path, caughtUp, headers)).length, 20);
      const rebound = await new Promise<number>((resolve, reject) => {
        const named = { headers: { host: 'evil.example' }, agent: false };
        httpRequest(`${server.url}/v1/runs`, named, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        })
          .on('error', reject)
          .end();
      });
      assert.equal(rebound, 403);
    });

    it('ends with the server, which waits for no watcher', async () => {
      const ending = await serveTiny(model, { runs: [root] });
      const response = await fetch(`${ending.url}/v1/runs/runs/large%20batches/events`);
      const text = response.text().then(
        () => 'ended',
        () => 'ended',
      );
      await ending.close();
      assert.equal(await text, 'ended');
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
      writeFileSync(log, LINES.slice(0, 20).join(''));
      server = await serveTiny(model, { runs: [root] });
      page = await (await browser.newContext({ viewport: { width: 1200, height: 900 } })).newPage();
      page.on('pageerror', (error) => complaints.push(String(error)));
      page.on('console', (message) => {
        // Browsers complain of a list that was asked for the moment in which its run was deleted.
        const isLate = message.location().url.endsWith('/checkpoints');
        if (message.type() === 'error' && !isLate) complaints.push(message.text());
      });
      page.setDefaultTimeout(20_000);
    });
    after(async () => {
      await browser?.close();
      await server?.close();
    });

    const shoot = (name: string) => shootPage(page, name);
    const facts = () => page.locator('#run-facts').innerText();
    const state = () => page.locator('.state').innerText();
    const cell = (row: string, at: number) =>
      page.locator('.values tr', { hasText: row }).first().locator('td').nth(at).innerText();

    it('shows a run while it grows', async () => {
      await page.goto(server.url);
      await page.getByRole('tab', { name: 'Runs' }).click();
      await page.locator('.chart canvas').first().waitFor();
      assert.equal(await page.locator('.runs button[aria-pressed=true]').count(), 1);
      const before = LINES.slice(0, 20);
      assert.match(await facts(), new RegExp(`^update ${stepOf(before.at(-1) ?? '')} of 1032 · `));
      assert.match(
        await facts(),
        / gone · \d+:\d\d:\d\d left · \d+ tokens\/s · last record \d+ s ago$/,
      );
      assert.equal(await state(), 'In training.');
      assert.equal(await page.locator('.values caption').innerText(), 'Last values');
      // Half a line, then the rest and all others.
      const rest = LINES.slice(20).join('');
      appendFileSync(log, rest.slice(0, 50));
      appendFileSync(log, rest.slice(50));
      const last = LINES.findLast((line) => !line.includes('eval_loss')) ?? '';
      const { loss } = JSON.parse(last) as { loss: number };
      await until(async () => (await cell('Training loss', 1)) === String(stepOf(last)));
      assert.equal(await cell('Training loss', 0), String(Number(loss.toPrecision(4))));
      const validated = JSON.parse(LINES.findLast((line) => line.includes('eval_loss')) ?? '') as {
        eval_accuracy: number;
        eval_worst_group: { fact: string; value: string; accuracy: number };
        eval_groups: object[];
      };
      const { eval_accuracy, eval_worst_group: worst, eval_groups } = validated;
      const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
      assert.equal(await cell('Accuracy', 0), percent(eval_accuracy));
      assert.equal(await cell(`now ${worst.fact} ${worst.value}`, 0), percent(worst.accuracy));
      await page.getByText('Groups at update').click();
      assert.equal(await page.locator('details .values tbody tr').count(), eval_groups.length);
      assert.equal(await page.locator('.values .worst').count(), 1);
      assert.equal(await page.locator('.chart canvas').count(), 3);
      await shoot('runs-1200-light');
    });

    it('draws curves: other colours in the dark, within a phone', async () => {
      /** Colours that the canvas of the losses has, strong ones. */
      const colours = async (): Promise<number> =>
        Number(
          await page.evaluate(`(() => {
            const canvas = document.querySelector('.chart canvas');
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            let drawn = 0;
            for (let i = 0; i < data.length; i += 4) {
              const [r, g, b, a] = data.slice(i, i + 4);
              if (a > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 60) drawn++;
            }
            return drawn;
          })()`),
        );
      await until(async () => (await colours()) > 500);
      await page.emulateMedia({ colorScheme: 'dark' });
      await until(async () => (await colours()) > 500);
      await shoot('runs-1200-dark');
      await page.setViewportSize({ width: 400, height: 800 });
      await until(
        async () => Number(await page.evaluate('document.documentElement.scrollWidth')) <= 400,
      );
      await until(async () => (await colours()) > 200);
      await shoot('runs-400-dark');
      await page.emulateMedia({ colorScheme: 'light' });
      await until(async () => (await colours()) > 200);
      await shoot('runs-400-light');
      await page.setViewportSize({ width: 1200, height: 900 });
    });

    it('is told in words: by names, labels and by keyboard', async () => {
      for (const name of [/^Loss over updates/, /^Accuracies over/, /^Learning rate over/]) {
        assert.equal(await page.getByRole('img', { name }).count(), 1);
      }
      await page.getByRole('progressbar', { name: 'Updates done' }).waitFor();
      await page.getByLabel('Smoothing').focus();
      await page.keyboard.press('End');
      await page.getByText('0.98').waitFor();
      mkdirSync(join(root, 'second'), { recursive: true });
      writeFileSync(join(root, 'second', LOG), LINES[0] ?? '');
      const second = page.locator('.runs button', { hasText: 'second' });
      await second.focus();
      await page.keyboard.press('Enter');
      await until(async () => (await facts()).startsWith('update 5 of 1032'));
      assert.equal(await second.getAttribute('aria-pressed'), 'true');
    });

    it('losses on a logarithmic scale; the norm of gradients, where a log has it', async () => {
      const norms = LINES.filter((line) => !line.includes('eval_loss')).slice(0, 20);
      const records = norms.map((line, i) => ({
        ...(JSON.parse(line) as object),
        grad_norm: 1 / (i + 1),
      }));
      mkdirSync(join(root, 'third'), { recursive: true });
      // A loss of nothing has no place on such a scale, and takes the others' away from none.
      const [first, ...others] = records;
      const written = [{ ...first, loss: 0 }, ...others].map((one) => `${JSON.stringify(one)}\n`);
      writeFileSync(join(root, 'third', LOG), written.join(''));
      await page.locator('.runs button', { hasText: 'third' }).click();
      await page.getByRole('img', { name: /^Norm of gradients over/ }).waitFor();
      assert.equal(await cell('Norm of gradients', 0), '0.05');
      const picture = (): Promise<unknown> =>
        page.evaluate("document.querySelector('.chart canvas').toDataURL()");
      const linear = await picture();
      const box = page.getByLabel('Logarithmic losses and gradients');
      await box.check();
      await until(async () => (await picture()) !== linear);
      await box.uncheck();
      await until(async () => (await picture()) === linear);
      await page.locator('.runs button', { hasText: 'second' }).click();
      rmSync(join(root, 'third'), { recursive: true });
      await page.locator('.runs button', { hasText: 'third' }).waitFor({ state: 'detached' });
    });

    it('goes on after another tab was looked at; a run that begins anew, ends, is deleted', async () => {
      const second = join(root, 'second', LOG);
      await page.getByRole('tab', { name: 'Chat' }).click();
      appendFileSync(second, LINES[1] ?? '');
      await page.getByRole('tab', { name: 'Runs' }).click();
      await until(async () => (await facts()).startsWith(`update ${stepOf(LINES[1] ?? '')} `));
      truncateSync(second, (LINES[0] ?? '').length);
      await until(async () => /gone on from a checkpoint/.test(await state()));
      assert.match(await facts(), /^update 5 of/);
      const end = { ...(JSON.parse(LINES[1] ?? '') as object), current_steps: 1032 };
      appendFileSync(second, `${JSON.stringify(end)}\n`);
      await until(async () => (await state()) === 'All updates are done.');
      rmSync(join(root, 'second'), { recursive: true });
      await until(async () => /is gone/.test(await state()));
      await page.locator('.runs button', { hasText: 'second' }).waitFor({ state: 'detached' });
    });

    it('says how runs are shown where none are; nothing went wrong unseen', async () => {
      await using plain = await serveTiny(model);
      const other = await browser.newPage();
      await other.goto(plain.url);
      await other.getByRole('tab', { name: 'Runs' }).click();
      await other.getByText('--runs DIR').waitFor();
      await other.close();
      assert.deepEqual(complaints, []);
    });
  });
});
