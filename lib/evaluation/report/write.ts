/** A report's files: the document as Markdown and HTML, its data as JSON and CSV, its plots. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { runWriteError, writeFileAtomic } from '../../files/index.js';
import type { ReportDocument } from './document.js';
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
}

/**
 * Writes everything, each file atomically. The same report makes the same bytes.
 *
 * @returns the files' paths, relative to the folder
 * @throws TrainingError FACELLM_RUN_WRITE
 */
export async function writeReport({
  output,
  stem,
  document,
  json,
  csv,
}: ReportFiles): Promise<string[]> {
  const plots = document.blocks.filter((block) => block.kind === 'figure');
  const plotFolder = `${stem}-plots`;
  const files: readonly (readonly [string, string])[] = [
    [`${stem}.md`, markdownOf(document, plotFolder)],
    [`${stem}.html`, htmlOf(document)],
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
