/** Chromium of this machine, without a head, for what people look at. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { type Browser, chromium, type Page } from 'playwright-core';

import { skip } from './skip.js';

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Where pictures of pages go, for people to look at; undefined: nowhere. */
export const SHOTS: string | undefined = process.env['FACELLM_PAGE_SHOTS'];

/** Skips the test where there is none. */
export function launchChromium(test: Mocha.Context): Promise<Browser> {
  const executablePath = PATHS.find((path) => existsSync(path));
  if (executablePath === undefined) skip(test, 'needs Chromium (Debian: apt-get install chromium)');
  return chromium.launch({ executablePath, args: ['--no-sandbox'] });
}

/** A picture of the whole page, where anybody wants it. */
export async function shootPage(page: Page, name: string): Promise<void> {
  if (SHOTS === undefined) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
}
