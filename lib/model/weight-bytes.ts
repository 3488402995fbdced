/** What a model's weights take in memory, by its shapes and forms. */
import type { NativeModelConfig, NativeWeightForm, NativeWeightForms } from '../binding/native.js';

/** Rows that are packed together (native/kernels/cpu/quantised_kernels.h). */
const BLOCK_ROWS = 32;

/** Of a weight [rows, columns], whose numbers have so many bytes where it is stored as it is. */
function matrixBytes(
  rows: number,
  columns: number,
  form: NativeWeightForm,
  bytes: number,
  group: number,
): number {
  const blocks = Math.ceil(rows / BLOCK_ROWS);
  switch (form) {
    case 'stored':
      return rows * columns * bytes;
    case 'int8': // codes in fours; a scale and a sum of codes a row
      return blocks * BLOCK_ROWS * (4 * Math.ceil(columns / 4) + 8);
    case 'fp8': // codes in fours; a scale a row
      return blocks * BLOCK_ROWS * (4 * Math.ceil(columns / 4) + 4);
    case 'nf4':
    case 'nf4-double': // groups of 64, a scale of four bytes each
      return blocks * BLOCK_ROWS * Math.ceil(columns / 64) * (32 + 4);
    case 'int4': // whole groups, a scale of two bytes each
      return blocks * BLOCK_ROWS * Math.ceil(columns / group) * (group / 2 + 2);
  }
}

type Shape = readonly [rows: number, columns: number];

const adder =
  (bytes: number, group: number) =>
  (form: NativeWeightForm, ...shapes: readonly Shape[]): number =>
    shapes.reduce(
      (sum, [rows, columns]) => sum + matrixBytes(rows, columns, form, bytes, group),
      0,
    );

/** What one token reads of them: the text layers and the head. */
export function decodeBytes(
  { text }: Pick<NativeModelConfig, 'text'>,
  bytes: number,
  forms: NativeWeightForms,
): number {
  const sum = adder(bytes, forms.group);
  const [d, f] = [text.hiddenSize, text.intermediateSize];
  const q = text.numAttentionHeads * text.headDim;
  const kv = text.numKeyValueHeads * text.headDim;
  const layer = sum(forms.text, [q + 2 * kv, d], [d, q], [2 * f, d], [d, f]);
  return text.numHiddenLayers * layer + sum(forms.head, [text.vocabSize, d]);
}

/** Norms and biases, a thousandth of it, are not counted. */
export function weightBytes(
  { vision, text, downsampleRatio, tiesEmbeddings }: NativeModelConfig,
  bytes: number,
  forms: NativeWeightForms,
): number {
  const sum = adder(bytes, forms.group);
  const d = text.hiddenSize;
  const [c, m] = [vision.hiddenSize, vision.intermediateSize];
  const { embeddings: form = 'stored' } = forms;
  const embeddings = sum(form, [text.vocabSize, d]);
  // A shared head has a form of its own beside the embeddings where it alone is quantised.
  const shared = tiesEmbeddings && forms.head === form ? embeddings : 0;
  const shuffled = c / downsampleRatio ** 2;
  return (
    decodeBytes({ text }, bytes, forms) +
    embeddings -
    shared +
    vision.numHiddenLayers * sum(forms.vision, [3 * c, c], [c, c], [m, c], [c, m]) +
    sum('stored', [c, 3 * vision.patchSize ** 2], [d, shuffled], [d, d])
  );
}
