/** A report as one HTML file that needs nothing else: style and plots are in it, and no script. */
import type { DrawnBlock, DrawnDocument, TableBlock } from './document.js';

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text that is safe in elements and in quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

const STYLE = `
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; color: #1b1f24; background: #fff; margin: 0; }
main { max-width: 74rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
p, li { max-width: 50rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1.25rem; }
h2 { font-size: 1.4rem; margin: 3rem 0 .75rem; padding-top: 1.25rem; border-top: 1px solid #d5dae0; }
h3 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h4 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
.warning { border-left: 4px solid #b45309; background: #fff7ed; padding: .75rem 1rem; }
.scroll { overflow-x: auto; margin: .75rem 0 1.25rem; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .55rem; text-align: left; border-bottom: 1px solid #e4e8ec; white-space: nowrap; }
th { border-bottom: 2px solid #aab2bd; vertical-align: bottom; }
.number { text-align: right; }
.muted { color: #626b76; font-style: italic; }
figure { margin: 1rem 0 1.5rem; overflow-x: auto; }
figure svg { max-width: 100%; height: auto; }
figcaption { font-size: .875rem; color: #4a535e; max-width: 48rem; }
summary { cursor: pointer; color: #0b5394; margin: .5rem 0; }
`;

function tableHtml({ columns, rows }: TableBlock): string {
  const open = (tag: string, column: number, extra = ''): string =>
    `<${tag}${columns[column]?.isNumeric === true ? ' class="number"' : ''}${extra}>`;
  const head = columns
    .map(({ title }, i) => `${open('th', i, ' scope="col"')}${escapeHtml(title)}</th>`)
    .join('');
  const body = rows.map(({ cells, isMuted }) => {
    const row = cells.map((cell, i) => `${open('td', i)}${escapeHtml(cell)}</td>`).join('');
    return `<tr${isMuted === true ? ' class="muted"' : ''}>${row}</tr>`;
  });
  return `<div class="scroll"><table>\n<thead><tr>${head}</tr></thead>\n<tbody>\n${body.join('\n')}\n</tbody></table></div>`;
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
      return `<figure>\n${embedSvg(block.svg, block.name, block.alt)}\n<figcaption>${escapeHtml(block.caption)}</figcaption>\n</figure>`;
  }
}

export function htmlOf({ title, blocks }: DrawnDocument): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
${blocks.map(blockHtml).join('\n')}
</main>
</body>
</html>
`;
}
