/**
 * A contact sheet: the rows that the model is least sure of, with picture, chip, answers and their shares, as one HTML file that
 * needs nothing else and runs no script. So a person checks the right hundred.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { thumbnail } from '../evaluation/index.js';
import { cutAgain } from '../faces/index.js';
import { sha256, systemCode, writeFileAtomic } from '../files/index.js';
import { decodeImage } from '../image/index.js';
import { mapBounded } from '../jobs/index.js';
import type { AnnotationRow } from './annotate-picture.js';
import type { RowSink } from './compose.js';
import type { AnnotationField } from './columns.js';
import { sheetHtml, type SheetPictures } from './sheet-html.js';

export interface SheetOptions {
  readonly path: string;
  /** Rows at most. */
  readonly most: number;
  /** Where the rows' files lie. */
  readonly root: string;
  readonly fields: readonly AnnotationField[];
}

/** Pixels of the embedded pictures' longer sides. */
const PICTURE = 320;
const CHIP = 200;
const PICTURES_AT_ONCE = 4;

/** How sure the model is of a row: the least of its margins. Infinite where it was not asked. */
export function surenessOf({ answers }: AnnotationRow): number {
  return Math.min(Infinity, ...Object.values(answers).map(({ margin }) => margin));
}

/** A picture that is gone or another one by now is not shown. */
async function picturesOf(root: string, row: AnnotationRow): Promise<SheetPictures> {
  try {
    const bytes = await readFile(join(root, row.file));
    if (sha256(bytes) !== row.sha256) return { problem: 'the file has changed since' };
    const image = await decodeImage(bytes);
    const picture = await thumbnail(image, PICTURE);
    if (row.face === null) return { picture };
    const { data } = await cutAgain(image, row.face.chip, CHIP);
    return { picture, chip: await thumbnail({ rgb: data, width: CHIP, height: CHIP }, CHIP) };
  } catch (error) {
    const code = systemCode(error);
    return {
      problem: code === 'ENOENT' ? 'the file is not there any more' : `cannot be shown (${code})`,
    };
  }
}

export class Sheet implements RowSink {
  readonly #options: SheetOptions;
  /** Least sure first. */
  readonly #kept: { readonly row: AnnotationRow; readonly sureness: number }[] = [];
  #asked = 0;
  #others = 0;

  constructor(options: SheetOptions) {
    this.#options = options;
  }

  write(row: AnnotationRow): void {
    const sureness = surenessOf(row);
    if (sureness === Infinity) {
      this.#others++;
      return;
    }
    this.#asked++;
    const kept = this.#kept;
    if (kept.length >= this.#options.most && sureness >= (kept.at(-1)?.sureness ?? 0)) return;
    let [low, high] = [0, kept.length];
    // Behind its equals: they stand in the order of the list.
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((kept[middle]?.sureness ?? 0) <= sureness) low = middle + 1;
      else high = middle;
    }
    kept.splice(low, 0, { row, sureness });
    if (kept.length > this.#options.most) kept.pop();
  }

  async commit(): Promise<void> {
    const { path, root, fields } = this.#options;
    const cards = await mapBounded(this.#kept, PICTURES_AT_ONCE, async ({ row }) => ({
      row,
      pictures: await picturesOf(root, row),
    }));
    const counts = { asked: this.#asked, others: this.#others };
    await writeFileAtomic(path, sheetHtml(cards, fields, counts));
  }

  discard(): Promise<void> {
    return Promise.resolve();
  }
}
