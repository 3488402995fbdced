/** A picture is turned wherever its file says so: EXIF, else XMP; before its pixels or after them. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

import sharp, { type Sharp } from 'sharp';

import { decodeImage, readImageSize } from '../../lib/image/index.js';

const FOLDER = join(import.meta.dirname, '..', 'fixtures', 'orientation');
/** Two rows of three pixels, each of another grey. */
const PIXELS = Uint8Array.of(10, 50, 90, 130, 170, 210);
/** EXIF's eight orientations of these, row by row (figure in CIPA DC-008, tag 0x0112). */
const TURNED: readonly (readonly number[])[] = [
  [10, 50, 90, 130, 170, 210],
  [90, 50, 10, 210, 170, 130],
  [210, 170, 130, 90, 50, 10],
  [130, 170, 210, 10, 50, 90],
  [10, 130, 50, 170, 90, 210],
  [130, 10, 170, 50, 210, 90],
  [210, 90, 170, 50, 130, 10],
  [90, 210, 50, 170, 10, 130],
];

const stored = (): Sharp =>
  sharp(PIXELS, { raw: { width: 3, height: 2, channels: 1 } }).toColourspace('b-w');
const packet = (orientation: string): string =>
  `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">` +
  `<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/"${orientation}</rdf:Description></rdf:RDF></x:xmpmeta>`;
const asAttribute = (n: number): string => packet(` tiff:Orientation="${n}">`);
const asElement = (n: number): string => packet(`><tiff:Orientation>${n}</tiff:Orientation>`);

type Chunk = readonly [kind: string, bytes: Buffer];

function chunksOf(png: Buffer): Chunk[] {
  const chunks: Chunk[] = [];
  for (let at = 8; at < png.length;) {
    const end = at + 12 + png.readUInt32BE(at);
    chunks.push([png.toString('latin1', at + 4, at + 8), png.subarray(at, end)]);
    at = end;
  }
  return chunks;
}

function chunk(kind: string, body: Buffer): Buffer {
  const tagged = Buffer.concat([Buffer.from(kind, 'latin1'), body]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(body.length, 0);
  ends.writeUInt32BE(crc32(tagged), 4);
  return Buffer.concat([ends.subarray(0, 4), tagged, ends.subarray(4)]);
}

/** The PNG with chunks of these kinds, and `added`, between its pixels and its end. */
function atTheEnd(png: Buffer, kinds: readonly string[], added: readonly Buffer[] = []): Buffer {
  const chunks = chunksOf(png);
  const moved = chunks.filter(([kind]) => kinds.includes(kind));
  const left = chunks.filter(([kind]) => !kinds.includes(kind));
  return Buffer.concat([
    png.subarray(0, 8),
    ...left.slice(0, -1).map(([, bytes]) => bytes),
    ...moved.map(([, bytes]) => bytes),
    ...added,
    left.at(-1)?.[1] ?? Buffer.alloc(0),
  ]);
}

async function greys(picture: Buffer): Promise<readonly number[]> {
  const { rgb, width, height } = await decodeImage(picture);
  const isOnItsSide = width === 2;
  assert.deepEqual([width, height], isOnItsSide ? [2, 3] : [3, 2]);
  assert.deepEqual(await readImageSize(picture), { width, height });
  return [...rgb].filter((_, i) => i % 3 === 0);
}

describe('orientation of pictures', () => {
  for (const [i, expected] of TURNED.entries()) {
    const n = i + 1;
    const exif = (): Sharp => stored().withMetadata({ orientation: n });
    const kinds: readonly (readonly [string, () => Promise<Buffer>])[] = [
      ['EXIF in a PNG', () => exif().png().toBuffer()],
      ['EXIF after the pixels', async () => atTheEnd(await exif().png().toBuffer(), ['eXIf'])],
      ['XMP, an attribute', () => stored().withXmp(asAttribute(n)).png().toBuffer()],
      ['XMP, an element', () => stored().withXmp(asElement(n)).png().toBuffer()],
      [
        'XMP after the pixels',
        async () => {
          const text = Buffer.from(`XML:com.adobe.xmp\0\0\0\0\0${asAttribute(n)}`, 'latin1');
          return atTheEnd(await stored().png().toBuffer(), [], [chunk('iTXt', text)]);
        },
      ],
      ['WebP', () => stored().withXmp(asElement(n)).webp({ lossless: true }).toBuffer()],
    ];
    for (const [kind, make] of kinds) {
      it(`${n}: ${kind}`, async () => {
        const picture = await make();
        assert.deepEqual(await greys(picture), expected);
        const { width, height } = await decodeImage(picture, { applyExif: false });
        assert.deepEqual([width, height], [3, 2]);
      });
    }
  }

  it('EXIF goes before XMP', async () => {
    const both = stored().withMetadata({ orientation: 1 }).withXmp(asAttribute(6));
    assert.deepEqual(await greys(await both.png().toBuffer()), TURNED[0]);
  });

  it("files of another program's, JPEG and PNG", async () => {
    for (const name of ['xmp6.jpg', 'xmp6.png']) {
      const upright = await decodeImage(join(FOLDER, name));
      assert.deepEqual([upright.width, upright.height], [40, 60], name);
      assert.deepEqual(await readImageSize(join(FOLDER, name)), { width: 40, height: 60 });
      const asStored = await decodeImage(join(FOLDER, name), { applyExif: false });
      assert.deepEqual([asStored.width, asStored.height], [60, 40]);
      assert.notEqual(upright.key, asStored.key);
    }
  });

  it('what is damaged there leaves the picture as it is', async () => {
    const png = await stored().png().toBuffer();
    const blocks = ['II*\0', 'MM\0*\0\0\0\xff', 'II*\0\x08\0\0\0\xff\xff', 'nothing of the kind'];
    for (const block of blocks) {
      const picture = atTheEnd(png, [], [chunk('eXIf', Buffer.from(block, 'latin1'))]);
      assert.deepEqual(await greys(picture), TURNED[0]);
    }
    for (const n of [0, 9]) {
      assert.deepEqual(
        await greys(await stored().withXmp(asAttribute(n)).png().toBuffer()),
        TURNED[0],
      );
    }
  });
});
