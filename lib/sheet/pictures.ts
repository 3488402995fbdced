/** Pictures of a sheet: small, in the page itself, and only as they were when the model saw them. */
import { readFile } from 'node:fs/promises';

import { type ChipPlace, cutAgain } from '../faces/index.js';
import { sha256, systemCode } from '../files/index.js';
import { decodeImage } from '../image/index.js';
import { type Html, thumbnail } from './cards.js';
import { escapeHtml } from './escape-html.js';

/** As data URLs, or why there are none. */
export interface SheetPictures {
  readonly picture?: string;
  readonly chip?: string;
  readonly problem?: string;
}

/** Pixels of the embedded pictures' longer sides. */
const PICTURE = 320;
const CHIP = 200;
/** To be made at a time. */
export const PICTURES_AT_ONCE = 4;

/** @param box HTML of what is drawn over the whole picture */
export function picturesHtml({ picture, chip, problem }: SheetPictures, box: Html = ''): Html {
  if (picture === undefined) return `<p class="none">${escapeHtml(problem ?? '')}</p>`;
  const whole = `<div class="whole"><img src="${picture}" alt="" loading="lazy">${box}</div>`;
  const cut =
    chip === undefined
      ? ''
      : `<div><img src="${chip}" alt="the face, cut out" loading="lazy"></div>`;
  return `<div class="pictures">${whole}${cut}</div>`;
}

/**
 * A picture that is gone or another one by now is not shown.
 *
 * @param hash sha256 of its bytes when it was asked about
 * @param place of the face that was cut out of it, if one was
 */
export async function sheetPictures(
  path: string,
  hash: string | null,
  place?: ChipPlace,
): Promise<SheetPictures> {
  try {
    const bytes = await readFile(path);
    if (sha256(bytes) !== hash) return { problem: 'the file has changed since' };
    const image = await decodeImage(bytes);
    const picture = await thumbnail(image, PICTURE);
    if (place === undefined) return { picture };
    const { data } = await cutAgain(image, place, CHIP);
    return { picture, chip: await thumbnail({ rgb: data, width: CHIP, height: CHIP }, CHIP) };
  } catch (error) {
    const code = systemCode(error);
    return {
      problem: code === 'ENOENT' ? 'the file is not there any more' : `cannot be shown (${code})`,
    };
  }
}
