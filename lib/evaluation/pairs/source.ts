/** Where pairs come from: a published list, or people drawn from a label file; and what groups pictures are in. */
import { existingFolder, findPictures } from '../../data/labels/image-folder.js';
import type { PictureRow, RowProblem } from '../../data/labels/picture-rows.js';
import { createError } from '../../errors.js';
import {
  columnsOf,
  type GroupOptions,
  groupsOf,
  type PlacedGroup,
  placeGroups,
} from '../labels/group-columns.js';
import { findColumn, missingColumn } from '../labels/label-file.js';
import { type LabelledPicturesOptions, readLabelledPictures } from '../labels/labelled-pictures.js';
import type { GroupColumn } from '../paired/groups.js';
import type { EvaluationSource } from '../types.js';
import { drawPairs } from './draw-pairs.js';
import type { Pair } from './pair.js';
import { pairProblems, readPairFile } from './pair-file.js';

export interface PairSource {
  /** That pairs come from: a list or a label file. */
  readonly file: EvaluationSource;
  readonly pairs: readonly Pair[];
  /** Absolute path of a picture. */
  readonly locate: (file: string) => string;
  /** What is known of each picture, by the names of groups. */
  readonly groups: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** The groups, in the order of tables. */
  readonly columns: readonly GroupColumn[];
  readonly notes: readonly string[];
  /** Faulty rows were left out. */
  readonly isPartial: boolean;
}

export interface SourceOptions extends LabelledPicturesOptions, GroupOptions {}

export interface PeopleOptions extends SourceOptions {
  readonly genuine: number;
  readonly impostor: number;
  readonly impostors?: 'any' | 'same-groups' | undefined;
  readonly seed: number;
}

/** The groups that pictures are in, and those that there are. */
function grouped(
  pictures: readonly PictureRow[],
  placed: readonly PlacedGroup[],
): Pick<PairSource, 'groups' | 'columns'> {
  const groups = new Map(pictures.map(({ file, cells }) => [file, groupsOf(placed, cells)]));
  return { groups, columns: columnsOf(placed) };
}

/**
 * Draws pairs from a label file with a column of identities.
 *
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID
 */
export async function pairsOfPeople(options: PeopleOptions): Promise<PairSource> {
  const name = options.columns?.['identity'] ?? 'identity';
  const { genuine, impostor, seed, impostors } = options;
  const { file, pictures, skipped, layout } = await readLabelledPictures(options, (labels) => {
    const identity = findColumn(labels, [name]);
    if (identity !== -1) return { identity, placed: placeGroups(labels, options) };
    throw createError(
      'FACELLM_DATA_INVALID',
      `${labels.path}: ${missingColumn(labels, name, 'people')} (columns.identity names another, \`pairs\` a list)`,
    );
  });
  const identityOf = ({ cells }: PictureRow): string => cells[layout.identity] ?? '';
  const known = pictures.filter((picture) => identityOf(picture) !== '');
  const { groups, columns } = grouped(known, layout.placed);
  const poolOf = (one: string): string =>
    impostors === 'same-groups' ? JSON.stringify(groups.get(one)) : '';
  const pairs = drawPairs({
    pictures: known.map((one) => ({
      ...{ file: one.file, identity: identityOf(one), pool: poolOf(one.file) },
    })),
    ...{ genuine, impostor, seed },
  });
  const paths = new Map(known.map((one) => [one.file, one.path]));
  const drawn = pairs.filter(({ isGenuine }) => isGenuine).length;
  const unknown = pictures.length - known.length;
  return {
    ...{ file, pairs, groups, columns },
    locate: (one) => paths.get(one) ?? one,
    notes: [
      `${drawn} pair(s) of one person and ${pairs.length - drawn} of two drawn from ${known.length} pictures with seed ${seed}`,
      impostors === 'same-groups' && 'pairs of two people are alike in all groups',
      unknown > 0 && `${unknown} picture(s) of people not known were not used`,
      skipped > 0 && `${skipped} faulty row(s) of the label file were left out`,
    ].filter((note) => note !== false),
    isPartial: skipped > 0,
  };
}

/** Groups of a list's pictures, if a label file is named; pictures that it does not have are in no group. */
async function labelledGroups(options: SourceOptions): Promise<ReturnType<typeof grouped>> {
  if (options.labels === undefined) return grouped([], []);
  const found = await readLabelledPictures(options, (file) => placeGroups(file, options));
  return grouped(found.pictures, found.layout);
}

/**
 * Reads a list of pairs and looks for its pictures.
 *
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID listing every fault by its line
 */
export async function listedPairs(path: string, options: SourceOptions): Promise<PairSource> {
  const folder = await existingFolder(options.data, 'pictures');
  const list = await readPairFile(path, options.columns);
  const files = [...new Set(list.pairs.flatMap(({ first, second }) => [first, second]))];
  const find = await findPictures(folder, files);
  const lost = list.pairs.flatMap(({ first, second, line }): RowProblem[] =>
    [first, second].flatMap((file) => {
      const { path: at, problem } = find(file);
      return problem === undefined ? [] : [{ line, text: `picture ${at} ${problem}` }];
    }),
  );
  const problems = [...list.problems, ...lost];
  const faulty = new Set(problems.map(({ line }) => line));
  const pairs = list.pairs.filter(({ line }) => !faulty.has(line));
  if (pairs.length === 0 || (problems.length > 0 && options.onInvalid !== 'skip')) {
    throw pairProblems(path, { ...list, problems });
  }
  return {
    file: { path, sha256: list.sha256 },
    pairs,
    locate: (file) => find(file).path,
    ...(await labelledGroups(options)),
    notes: faulty.size > 0 ? [`${faulty.size} faulty line(s) of the list were left out`] : [],
    isPartial: faulty.size > 0,
  };
}
