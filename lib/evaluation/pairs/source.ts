/** Where pairs come from: a published list, or people drawn from a label file; and what groups pictures are in. */
import { resolve } from 'node:path';

import { locateImages } from '../../data/labels/image-folder.js';
import { findMissing, isFolder } from '../../data/lookup.js';
import { createError } from '../../errors.js';
import {
  columnsOf,
  type GroupOptions,
  groupsOf,
  type PlacedGroup,
  placeGroups,
} from '../labels/group-columns.js';
import { findColumn, type LabelProblem, missingColumn } from '../labels/label-file.js';
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

/**
 * Draws pairs from a label file with a column of identities.
 *
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID
 */
export async function pairsOfPeople(options: PeopleOptions): Promise<PairSource> {
  const name = options.columns?.['identity'] ?? 'identity';
  let identity = -1;
  let placed: readonly PlacedGroup[] = [];
  const found = await readLabelledPictures(options, (file) => {
    identity = findColumn(file, [name]);
    if (identity === -1) {
      throw createError(
        'FACELLM_DATA_INVALID',
        `${file.path}: ${missingColumn(file, name, 'people')} (columns.identity names another, \`pairs\` a list)`,
      );
    }
    placed = placeGroups(file, options);
    return () => [];
  });
  const known = found.pictures.filter(({ cells }) => cells[identity] !== '');
  const groups = new Map(known.map((picture) => [picture.file, groupsOf(placed, picture.cells)]));
  const pairs = drawPairs({
    pictures: known.map(({ file, cells }) => ({
      file,
      identity: cells[identity] ?? '',
      pool: options.impostors === 'same-groups' ? JSON.stringify(groups.get(file)) : '',
    })),
    genuine: options.genuine,
    impostor: options.impostor,
    seed: options.seed,
  });
  const paths = new Map(known.map(({ file, path }) => [file, path]));
  const genuine = pairs.filter(({ isGenuine }) => isGenuine).length;
  const unknown = found.pictures.length - known.length;
  return {
    file: found.file,
    pairs,
    locate: (file) => paths.get(file) ?? file,
    groups,
    columns: columnsOf(placed),
    notes: [
      `${genuine} pair(s) of one person and ${pairs.length - genuine} of two drawn from ${known.length} pictures with seed ${options.seed}`,
      options.impostors === 'same-groups' && 'pairs of two people are alike in all groups',
      unknown > 0 && `${unknown} picture(s) of people not known were not used`,
      found.skipped > 0 && `${found.skipped} faulty row(s) of the label file were left out`,
    ].filter((note) => note !== false),
    isPartial: found.skipped > 0,
  };
}

/** Groups of a list's pictures, if a label file is named; pictures that it does not have are in no group. */
async function labelledGroups(
  options: SourceOptions,
): Promise<Pick<PairSource, 'groups' | 'columns'>> {
  if (options.labels === undefined) return { groups: new Map(), columns: [] };
  let placed: readonly PlacedGroup[] = [];
  const { pictures } = await readLabelledPictures(options, (file) => {
    placed = placeGroups(file, options);
    return () => [];
  });
  return {
    groups: new Map(pictures.map((picture) => [picture.file, groupsOf(placed, picture.cells)])),
    columns: columnsOf(placed),
  };
}

/**
 * Reads a list of pairs and looks for its pictures.
 *
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_DATA_INVALID listing every fault by its line
 */
export async function listedPairs(path: string, options: SourceOptions): Promise<PairSource> {
  const folder = resolve(options.data);
  if (!(await isFolder(folder))) {
    throw createError('FACELLM_DATA_NOT_FOUND', `there is no folder ${folder} of pictures`);
  }
  const list = await readPairFile(path, options.columns);
  const files = [...new Set(list.pairs.flatMap(({ first, second }) => [first, second]))];
  const locate = await locateImages(folder, files);
  const missing = await findMissing(new Set(files.map(locate)));
  const lost = list.pairs.flatMap(({ first, second, line }): LabelProblem[] =>
    [first, second].flatMap((file) => {
      const problem = missing.get(locate(file));
      return problem === undefined ? [] : [{ line, text: `picture ${locate(file)} ${problem}` }];
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
    locate,
    ...(await labelledGroups(options)),
    notes: faulty.size > 0 ? [`${faulty.size} faulty line(s) of the list were left out`] : [],
    isPartial: faulty.size > 0,
  };
}
