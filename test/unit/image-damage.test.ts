/** What is said of pictures that cannot be decoded follows from their bytes, whatever fails beside them. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';

import { decodeImage, headerProblem } from '../../lib/image/index.js';
import { type FaceLlmError } from '../../lib/index.js';

const PHOTO = join(import.meta.dirname, '..', '..', 'examples', 'photo.jpg');
/** Decodings of each picture at once: enough for libvips' errors to meet in its one buffer. */
const TIMES = 40;

const EARLY = /: its [A-Za-z]+ data end early$/;
const DAMAGED = /its [A-Za-z]+ data are damaged, or of a kind that is not read$/;

async function messageOf(bytes: Uint8Array): Promise<string> {
  const error = await decodeImage(bytes).then(
    () => undefined,
    (reason: unknown) => reason as FaceLlmError,
  );
  assert.equal(error?.code, 'FACELLM_IMAGE_INVALID');
  return error.message;
}

describe('pictures that cannot be decoded', () => {
  const noise = { type: 'gaussian' as const, mean: 128, sigma: 30 };
  const create = { width: 96, height: 64, channels: 3 as const, background: '#888', noise };
  const cut = (bytes: Buffer): Buffer => bytes.subarray(0, bytes.length * 0.6);
  /** What each holds, and what is said of it. */
  const pictures: (readonly [Uint8Array, RegExp])[] = [];
  let folder: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-damage-'));
    const source = sharp({ create });
    const jpeg = await source.clone().jpeg().toBuffer();
    const png = await source.clone().png().toBuffer();
    const webp = await source.clone().webp().toBuffer();
    const tiff = await source.clone().tiff().toBuffer();
    const photo = readFileSync(PHOTO);
    const preview = Buffer.concat([
      Buffer.of(0xff, 0xd8, 0xff, 0xe1, 0, 4, 0xff, 0xd9),
      cut(jpeg).subarray(2),
    ]);
    const scrambled = Buffer.from(png);
    scrambled.fill(0x55, 60, 90);
    pictures.push(
      [cut(jpeg), EARLY],
      [cut(photo), EARLY],
      [preview, EARLY],
      [cut(png), EARLY],
      [cut(webp), EARLY],
      [scrambled, DAMAGED],
      [cut(tiff), DAMAGED],
      [Buffer.from('no picture, but long enough to be looked at'), /it begins like none of these$/],
      [Buffer.of(0xff, 0xd8, 0xff), EARLY],
    );
  });
  after(() => rmSync(folder, { recursive: true }));

  it('are told by their bytes', async () => {
    for (const [bytes, expected] of pictures) assert.match(await messageOf(bytes), expected);
  });

  it('get the same words beside others that fail', async () => {
    const alone: string[] = [];
    for (const [bytes] of pictures) alone.push(await messageOf(bytes));
    const many = Array.from({ length: TIMES }, () => pictures).flat();
    const together = await Promise.all(many.map(([bytes]) => messageOf(bytes)));
    together.forEach((message, i) => assert.equal(message, alone[i % alone.length]));
  });

  it('get the same words from their headers, too', async () => {
    const header = join(folder, 'header.jpg');
    const text = join(folder, 'text.jpg');
    writeFileSync(header, Buffer.of(0xff, 0xd8, 0xff));
    writeFileSync(text, 'no picture');
    const paths = Array.from({ length: TIMES }, () => [header, text]).flat();
    const problems = await Promise.all(paths.map(headerProblem));
    problems.forEach((problem, i) => {
      assert.match(problem ?? '', i % 2 === 0 ? DAMAGED : /it begins like none of these$/);
    });
  });
});
