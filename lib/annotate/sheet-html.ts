/** The contact sheet's page. All text of pictures, questions and models is escaped; numbers are ours. */
import { escapeHtml } from '../evaluation/index.js';
import type { AnnotationAnswer, AnnotationRow } from './annotate-picture.js';
import type { AnnotationQuestion } from './questions.js';

/** As data URLs, or why there are none. */
export interface SheetPictures {
  readonly picture?: string;
  readonly chip?: string;
  readonly problem?: string;
}

export interface SheetCard {
  readonly row: AnnotationRow;
  readonly pictures: SheetPictures;
}

/** Of an answer; the others are counted. */
const BARS = 5;

const STYLE = `
:root { color-scheme: light dark; --text: #1b1f24; --muted: #5c6670; --back: #f4f5f7; --card: #fff; --line: #d9dee4; --bar: #2f6fb3; --other: #9fb4ca; --box: #ffb000; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ed; --muted: #9aa5b1; --back: #14171b; --card: #1d2127; --line: #343b44; --bar: #6aa5e0; --other: #4a5f76; } }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, "Segoe UI", Roboto, sans-serif; color: var(--text); background: var(--back); margin: 0; }
header, main { max-width: 78rem; margin: 0 auto; padding: 1.25rem 1rem 0; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: 1rem; padding-bottom: 3rem; align-items: start; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; }
header p { margin: .25rem 0; max-width: 50rem; color: var(--muted); }
article { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; min-width: 0; }
.pictures { display: flex; gap: .5rem; align-items: start; }
.pictures > * { flex: 1 1 0; min-width: 0; margin: 0; }
.whole { position: relative; display: block; }
img { display: block; width: 100%; height: auto; border-radius: .25rem; }
.box { position: absolute; border: 2px solid var(--box); border-radius: 2px; box-shadow: 0 0 0 1px #0008; }
h2 { font-size: .95rem; margin: .6rem 0 0; overflow-wrap: anywhere; }
h3 { font-size: .9rem; margin: .7rem 0 .25rem; font-weight: 600; overflow-wrap: anywhere; }
.facts, .more, .none { margin: .15rem 0; color: var(--muted); font-size: .8rem; overflow-wrap: anywhere; }
.bar { display: grid; grid-template-columns: minmax(0, 7.5rem) 1fr 3.2rem; gap: .5rem; align-items: center; font-size: .8rem; }
.bar span { overflow-wrap: anywhere; }
.bar .share { text-align: right; font-variant-numeric: tabular-nums; }
.track { height: .65rem; background: color-mix(in srgb, var(--line) 60%, transparent); border-radius: .2rem; overflow: hidden; }
.track i { display: block; height: 100%; background: var(--other); }
.best .track i { background: var(--bar); }
.best span:first-child { font-weight: 600; }
`;

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const place = (share: number): string => `${(100 * Math.min(1, Math.max(0, share))).toFixed(2)}%`;

function boxHtml({ face, width, height }: AnnotationRow): string {
  if (face === null || width === null || height === null) return '';
  const { x, y, width: w, height: h } = face.box;
  const [left, top] = [Math.max(0, x / width), Math.max(0, y / height)];
  const [right, bottom] = [Math.min(1, (x + w) / width), Math.min(1, (y + h) / height)];
  const edges = `left:${place(left)};top:${place(top)};width:${place(right - left)};height:${place(bottom - top)}`;
  return `<i class="box" style="${edges}"></i>`;
}

function picturesHtml({ row, pictures }: SheetCard): string {
  const { picture, chip, problem } = pictures;
  if (picture === undefined) return `<p class="none">${escapeHtml(problem ?? '')}</p>`;
  const whole = `<div class="whole"><img src="${picture}" alt="" loading="lazy">${boxHtml(row)}</div>`;
  const cut =
    chip === undefined
      ? ''
      : `<div><img src="${chip}" alt="the face, cut out" loading="lazy"></div>`;
  return `<div class="pictures">${whole}${cut}</div>`;
}

function answerHtml(name: string, question: string, answer: AnnotationAnswer): string {
  const shares = Object.entries(answer.probabilities).sort(([, a], [, b]) => b - a);
  const bars = shares.slice(0, BARS).map(([text, share], i) => {
    const bar = `<span class="track"><i style="width:${place(share)}"></i></span>`;
    return `<div class="bar${i === 0 ? ' best' : ''}"><span>${escapeHtml(text)}</span>${bar}<span class="share">${percent(share)}</span></div>`;
  });
  const rest = shares.length - BARS;
  const more = rest > 0 ? `<p class="more">and ${rest} less probable</p>` : '';
  const best =
    answer.best === null ? ' <span class="none">(below the least probability)</span>' : '';
  return `<h3 title="${escapeHtml(question)}">${escapeHtml(name)}${best}</h3>\n${bars.join('\n')}${more}`;
}

function cardHtml(card: SheetCard, questions: readonly AnnotationQuestion[]): string {
  const { file, face, facesFound, answers } = card.row;
  const facts = [
    ...(face === null
      ? []
      : [`face ${face.index + 1} of ${facesFound ?? 1}`, `score ${face.score.toFixed(2)}`]),
    ...(face?.flags ?? []),
  ];
  const told = questions.flatMap(({ name, question }) => {
    const answer = answers[name];
    return answer === undefined ? [] : [answerHtml(name, question, answer)];
  });
  return `<article>
${picturesHtml(card)}
<h2>${escapeHtml(file)}</h2>
<p class="facts">${escapeHtml(facts.join(', '))}</p>
${told.join('\n')}
</article>`;
}

export function sheetHtml(
  cards: readonly SheetCard[],
  questions: readonly AnnotationQuestion[],
  { asked, others }: { readonly asked: number; readonly others: number },
): string {
  const shown = cards.length < asked ? `${cards.length} of ${asked} rows` : `All ${asked} rows`;
  const rest = others > 0 ? ` Rows without answers, not shown: ${others}.` : '';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>Answers to check</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>Answers to check</h1>
<p>${shown}, the least sure first: by the smallest distance between a question's best and second answer.${rest}</p>
<p>The pictures are in this file. Treat it as you treat them.</p>
</header>
<main>
${cards.map((card) => cardHtml(card, questions)).join('\n')}
</main>
</body>
</html>
`;
}
