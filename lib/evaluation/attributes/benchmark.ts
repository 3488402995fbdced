/** A benchmark from a labelled folder: each picture is asked about each attribute that its labels tell. */
import { createError } from '../../errors.js';
import {
  fingerprint,
  type LabelledPicture,
  type LabelledPictures,
  type LabelledPicturesOptions,
  readLabelledPictures,
  sourceOf,
} from '../labels/index.js';
import { DEFAULT_CONFIDENCE, SMALL_GROUP } from '../metrics/index.js';
import type { Benchmark, EvaluationItem } from '../types.js';
import {
  answerOf,
  checkLabels,
  type Layout,
  type LayoutOptions,
  placeColumns,
  resolveAttributes,
} from './columns.js';
import { groupOf, valueOrder } from './group-columns.js';
import { writeFairnessReport } from './report.js';

export interface AttributesOptions extends LabelledPicturesOptions, LayoutOptions {
  /** @default both */
  readonly readings?: Benchmark['readings'] | undefined;
  /** The first pictures only, after split and where. @default all */
  readonly limit?: number | undefined;
  /** Groups of fewer pictures are marked and decide no gap. @default 30 */
  readonly smallGroup?: number | undefined;
  /** Of the resampling behind some intervals. @default 0 */
  readonly seed?: number | undefined;
}

function checkOptions({ readings, limit, smallGroup, seed, data }: AttributesOptions): void {
  const problems: string[] = [];
  const natural = (name: string, value: number | undefined, least: number): void => {
    if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return;
    problems.push(`${name}: expected a whole number from ${least}, got ${value}`);
  };
  if (typeof data !== 'string' || data === '') problems.push('data: expected the path of a folder');
  natural('limit', limit, 1);
  natural('smallGroup', smallGroup, 1);
  natural('seed', seed, 0);
  if (readings?.length === 0) problems.push('readings: expected text, probability or both');
  for (const reading of readings ?? []) {
    if (reading === 'text' || reading === 'probability') continue;
    problems.push(`readings: expected text or probability, got ${String(reading)}`);
  }
  if (problems.length === 0) return;
  throw createError('FACELLM_INVALID_ARGUMENT', 'the options of the attributes are wrong', {
    details: problems,
  });
}

/** Name of the attribute among an item's tags; groups stand under their own names. */
export const ATTRIBUTE_TAG = 'attribute';

/** One picture's questions; none where its label is unknown or ignored. */
function itemsOf({ file, path, cells }: LabelledPicture, layout: Layout): EvaluationItem[] {
  const groups = layout.groups.flatMap((group) => {
    const name = groupOf(group, cells);
    return name === undefined ? [] : [[group.name, name] as const];
  });
  return layout.attributes.flatMap(({ definition, column }) => {
    const answer = answerOf(definition, cells[column] ?? '');
    if (answer === undefined) return [];
    return [
      {
        id: `${file}#${definition.name}`,
        images: [path],
        prompt: definition.question,
        choices: definition.choices.map(({ text }) => text),
        answer,
        tags: { [ATTRIBUTE_TAG]: definition.name, ...Object.fromEntries(groups) },
      },
    ];
  });
}

/** What was left out, attribute by attribute. */
function notesOf(
  { skipped }: LabelledPictures,
  pictures: readonly LabelledPicture[],
  layout: Layout,
): string[] {
  const notes = skipped === 0 ? [] : [`${skipped} faulty row(s) of the label file were left out`];
  for (const { definition, column } of layout.attributes) {
    const labels = pictures.map(({ cells }) => cells[column] ?? '');
    const unknown = labels.filter((label) => label === '').length;
    if (unknown > 0) notes.push(`${definition.name}: not known of ${unknown} picture(s)`);
    const ignored = labels.filter((label) => definition.ignoredLabels?.includes(label));
    if (ignored.length > 0) {
      const values = [...new Set(ignored)].sort().join(', ');
      notes.push(`${definition.name}: ${ignored.length} picture(s) not asked about (${values})`);
    }
  }
  return notes;
}

/**
 * Reads the labels, finds the pictures, and makes one item of each picture and attribute, picture by picture, so
 * that a picture is encoded once. All pictures are read once for the fingerprint.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every wrong option or definition
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID listing every fault of the label file by its line
 */
export async function attributesBenchmark(options: AttributesOptions): Promise<Benchmark> {
  checkOptions(options);
  const definitions = resolveAttributes(options);
  let layout: Layout = { attributes: [], groups: [] };
  const found = await readLabelledPictures(options, (file) => {
    layout = placeColumns(file, definitions, options);
    return checkLabels(layout);
  });
  const pictures = found.pictures.slice(0, options.limit);
  const items = pictures.flatMap((picture) => itemsOf(picture, layout));
  if (items.length === 0) {
    throw createError(
      'FACELLM_DATA_INVALID',
      `${found.file.path}: no picture has a label for ${layout.attributes.map(({ definition }) => definition.name).join(', ')}`,
    );
  }
  const asked = layout.attributes.map(({ definition }) => definition);
  const { readings = ['text', 'probability'], smallGroup = SMALL_GROUP, seed = 0 } = options;
  const groups = layout.groups.map((group) => ({ name: group.name, order: valueOrder(group) }));
  const isPartial = found.skipped > 0 || pictures.length < found.pictures.length;
  const notes = [
    ...notesOf(found, pictures, layout),
    ...(pictures.length < found.pictures.length
      ? [`only the first ${pictures.length} of ${found.pictures.length} pictures`]
      : []),
  ];
  const { sha256, sources } = await fingerprint({
    items,
    pictures: new Map(pictures.map(({ file, path }) => [file, path])),
  });
  return {
    name: 'attributes',
    isPartial,
    notes,
    items,
    fingerprint: sha256,
    sources: [sourceOf(options.data, found.file), ...sources],
    readings,
    report: (runs, output, how) =>
      writeFairnessReport({
        ...how,
        runs,
        output,
        items,
        notes,
        isPartial,
        readings,
        smallGroup,
        seed,
        groups,
        attributes: asked,
        confidence: DEFAULT_CONFIDENCE,
      }),
  };
}
