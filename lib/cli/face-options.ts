/** Flags about faces, shared by the commands that look for them. */
import { type Command, InvalidArgumentError as UsageError, Option } from 'commander';

import { InvalidArgumentError } from '../errors.js';
import type { FaceOptions, PictureFaces, WhichFaces } from '../faces/index.js';
import type { PromptOptions } from '../model/index.js';
import {
  addPromptOptions,
  decimal,
  type PromptFlags,
  promptOptions,
  wholeNumber,
} from './options.js';

export interface FaceFlags {
  readonly faces?: WhichFaces | 'off';
  readonly margin?: number;
  readonly faceSize?: number;
  readonly minScore?: number;
  readonly minSide?: number;
  readonly smallFaces?: boolean;
  readonly orientation?: 'exif' | 'auto';
  /** False with `--no-align`. */
  readonly align?: boolean;
}

/** Of commands that ask about chips of faces. */
export interface AskedFaceFlags extends FaceFlags {
  readonly onNoFace?: 'error' | 'whole';
}

function which(text: string): WhichFaces | 'off' {
  const words = ['main', 'largest', 'each', 'all', 'off'] as const;
  const word = words.find((one) => one === text);
  if (word !== undefined) return word;
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw new UsageError(`Expected ${words.join(', ')}, or a number from the left, from 0.`);
}

/** @param usual what `--faces` stands for where it is absent */
export function addFaceOptions(command: Command, usual: string): Command {
  return command
    .addOption(
      new Option(
        '--faces <which>',
        `main, largest, each, all, off, or a number from the left (default: ${usual})`,
      ).argParser(which),
    )
    .option('--margin <m>', 'added on each side of a face, in its sides (default: 0.25)', decimal)
    .option('--face-size <n>', "pixels of a chip's edge (default: 448)", wholeNumber(16))
    .option('--min-score <s>', 'faces below do not count (default: 0.5; full range 0.6)', decimal)
    .option('--min-side <n>', 'faces smaller than so many pixels are set aside', wholeNumber(0))
    .option('--small-faces', 'look at parts of the picture as well; some 25 times as slow')
    .addOption(
      new Option('--orientation <how>', 'auto tries quarter turns').choices(['exif', 'auto']),
    )
    .option('--no-align', 'do not turn faces upright');
}

export function faceOptionsOf(flags: FaceFlags): FaceOptions {
  const { faces, margin, faceSize: size, minScore, minSide, smallFaces, orientation } = flags;
  const given = {
    ...{ margin, size, minScore, minSide, smallFaces, orientation },
    which: faces === 'off' ? undefined : faces,
    align: flags.align === false ? false : undefined,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** Of commands that ask a model about pictures: how prompts are written, and whether faces are cut out. */
export function addPictureOptions(command: Command): Command {
  return addAskedFaceOptions(addPromptOptions(command));
}

export function addAskedFaceOptions(command: Command): Command {
  return addFaceOptions(command, 'as the model was trained, else off').addOption(
    new Option('--on-no-face <what>', 'see the whole picture then (default: error)').choices([
      'error',
      'whole',
    ]),
  );
}

const FLAGS: Readonly<Record<string, string>> = {
  ...{ margin: '--margin', size: '--face-size', align: '--no-align', minScore: '--min-score' },
  ...{ minSide: '--min-side', smallFaces: '--small-faces', orientation: '--orientation' },
  onNoFace: '--on-no-face',
};

/** Undefined: as recorded. @throws InvalidArgumentError for flags about faces where none are asked for */
export function askedFacesOf(flags: AskedFaceFlags): PictureFaces | undefined {
  const { faces, onNoFace } = flags;
  const given = { ...faceOptionsOf(flags), ...(onNoFace === undefined ? {} : { onNoFace }) };
  if (faces !== undefined && faces !== 'off') return given;
  const details = Object.keys(given).map((name) => `${FLAGS[name] ?? name}: give --faces main too`);
  if (details.length === 0) return faces;
  throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'no faces are asked for', { details });
}

/** Flags to the API's prompt options; absent ones stay absent. */
export function pictureOptions(
  flags: PromptFlags & AskedFaceFlags,
): Omit<PromptOptions, 'signal' | 'maxPixels'> {
  return { ...promptOptions(flags), faces: askedFacesOf(flags) };
}
