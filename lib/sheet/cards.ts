/**
 * Pages of cards, each with pictures, answers and bars: annotate's contact sheet, the gallery of wrong answers, judged answers. One file that
 * runs no script and fetches nothing. Texts of callers are escaped here; what they give as `Html` is markup already.
 */
import sharp from 'sharp';

import type { DecodedImage } from '../image/index.js';
import { escapeHtml } from './escape-html.js';
import { htmlPage } from './page.js';

/** Markup. */
export type Html = string;

/** Of an answer; the others are counted. */
const BARS = 5;

const STYLE = `
:root { color-scheme: light dark; --text: #1b1f24; --muted: #5c6670; --back: #f4f5f7; --card: #fff; --line: #d9dee4; --bar: #2f6fb3; --other: #9fb4ca; --box: #ffb000; --good: #1a7f37; --bad: #a61b1b; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ed; --muted: #9aa5b1; --back: #14171b; --card: #1d2127; --line: #343b44; --bar: #6aa5e0; --other: #4a5f76; --good: #4cc26a; --bad: #ff8f8f; } }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, "Segoe UI", Roboto, sans-serif; color: var(--text); background: var(--back); margin: 0; }
header, section { max-width: 78rem; margin: 0 auto; padding: 1.25rem 1rem 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: 1rem; padding-bottom: 2rem; align-items: start; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; }
header p { margin: .25rem 0; max-width: 50rem; color: var(--muted); }
article { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; min-width: 0; }
.pictures { display: flex; flex-wrap: wrap; gap: .5rem; align-items: start; }
.pictures > * { flex: 1 1 6rem; min-width: 0; margin: 0; }
.whole { position: relative; display: block; }
img { display: block; width: 100%; height: auto; border-radius: .25rem; }
.box { position: absolute; border: 2px solid var(--box); border-radius: 2px; box-shadow: 0 0 0 1px #0008; }
section > h2 { font-size: 1.2rem; margin: 0 0 .75rem; }
article h2 { font-size: .95rem; margin: .6rem 0 0; overflow-wrap: anywhere; }
h3 { font-size: .9rem; margin: .7rem 0 .25rem; font-weight: 600; overflow-wrap: anywhere; }
.facts, .more, .none { margin: .15rem 0; color: var(--muted); font-size: .8rem; overflow-wrap: anywhere; }
.asked { margin: .5rem 0; font-size: .85rem; white-space: pre-line; overflow-wrap: anywhere; max-height: 11rem; overflow-y: auto; }
.bar { display: grid; grid-template-columns: minmax(0, 7.5rem) 1fr 3.8rem; gap: .5rem; align-items: center; font-size: .8rem; }
.bar span { overflow-wrap: anywhere; }
.bar .share { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.track { height: .65rem; background: color-mix(in srgb, var(--line) 60%, transparent); border-radius: .2rem; overflow: hidden; }
.track i { display: block; height: 100%; background: var(--other); }
.best .track i { background: var(--bar); }
.best span:first-child { font-weight: 600; }
.mark { display: inline-block; margin: .5rem 0 0; padding: .05rem .5rem; border: 1px solid currentColor; border-radius: 1rem; font-size: .8rem; font-weight: 600; color: var(--good); }
.bad { color: var(--bad); }
.right .track i { background: var(--good); }
.right span:first-child::after { content: " \\2713"; color: var(--good); }
`;

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** A share of 0 to 1 as CSS has it. */
export const cssPercent = (share: number): string =>
  `${(100 * Math.min(1, Math.max(0, share))).toFixed(2)}%`;

/** One answer's share. */
export interface Bar {
  readonly text: string;
  readonly share: number;
  /** The label's answer. @default not known */
  readonly isRight?: boolean;
}

/** Most probable first; of many the first ones and the right one. */
export function barsHtml(bars: readonly Bar[]): Html {
  const sorted = [...bars].sort((a, b) => b.share - a.share);
  const shown = sorted.filter(({ isRight }, i) => i < BARS || isRight === true);
  const lines = shown.map(({ text, share, isRight }, i) => {
    const kind = `${i === 0 ? ' best' : ''}${isRight === true ? ' right' : ''}`;
    const track = `<span class="track"><i style="width:${cssPercent(share)}"></i></span>`;
    return `<div class="bar${kind}"><span>${escapeHtml(text)}</span>${track}<span class="share">${percent(share)}</span></div>`;
  });
  const rest = sorted.length - shown.length;
  return `${lines.join('\n')}${rest > 0 ? `<p class="more">and ${rest} less probable</p>` : ''}`;
}

/** @param longer pixels of its longer side at most */
export async function thumbnail(
  { rgb, width, height }: Omit<DecodedImage, 'key'>,
  longer: number,
): Promise<string> {
  const jpeg = await sharp(rgb, { raw: { width, height, channels: 3 } })
    .resize({ width: longer, height: longer, fit: 'inside', withoutEnlargement: true })
    .jpeg({ quality: 72 })
    .toBuffer();
  return `data:image/jpeg;base64,${jpeg.toString('base64')}`;
}

export interface CardsPage {
  readonly title: string;
  /** Texts over the cards. */
  readonly intro: readonly string[];
  readonly sections: readonly {
    /** @default none */
    readonly title?: string;
    readonly cards: readonly Html[];
  }[];
}

export function cardsPage({ title, intro, sections }: CardsPage): string {
  const cards = sections.map(({ title: name, cards }) => {
    const heading = name === undefined ? '' : `<h2>${escapeHtml(name)}</h2>\n`;
    return `<section>\n${heading}<div class="cards">\n${cards.map((card) => `<article>\n${card}\n</article>`).join('\n')}\n</div>\n</section>`;
  });
  const about = intro.map((text) => `<p>${escapeHtml(text)}</p>`).join('\n');
  const header = `<header>\n<h1>${escapeHtml(title)}</h1>\n${about}\n</header>`;
  const body = `${header}\n<main>\n${cards.join('\n')}\n</main>`;
  return htmlPage({ title, style: STYLE, body });
}
