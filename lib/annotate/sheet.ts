/**
 * A contact sheet: the rows that the model is least sure of, with picture, chip, answers and their shares, as one HTML file that
 * needs nothing else and runs no script. So a person checks the right hundred.
 */
import { join } from 'node:path';

import { writeFileAtomic } from '../files/index.js';
import { mapBounded } from '../jobs/index.js';
import { Least, PICTURES_AT_ONCE, sheetPictures } from '../sheet/index.js';
import type { AnnotationRow } from './annotate-picture.js';
import type { RowSink } from './compose.js';
import type { AnnotationField } from './columns.js';
import { sheetHtml } from './sheet-html.js';

export interface SheetOptions {
  readonly path: string;
  /** Rows at most. */
  readonly most: number;
  /** Where the rows' files lie. */
  readonly root: string;
  readonly fields: readonly AnnotationField[];
}

/**
 * How sure the model is of a row: the least of its margins; without any, of the probabilities of its values. 1 where it wrote texts
 * alone, of which nothing tells that. Infinite where it has not answered.
 */
export function surenessOf({ answers, texts = {}, values = {} }: AnnotationRow): number {
  const margins = Object.values(answers).map(({ margin }) => margin);
  if (margins.length > 0) return Math.min(...margins);
  const written = Object.values(values);
  const isAnswered = written.length + Object.keys(texts).length > 0;
  return Math.min(isAnswered ? 1 : Infinity, ...written.map(({ probability }) => probability ?? 1));
}

export class Sheet implements RowSink {
  readonly #options: SheetOptions;
  readonly #leastSure: Least<AnnotationRow>;
  #asked = 0;
  #others = 0;

  constructor(options: SheetOptions) {
    this.#options = options;
    this.#leastSure = new Least(options.most);
  }

  write(row: AnnotationRow): void {
    const sureness = surenessOf(row);
    if (sureness === Infinity) {
      this.#others++;
      return;
    }
    this.#asked++;
    this.#leastSure.add(row, sureness);
  }

  async commit(): Promise<void> {
    const { path, root, fields } = this.#options;
    const cards = await mapBounded(this.#leastSure.items, PICTURES_AT_ONCE, async (row) => ({
      row,
      pictures: await sheetPictures(join(root, row.file), row.sha256, row.face?.chip),
    }));
    const counts = { asked: this.#asked, others: this.#others };
    await writeFileAtomic(path, sheetHtml(cards, fields, counts));
  }

  discard(): Promise<void> {
    return Promise.resolve();
  }
}
