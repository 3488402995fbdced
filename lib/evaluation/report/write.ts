/** A report's files: the document as Markdown and HTML, its data as JSON and CSV, its plots. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { runWriteError, writeFileAtomic } from '../../files/index.js';
import { renderSvg } from './charts/render.js';
import type { DrawnBlock, ReportDocument } from './document.js';
import { htmlOf } from './html.js';
import { markdownOf } from './markdown.js';

export interface ReportFiles {
  /** An existing folder. */
  readonly output: string;
  /** Of all files, without ending: `fairness`. */
  readonly stem: string;
  readonly document: ReportDocument;
  readonly json: string;
  readonly csv: string;
  /** Whether its plots are drawn, which needs vega and vega-lite. @default true */
  readonly charts?: boolean | undefined;
}

async function draw(
  { title, blocks }: ReportDocument,
  charts: boolean,
): Promise<ReportDocument<DrawnBlock>> {
  const drawn: DrawnBlock[] = [];
  for (const block of blocks) {
    if (block.kind !== 'figure') drawn.push(block);
    else if (charts) {
      const { spec, ...figure } = block;
      drawn.push({ ...figure, svg: await renderSvg(spec) });
    }
  }
  return { title, blocks: drawn };
}

/**
 * Writes everything, each file atomically. The same report makes the same bytes.
 *
 * @returns the files' paths, relative to the folder
 * @throws TrainingError FACELLM_RUN_WRITE; MissingPackageError FACELLM_PACKAGE_MISSING without vega
 */
export async function writeReport({
  output,
  stem,
  document,
  json,
  csv,
  charts = true,
}: ReportFiles): Promise<string[]> {
  const drawn = await draw(document, charts);
  const plots = drawn.blocks.filter((block) => block.kind === 'figure');
  const plotFolder = `${stem}-plots`;
  const files: readonly (readonly [string, string])[] = [
    [`${stem}.md`, markdownOf(drawn, plotFolder)],
    [`${stem}.html`, htmlOf(drawn)],
    [`${stem}.json`, json],
    [`${stem}.csv`, csv],
    ...plots.map(({ name, svg }) => [`${plotFolder}/${name}.svg`, svg] as const),
  ];
  if (plots.length > 0) {
    const folder = join(output, plotFolder);
    await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
      throw runWriteError(folder, cause);
    });
  }
  for (const [name, content] of files) await writeFileAtomic(join(output, name), content);
  return files.map(([name]) => name);
}
