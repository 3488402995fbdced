/** Flags about faces, shared by the commands that look for them. */
import { type Command, InvalidArgumentError as UsageError, Option } from 'commander';

import type { FaceOptions, WhichFaces } from '../faces/index.js';
import { decimal, wholeNumber } from './options.js';

export interface FaceFlags {
  readonly faces?: WhichFaces | 'off';
  readonly margin?: number;
  readonly faceSize?: number;
  readonly minScore?: number;
  readonly minSide?: number;
  readonly smallFaces?: boolean;
  readonly orientation?: 'exif' | 'auto';
  /** False with `--no-align`. */
  readonly align: boolean;
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
    align: flags.align ? undefined : false,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
