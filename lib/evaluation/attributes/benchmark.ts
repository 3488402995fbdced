/** A benchmark from a labelled folder: each picture is asked about each attribute that its labels tell. */
import type { PictureRow } from '../../data/labels/picture-rows.js';
import { createError } from '../../errors.js';
import { answerReader } from '../answers/read-answer.js';
import {
  type LabelledPictures,
  type LabelledPicturesOptions,
  readLabelledPictures,
} from '../labels/labelled-pictures.js';
import { pairedBenchmark, type PairedBenchmarkOptions } from '../paired/benchmark.js';
import type { Benchmark, EvaluationItem } from '../types.js';
import {
  answerOf,
  checkLabels,
  type Layout,
  type LayoutOptions,
  placeColumns,
  resolveAttributes,
} from './columns.js';
import { columnsOf, groupsOf } from '../labels/group-columns.js';
import { writeFairnessReport } from './report.js';

export interface AttributesOptions
  extends PairedBenchmarkOptions, LabelledPicturesOptions, LayoutOptions {}

/** Name of the attribute among an item's tags; groups stand under their own names. */
const ATTRIBUTE_TAG = 'attribute';

/** One picture's questions; none where its label is unknown or ignored. */
function itemsOf({ file, path, cells }: PictureRow, layout: Layout): EvaluationItem[] {
  const groups = groupsOf(layout.groups, cells);
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
        tags: { [ATTRIBUTE_TAG]: definition.name, ...groups },
      },
    ];
  });
}

/** What was left out, attribute by attribute. */
function notesOf(
  { skipped, layout }: LabelledPictures<Layout>,
  pictures: readonly PictureRow[],
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
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing every wrong definition
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID listing every fault of the label file by its line
 */
export async function attributesBenchmark(options: AttributesOptions): Promise<Benchmark> {
  const definitions = resolveAttributes(options);
  const found = await readLabelledPictures(
    options,
    (file) => placeColumns(file, definitions, options),
    checkLabels,
  );
  const { layout } = found;
  const pictures = found.pictures.slice(0, options.limit);
  const items = pictures.flatMap((picture) => itemsOf(picture, layout));
  if (items.length === 0) {
    throw createError(
      'FACELLM_DATA_INVALID',
      `${found.file.path}: no picture has a label for ${layout.attributes.map(({ definition }) => definition.name).join(', ')}`,
    );
  }
  const attributes = layout.attributes.map(({ definition }) => definition);
  const readers = new Map(attributes.map(({ name, choices }) => [name, answerReader(choices)]));
  return pairedBenchmark({
    name: 'attributes',
    items,
    readings: options.readings ?? ['text', 'probability'],
    readText: (place, text) => readers.get(items[place]?.tags[ATTRIBUTE_TAG] ?? '')?.(text).choice,
    options,
    file: found.file,
    pictures: new Map(pictures.map(({ file, path }) => [file, path])),
    groups: columnsOf(layout.groups),
    of: [pictures.length, found.pictures.length, 'pictures'],
    isPartial: found.skipped > 0,
    notes: notesOf(found, pictures),
    report: (report) => writeFairnessReport({ ...report, attributes }),
  });
}
