/**
 * Writes the face detector's weights into dist/faces: two safetensors files made from the TFLite files of the npm
 * package @mediapipe/face_detection (Apache-2.0), with its licence and what was changed. The package is needed to build
 * ours, never to run it, and none of its code is used. Both files are known by their hashes; of the format, a FlatBuffer,
 * only what names constant tensors is read.
 *
 *     node scripts/face-weights.mjs
 */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const PACKAGE = join(ROOT, 'node_modules', '@mediapipe', 'face_detection');
export const OUTPUT = join(ROOT, 'dist', 'faces');

/** The files that we know, by the name of their network. */
const NETWORKS = {
  short: {
    file: 'face_detection_short_range.tflite',
    sha256: '3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633',
  },
  full: {
    file: 'face_detection_full_range.tflite',
    sha256: '99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3',
  },
};

const FLOAT16 = 1;

/** @param {Buffer} bytes a TFLite file @returns {{ name: string, shape: number[], data: Buffer }[]} its fp16 constants */
function constants(bytes) {
  const u16 = (/** @type {number} */ at) => bytes.readUInt16LE(at);
  const u32 = (/** @type {number} */ at) => bytes.readUInt32LE(at);
  const follow = (/** @type {number} */ at) => at + u32(at);
  // A table begins with the way back to its list of fields; a field that is left out has place 0.
  const field = (/** @type {number} */ table, /** @type {number} */ index) => {
    const list = table - bytes.readInt32LE(table);
    const place = 4 + 2 * index < u16(list) ? u16(list + 4 + 2 * index) : 0;
    return place === 0 ? undefined : table + place;
  };
  const need = (/** @type {number} */ table, /** @type {number} */ index) => {
    const place = field(table, index);
    if (place === undefined) throw new Error('the file is not laid out as expected');
    return place;
  };
  const items = (/** @type {number} */ place) => {
    const start = follow(place);
    return Array.from({ length: u32(start) }, (_, i) => start + 4 + 4 * i);
  };
  const model = u32(0);
  const buffers = items(need(model, 4)).map(follow);
  const graph = follow(items(need(model, 2))[0] ?? 0);
  return items(need(graph, 0)).flatMap((item) => {
    const tensor = follow(item);
    const kind = field(tensor, 1);
    if (kind === undefined || bytes.readInt8(kind) !== FLOAT16) return [];
    const data = field(buffers[u32(need(tensor, 2))] ?? 0, 0);
    if (data === undefined) return [];
    const start = follow(data);
    return [
      {
        name: bytes.toString('utf8', follow(need(tensor, 3)) + 4).split('\0')[0] ?? '',
        shape: items(need(tensor, 0)).map((at) => bytes.readInt32LE(at)),
        data: bytes.subarray(start + 4, start + 4 + u32(start)),
      },
    ];
  });
}

/** `[a, y, x, b]` to the order `order` of its axes. @param {Buffer} data @param {number[]} shape @param {number[]} order */
function transpose(data, shape, order) {
  const source = new Uint16Array(data.length / 2).map((_, i) => data.readUInt16LE(2 * i));
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const turned = order.map((axis) => shape[axis] ?? 1);
  const result = Buffer.alloc(data.length);
  for (let i = 0; i < source.length; i++) {
    let rest = i;
    let from = 0;
    for (let k = order.length - 1; k >= 0; k--) {
      from += (rest % (turned[k] ?? 1)) * (strides[order[k] ?? 0] ?? 0);
      rest = Math.floor(rest / (turned[k] ?? 1));
    }
    result.writeUInt16LE(source[from] ?? 0, 2 * i);
  }
  return { shape: turned, data: result };
}

/**
 * `.../conv2d_3/Kernel` becomes `conv2d_3.weight`, OIHW as libtorch wants it; a depthwise kernel has one channel in.
 *
 * @param {{ name: string, shape: number[], data: Buffer }} constant
 */
function renamed({ name, shape, data }) {
  const [layer = '', kind = ''] = name.split('/').slice(-2);
  if (kind === 'Bias') return { name: `${layer}.bias`, shape, data };
  const order = layer.startsWith('depthwise') ? [3, 0, 1, 2] : [0, 3, 1, 2];
  return { name: `${layer}.weight`, ...transpose(data, shape, order) };
}

/**
 * @param {{ name: string, shape: number[], data: Buffer }[]} tensors
 * @param {Record<string, string>} metadata
 */
function safetensors(tensors, metadata) {
  /** @type {Record<string, unknown>} */
  const header = { __metadata__: metadata };
  let end = 0;
  for (const { name, shape, data } of tensors) {
    header[name] = { dtype: 'F16', shape, data_offsets: [end, end + data.length] };
    end += data.length;
  }
  const text = JSON.stringify(header);
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, ...tensors.map(({ data }) => data)]);
}

const NOTICE = `The files short.safetensors and full.safetensors hold weights of BlazeFace, made by Google for MediaPipe and
published under the Apache License 2.0 (LICENSE beside this file) in the npm package @mediapipe/face_detection.

Changed: the constants of face_detection_short_range.tflite and face_detection_full_range.tflite were copied into
safetensors files, their axes reordered; no value was changed. Each file's metadata names its source and its hash.
`;

/** Writes the files; nothing where they are there already. */
export function writeFaceWeights() {
  const { version } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8'));
  mkdirSync(OUTPUT, { recursive: true });
  for (const [network, { file, sha256 }] of Object.entries(NETWORKS)) {
    const bytes = readFileSync(join(PACKAGE, file));
    const actual = createHash('sha256').update(bytes).digest('hex');
    if (actual !== sha256) {
      throw new Error(
        `${file} has sha256 ${actual}, expected ${sha256}: another version of the package is installed`,
      );
    }
    const tensors = constants(bytes)
      .map(renamed)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const source = `npm:@mediapipe/face_detection@${version}/${file}`;
    const target = join(OUTPUT, `${network}.safetensors`);
    writeFileSync(target, safetensors(tensors, { source, sha256, license: 'Apache-2.0' }));
  }
  copyFileSync(join(ROOT, 'scripts', 'Apache-2.0.txt'), join(OUTPUT, 'LICENSE'));
  writeFileSync(join(OUTPUT, 'NOTICE'), NOTICE);
}

/** Whether a build has to write them. */
export const hasFaceWeights = () =>
  ['short.safetensors', 'full.safetensors', 'LICENSE', 'NOTICE'].every((name) =>
    existsSync(join(OUTPUT, name)),
  );

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeFaceWeights();
