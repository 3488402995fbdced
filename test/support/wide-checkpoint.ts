/** The tiny checkpoint with layers of 64 and 128 columns, of which bitsandbytes' blocks of 64 are whole rows' parts. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { BASE } from './training.js';
import { type RawTensor, readRaw, writeSafetensors } from './original-layout.js';

const [NARROW, WIDE] = [96, 128];

/** A tensor of any float dtype with more rows or columns; what is new repeats what is there, with its sign turned. */
function widened({ dtype, shape, bytes }: RawTensor): RawTensor {
  const [rows = 0, columns = 0] = shape;
  const [toRows = 0, toColumns = 0] = shape.map((size) => (size === NARROW ? WIDE : size));
  const size = bytes.length / (rows * columns);
  const wide = Buffer.alloc(toRows * toColumns * size);
  for (let at = 0; at < toRows * toColumns; at++) {
    const [row, column] = [Math.floor(at / toColumns), at % toColumns];
    const from = ((row % rows) * columns + (column % columns)) * size;
    bytes.copy(wide, at * size, from, from + size);
    const last = (at + 1) * size - 1;
    if (row >= rows || column >= columns) wide[last] = (wide[last] ?? 0) ^ 0x80;
  }
  return { dtype, shape: [toRows, toColumns], bytes: wide };
}

export function writeWideCheckpoint(folder: string): void {
  cpSync(BASE, folder, { recursive: true });
  const tensors = [...readRaw(BASE)].map(([name, tensor]): [string, RawTensor] => [
    name,
    /language_model.*mlp\..*_proj\.weight$/.test(name) ? widened(tensor) : tensor,
  ]);
  writeSafetensors(join(folder, 'model.safetensors'), new Map(tensors));
  const path = join(folder, 'config.json');
  const config = JSON.parse(readFileSync(path, 'utf8')) as { text_config: object };
  const text = { ...config.text_config, intermediate_size: WIDE };
  writeFileSync(path, JSON.stringify({ ...config, text_config: text }));
}
