/** A report as GitHub's Markdown; plots are links to files beside it. */
import type { DrawnBlock, DrawnDocument } from './document.js';

/** Text that Markdown takes literally, on one line. */
export function escapeMarkdown(text: string): string {
  return (
    text
      .replace(/[\r\n\u2028\u2029]+/g, ' ')
      .replace(/[\\|`*[\]#~]/g, '\\$&')
      .replace(/&/g, '&amp;')
      .replace(/</g, '&lt;')
      .replace(/>/g, '&gt;')
      // An underscore inside a word does nothing.
      .replace(/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, '\\_')
  );
}

function tableLine(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function blockText(block: DrawnBlock, plotFolder: string): string {
  switch (block.kind) {
    case 'heading':
      return `${'#'.repeat(block.level)} ${escapeMarkdown(block.text)}`;
    case 'paragraph':
      return escapeMarkdown(block.text);
    case 'warning':
      return `> **${escapeMarkdown(block.text)}**`;
    case 'list':
      return block.items.map((item) => `- ${escapeMarkdown(item)}`).join('\n');
    case 'table': {
      const { columns, rows, summary } = block;
      const lines = [
        tableLine(columns.map(({ title }) => escapeMarkdown(title))),
        tableLine(columns.map(({ isNumeric }) => (isNumeric === true ? '--:' : '---'))),
        ...rows.map(({ cells }) => tableLine(cells.map(escapeMarkdown))),
      ].join('\n');
      if (summary === undefined) return lines;
      return `<details><summary>${escapeMarkdown(summary)}</summary>\n\n${lines}\n\n</details>`;
    }
    case 'figure':
      return `![${escapeMarkdown(block.alt)}](${plotFolder}/${block.name}.svg)\n\n${escapeMarkdown(block.caption)}`.trimEnd();
  }
}

export function markdownOf({ title, blocks }: DrawnDocument, plotFolder: string): string {
  const parts = [
    `# ${escapeMarkdown(title)}`,
    ...blocks.map((block) => blockText(block, plotFolder)),
  ];
  return `${parts.join('\n\n')}\n`;
}
