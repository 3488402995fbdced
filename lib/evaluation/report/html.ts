/** A report as one HTML file that needs nothing else: style and plots are in it, and no script. */
import { escapeHtml, htmlPage } from '../../sheet/index.js';
import type { DrawnBlock, DrawnDocument, TableBlock } from './document.js';

/** Tables of more columns become lists of named cells where there is no place for them side by side. */
const MOST_NARROW_COLUMNS = 3;

// Plots are drawn in the colours of a light page (charts/theme.ts), which a dark one takes in exchange for its own.
const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #626b76; --back: #fff; --line: #e4e8ec; --strong: #aab2bd; --link: #0b5394; --warn: #fff7ed; --first: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --faint: #9aa5b1; --back: #14171b; --line: #30373f; --strong: #5c6670; --link: #8ab8e6; --warn: #33261a; --first: #4ba3e3; } }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; color: var(--ink); background: var(--back); margin: 0; }
main { max-width: 74rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
p, li { max-width: 50rem; overflow-wrap: anywhere; }
h1, h2, h3, h4 { overflow-wrap: anywhere; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1.25rem; }
h2 { font-size: 1.4rem; margin: 3rem 0 .75rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h4 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
.warning { border-left: 4px solid #b45309; background: var(--warn); padding: .75rem 1rem; }
.scroll { overflow-x: auto; margin: .75rem 0 1.25rem; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .55rem; text-align: left; border-bottom: 1px solid var(--line); overflow-wrap: break-word; }
th { border-bottom: 2px solid var(--strong); vertical-align: bottom; }
.number { text-align: right; }
.keep { white-space: nowrap; }
.muted { color: var(--faint); font-style: italic; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 0 1.5rem; align-items: start; }
figure { margin: 1rem 0 1.5rem; min-width: 0; }
figure svg { max-width: 100%; height: auto; }
figcaption { font-size: .875rem; color: var(--faint); max-width: 48rem; }
summary { cursor: pointer; color: var(--link); margin: .5rem 0; }
figure [fill="white"] { fill: var(--back); }
figure [stroke="white"] { stroke: var(--back); }
figure [fill="#1b1f24"] { fill: var(--ink); }
figure [stroke="#1b1f24"] { stroke: var(--ink); }
figure [fill="#626b76"] { fill: var(--faint); }
figure [stroke="#626b76"] { stroke: var(--faint); }
figure [stroke="#e4e8ec"] { stroke: var(--line); }
figure [fill="#0072b2"] { fill: var(--first); }
figure [stroke="#0072b2"] { stroke: var(--first); }
@media (max-width: 48rem) {
  main { padding: 1.25rem .9rem 3rem; }
  .wide, .wide tbody, .wide tr { display: block; }
  .wide thead { display: none; }
  .wide tr { border: 1px solid var(--line); border-radius: .4rem; padding: .3rem .6rem; margin: 0 0 .6rem; }
  .wide td { display: flex; justify-content: space-between; gap: 1rem; padding: .15rem 0; border: 0; text-align: right; }
  .wide td::before { content: attr(data-title); color: var(--faint); text-align: left; font-style: normal; }
  .wide td:first-child { font-weight: 600; }
}
@media print { .figures { display: block; } }
`;

/** An interval stays on one line, whatever its cell does. */
function numberHtml(text: string): string {
  return escapeHtml(text).replace(/\([^()]*\)/g, '<span class="keep">$&</span>');
}

function tableHtml({ columns, rows }: TableBlock): string {
  const isWide = columns.length > MOST_NARROW_COLUMNS;
  const kind = (column: number): string =>
    columns[column]?.isNumeric === true ? ' class="number"' : '';
  const name = (column: number): string =>
    isWide ? ` data-title="${escapeHtml(columns[column]?.title ?? '')}"` : '';
  const cellHtml = (cell: string, column: number): string => {
    const text = columns[column]?.isNumeric === true ? numberHtml(cell) : escapeHtml(cell);
    // One box beside its column's name.
    return isWide ? `<span>${text}</span>` : text;
  };
  const head = columns
    .map(({ title }, i) => `<th${kind(i)} scope="col">${escapeHtml(title)}</th>`)
    .join('');
  const body = rows.map(({ cells, isMuted }) => {
    const row = cells
      .map((cell, i) => `<td${kind(i)}${name(i)}>${cellHtml(cell, i)}</td>`)
      .join('');
    return `<tr${isMuted === true ? ' class="muted"' : ''}>${row}</tr>`;
  });
  const open = isWide ? '<table class="wide">' : '<table>';
  return `<div class="scroll">${open}\n<thead><tr>${head}</tr></thead>\n<tbody>\n${body.join('\n')}\n</tbody></table></div>`;
}

/** Ids of a plot (clip paths, gradients) hold for the whole page; its name keeps them apart from other plots'. */
function embedSvg(svg: string, name: string, alt: string): string {
  return svg
    .replace(/\bid="([^"]+)"/g, `id="${name}-$1"`)
    .replace(/url\(#([^)]+)\)/g, `url(#${name}-$1)`)
    .replace(/href="#([^"]+)"/g, `href="#${name}-$1"`)
    .replace(/^<svg /, () => `<svg role="img" aria-label="${escapeHtml(alt)}" `);
}

function blockHtml(block: DrawnBlock): string {
  switch (block.kind) {
    case 'heading':
      return `<h${block.level}>${escapeHtml(block.text)}</h${block.level}>`;
    case 'paragraph':
      return `<p>${escapeHtml(block.text)}</p>`;
    case 'warning':
      return `<p class="warning"><strong>${escapeHtml(block.text)}</strong></p>`;
    case 'list':
      return `<ul>\n${block.items.map((item) => `<li>${escapeHtml(item)}</li>`).join('\n')}\n</ul>`;
    case 'table':
      return block.summary === undefined
        ? tableHtml(block)
        : `<details><summary>${escapeHtml(block.summary)}</summary>\n${tableHtml(block)}\n</details>`;
    case 'figure':
      return `<figure>\n${embedSvg(block.svg, block.name, block.alt)}\n${block.caption === '' ? '' : `<figcaption>${escapeHtml(block.caption)}</figcaption>\n`}</figure>`;
  }
}

/** Plots that follow each other stand side by side where there is place. */
function blocksHtml(blocks: readonly DrawnBlock[]): string {
  const parts = blocks.map((block, i) => {
    const isFigure = block.kind === 'figure';
    const isFirst = isFigure && blocks[i - 1]?.kind !== 'figure';
    const isLast = isFigure && blocks[i + 1]?.kind !== 'figure';
    const open = isFirst ? '<div class="figures">\n' : '';
    return `${open}${blockHtml(block)}${isLast ? '\n</div>' : ''}`;
  });
  return parts.join('\n');
}

export function htmlOf({ title, blocks }: DrawnDocument): string {
  const body = `<main>\n<h1>${escapeHtml(title)}</h1>\n${blocksHtml(blocks)}\n</main>`;
  return htmlPage({ title, style: STYLE, body });
}
