/** The page in a real browser, without a head: what it shows is what the API says, model text stays text, nothing leaves. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import type { Browser, Page } from 'playwright-core';

import type { FaceLlm } from '../../lib/index.js';
import { createKey, type RunningServer } from '../../lib/serving/index.js';
import { launchChromium, SHOTS } from '../support/chromium.js';
import {
  dataUrl,
  loadTiny,
  PHOTO,
  post,
  request,
  serveTiny,
  TILED,
  until,
} from '../support/server.js';

const ROOT = join(import.meta.dirname, '..', '..');

describe('serving: the page', () => {
  let model: FaceLlm;
  let server: RunningServer;
  let browser: Browser;
  let page: Page;
  const elsewhere: string[] = [];
  const complaints: string[] = [];

  before(async function () {
    browser = await launchChromium(this);
    const built = spawnSync(process.execPath, [join(ROOT, 'scripts', 'build-page.mjs')], {
      encoding: 'utf8',
    });
    assert.equal(built.status, 0, built.stderr);
    model = await loadTiny();
    server = await serveTiny(model);
    page = await (await browser.newContext()).newPage();
    page.on('request', (one) => {
      const { origin, protocol } = new URL(one.url());
      if (origin !== server.url && protocol.startsWith('http')) elsewhere.push(one.url());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.setDefaultTimeout(20_000);
    await page.goto(server.url);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
    await model?.dispose();
  });

  const shoot = async (name: string, of: Page = page): Promise<void> => {
    if (SHOTS === undefined) return;
    mkdirSync(SHOTS, { recursive: true });
    await of.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
  };
  const tab = (name: string) => page.getByRole('tab', { name }).click();

  it('is small, says what it must not be used for, and lets nothing else in', async () => {
    const size = spawnSync(process.execPath, [join(ROOT, 'scripts', 'build-page.mjs'), '--size'], {
      encoding: 'utf8',
    });
    assert.ok(Number(size.stdout) > 1000 && Number(size.stdout) <= 60_000, size.stdout);
    const { headers } = await request(server.url);
    const policy = headers.get('content-security-policy') ?? '';
    for (const part of ["default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"])
      assert.ok(policy.includes(part));
    assert.ok((await page.getByText('Not for identifying').count()) === 1);
    assert.match((await request(`${server.url}/assets/fairness.txt`)).text, /^# /);
    for (const path of ['/assets/../serve.js', '/assets/app.js.map', '/assets/%2e%2e/x'])
      assert.equal((await request(server.url + path)).status, 404);
  });

  it("shows a picture's tiles as the plan has them", async () => {
    await page.setInputFiles('input[type=file]', {
      ...{ name: 'face.png', mimeType: 'image/png', buffer: TILED },
    });
    await page.locator('#plan').waitFor();
    const plan = await post(server, '/v1/plan', { images: [dataUrl(TILED)] });
    const [planned] = plan.json['images'] as { tiles: number; columns: number; rows: number }[];
    assert.ok(planned);
    assert.equal(await page.locator('.tiled rect').count(), planned.columns * planned.rows);
    assert.match(await page.locator('#plan').innerText(), new RegExp(`^${planned.tiles} tiles, `));
    await shoot('picture');
    await page.getByLabel('Tiles').selectOption('off');
    await until(async () => (await page.locator('.tiled rect').count()) === 1);
  });

  it('streams an answer about it, as the API gives it; regenerate, edit, copyable request', async () => {
    await page.getByLabel('Question').first().fill('Who is this?');
    await page.keyboard.press('Enter');
    await page.locator('.turns .assistant small').waitFor();
    const whole = await post(server, '/v1/chat/completions', {
      ...{ max_tokens: 256, tiles: 'off', temperature: 0 },
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image_url', image_url: { url: dataUrl(TILED) } },
            { type: 'text', text: 'Who is this?' },
          ],
        },
      ],
    });
    const [choice] = whole.json['choices'] as { message: { content: string } }[];
    const shown = await page.locator('.turns .assistant .text').textContent();
    assert.equal(shown, choice?.message.content);
    assert.match(
      await page.locator('.turns .assistant small').innerText(),
      /tokens\/s · first after/,
    );
    await page.getByText('Show request').first().click();
    assert.match(
      await page.locator('.code pre').first().innerText(),
      /^curl http:.*chat\/completions/,
    );
    await shoot('chat');
    await page.getByRole('button', { name: 'Regenerate' }).click();
    await page.locator('.turns .assistant small').waitFor();
    await page.getByRole('button', { name: 'Edit' }).click();
    assert.equal(await page.locator('.turns li').count(), 0);
    assert.equal(await page.getByLabel('Question').first().inputValue(), 'Who is this?');
  });

  it('stops, and the engine with it', async () => {
    await page.locator('.settings summary').click();
    await page.getByLabel('Tokens at most').fill('4000');
    await page.getByLabel('Temperature').fill('2');
    // No token may end it before it is stopped.
    const address = '**/v1/chat/completions';
    await page.route(address, (route) => {
      const body = JSON.parse(route.request().postData() ?? '') as object;
      return route.continue({ postData: JSON.stringify({ ...body, min_tokens: 4000 }) });
    });
    await page.getByRole('button', { name: 'Send' }).click();
    // At once: an answer of a tiny model does not take long.
    await page.locator('.turns .assistant:last-child .text').filter({ hasText: /./ }).waitFor();
    await page.getByRole('button', { name: 'Stop', disabled: false }).dispatchEvent('click');
    await page.getByText('stopped').waitFor();
    await page.unroute(address);
    while ((await model.stats()).usedBlocks > 0) await new Promise((done) => setTimeout(done, 10));
    await page.getByLabel('Temperature').fill('0');
  });

  it('bars are the numbers of choose', async () => {
    await tab('Choices');
    await page.getByRole('button', { name: 'Compare' }).click();
    await page.locator('#panel-choices .bars').waitFor();
    const reply = await post(server, '/v1/choose', {
      ...{ images: [dataUrl(TILED)], tiles: 'off', choices: ['Yes', 'No'] },
      question: 'Is this person smiling? Answer with Yes or No.',
    });
    const [result] = reply.json['results'] as { choices: { probability: number }[] }[];
    const meters = await page
      .locator('#panel-choices meter')
      .evaluateAll((all) => all.map((one) => (one as unknown as { value: number }).value));
    assert.equal(meters.length, 2);
    meters.forEach((value, i) =>
      assert.ok(Math.abs(value - (result?.choices[i]?.probability ?? 2)) < 1e-4),
    );
    assert.deepEqual(await page.locator('#panel-choices tbody th').allInnerTexts(), ['Yes', 'No']);
    assert.match(await page.locator('#panel-choices .facts').innerText(), /^mass /);
    await shoot('choices');
  });

  it('fields with their distributions; a wrong schema is told in plain words with the request', async () => {
    await tab('Fields');
    await page.getByRole('button', { name: 'Extract' }).click();
    await page.locator('#panel-fields .object').waitFor();
    assert.equal(await page.locator('#panel-fields .bars').count(), 3);
    await shoot('fields');
    await page.getByLabel('JSON schema').fill('{"type": "integer", "multipleOf": 2}');
    await page.getByRole('button', { name: 'Extract' }).click();
    const failure = page.locator('#panel-fields .failure');
    assert.match(await failure.innerText(), /#\/multipleOf[^]*unsupported_json_schema · request /);
    // The browser says so itself, too.
    complaints.splice(0, complaints.length);
  });

  it('the server, live', async () => {
    await tab('Server');
    await page.locator('.chart canvas').waitFor();
    await until(async () => (await page.locator('.numbers dd').first().innerText()) === '0');
    await shoot('server');
  });

  it('works by keyboard, in the dark, on a phone', async () => {
    await page.getByRole('tab', { name: 'Server' }).focus();
    await page.keyboard.press('ArrowRight');
    assert.equal(await page.getByRole('tab', { selected: true }).innerText(), 'Chat');
    await page.emulateMedia({ colorScheme: 'dark' });
    const dark = await page.evaluate('getComputedStyle(document.body).backgroundColor');
    await page.emulateMedia({ colorScheme: 'light' });
    assert.notEqual(await page.evaluate('getComputedStyle(document.body).backgroundColor'), dark);
    await page.setViewportSize({ width: 375, height: 800 });
    for (const name of ['Chat', 'Choices', 'Fields', 'Server']) {
      await tab(name);
      const wide = Number(await page.evaluate('document.documentElement.scrollWidth'));
      assert.ok(wide <= 375, `${name}: ${wide}`);
    }
    await tab('Choices');
    await page.emulateMedia({ colorScheme: 'dark' });
    await shoot('phone-dark');
    const nameless = await page.evaluate(`
      [...document.querySelectorAll('button, input, select, textarea')].filter(
        (one) => one.textContent === '' && one.labels?.length === 0 && !one.ariaLabel,
      ).length`);
    assert.equal(nameless, 0);
  });

  it('what a model writes is text', async () => {
    const hostile = '<img src=x onerror="document.title=1"><script>document.title=1</script>';
    await page.route('**/v1/chat/completions', (route) =>
      route.fulfill({
        contentType: 'text/event-stream',
        body: `data: ${JSON.stringify({ choices: [{ delta: { content: hostile }, finish_reason: 'stop' }] })}\n\ndata: [DONE]\n\n`,
      }),
    );
    await tab('Chat');
    await page.getByRole('button', { name: 'Clear' }).click();
    await page.getByLabel('Question').first().fill('x');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.locator('.turns .assistant .text').filter({ hasText: 'onerror' }).waitFor();
    assert.equal(await page.title(), 'facellm');
    assert.equal(await page.locator('.turns img').count(), 0);
    await page.unroute('**/v1/chat/completions');
  });

  it('asks for a key where the server does', async () => {
    const { key, line } = createKey('page');
    await using guarded = await serveTiny(model, { apiKeys: [line] });
    const context = await browser.newContext();
    const other = await context.newPage();
    await other.goto(guarded.url);
    await other.getByLabel('This server asks for a key').fill(key);
    await other.getByRole('button', { name: 'Use key' }).click();
    await other.getByRole('option', { name: 'tiny' }).waitFor({ state: 'attached' });
    await context.close();
  });

  it('nothing was asked elsewhere, and nothing went wrong unseen', () => {
    assert.deepEqual([elsewhere, complaints], [[], []]);
    assert.ok(PHOTO.length > 0);
  });
});
