/** One picture to its rows: read, faces found and cut out, each asked. What is wrong with a picture is a row, too. */
import type { Calibration } from '../calibration/index.js';
import { readFile } from 'node:fs/promises';

import { FaceLlmError, ImageError } from '../errors.js';
import {
  type AskedFaces,
  cutFaces,
  type FaceRecord,
  type ResolvedFaceOptions,
} from '../faces/index.js';
import { sha256, systemCode } from '../files/index.js';
import type { ItemResult } from '../generation/index.js';
import { decodeImage, type ImageSource } from '../image/index.js';
import type { ChooseItemsOptions } from '../model/index.js';
import type { AnnotationQuestion } from './questions.js';

/** What answers: a loaded model, or anything like it. */
export interface AnnotatingModel {
  /** Tells models apart whose answers may differ. */
  readonly fingerprint: string;
  /** The same, whatever machine and process it is in: what a run goes by. @default fingerprint */
  readonly contentHash?: string;
  /** How faces are cut where the caller does not say: those of a model trained on chips. @default off */
  readonly faces?: AskedFaces | 'off';
  choose(options: ChooseItemsOptions): Promise<readonly ItemResult[]>;
}

export type RowStatus = 'ok' | 'no-face' | 'too-small' | 'unreadable' | 'too-large' | 'model-error';

export interface AnnotationAnswer {
  /** Null: below the question's `minProbability`. */
  readonly best: string | null;
  /** Of the most probable one. */
  readonly probability: number;
  /** To the second. */
  readonly margin: number;
  /** By choice; they add up to 1. */
  readonly probabilities: Readonly<Record<string, number>>;
  /** Expected, where the question gives values. */
  readonly value?: number;
  /** At a temperature fitted on labels; only where the run was given a calibration. */
  readonly calibrated?: {
    /** Of the most probable one. */
    readonly probability: number;
    readonly probabilities: Readonly<Record<string, number>>;
  };
}

export interface AnnotationRow {
  readonly file: string;
  readonly sha256: string | null;
  /** Pixels, upright. */
  readonly width: number | null;
  readonly height: number | null;
  readonly facesFound: number | null;
  readonly face: FaceRecord | null;
  readonly status: RowStatus;
  readonly error: string | null;
  readonly answers: Readonly<Record<string, AnnotationAnswer>>;
}

export interface Annotating {
  readonly model: AnnotatingModel;
  readonly questions: readonly AnnotationQuestion[];
  readonly calibration: Calibration | undefined;
  /** Undefined: the whole picture is asked about. */
  readonly faces: ResolvedFaceOptions | undefined;
  readonly signal: AbortSignal;
}

/** As fp32 holds it, in nine digits: what is written is what is read again. */
const rounded = (value: number): number => Number(Math.fround(value).toPrecision(9));

function toAnswer(
  { values, minProbability = 0 }: AnnotationQuestion,
  { choices, best, calibrated }: ItemResult,
): AnnotationAnswer {
  const shares = choices.map(({ probability }) => probability);
  const [first = 0, second = 0] = [...shares].sort((a, b) => b - a);
  const expected = shares.reduce((sum, share, i) => sum + share * (values?.[i] ?? 0), 0);
  const named = (all: readonly number[]): Readonly<Record<string, number>> =>
    Object.fromEntries(choices.map(({ text }, i) => [text, rounded(all[i] ?? 0)]));
  return {
    best: first < minProbability ? null : best.text,
    ...{ probability: rounded(first), margin: rounded(first - second) },
    probabilities: named(shares),
    ...(values === undefined ? {} : { value: rounded(expected) }),
    ...(calibrated === undefined
      ? {}
      : {
          calibrated: {
            probability: rounded(Math.max(...calibrated.probabilities)),
            probabilities: named(calibrated.probabilities),
          },
        }),
  };
}

async function ask(
  { model, questions, calibration, faces, signal }: Annotating,
  image: ImageSource | readonly ImageSource[],
): Promise<Pick<AnnotationRow, 'status' | 'error' | 'answers'>> {
  try {
    const items = questions.map(({ name: id, question, choices }) => ({ id, question, choices }));
    const results = await model.choose({
      ...{ image, items, calibration, signal },
      faces: faces === undefined ? 'off' : 'cropped',
    });
    const answers = questions.map((one, i) => [one.name, toAnswer(one, results[i] as ItemResult)]);
    return {
      ...{ status: 'ok', error: null },
      answers: Object.fromEntries(answers) as AnnotationRow['answers'],
    };
  } catch (error) {
    signal.throwIfAborted();
    // A model that is gone answers nothing any more, nor is a calibration for another one of use; what is a question's own fault concerns its row.
    if (!(error instanceof FaceLlmError) || /DISPOSED|DEVICE|MEMORY|CALIBRATION/.test(error.code))
      throw error;
    return { status: 'model-error', error: error.message, answers: {} };
  }
}

const EMPTY = { width: null, height: null, facesFound: null, face: null, answers: {} };

/** @param path of the file; its name in the list stands in the rows */
export async function annotatePicture(
  work: Annotating,
  file: string,
  path: string,
): Promise<readonly AnnotationRow[]> {
  const { faces, signal } = work;
  let hash: string | null = null;
  try {
    const bytes = await readFile(path);
    hash = sha256(bytes);
    const image = await decodeImage(bytes, { signal });
    const { width, height } = image;
    const seen = { file, sha256: hash, width, height };
    if (faces === undefined) {
      return [{ ...seen, facesFound: null, face: null, ...(await ask(work, bytes)) }];
    }
    const { found, used, faces: all, chips } = await cutFaces(image, faces, signal);
    const known = { ...seen, facesFound: found };
    if (chips.length === 0) {
      const status = found === 0 ? 'no-face' : 'too-small';
      return [{ ...known, face: null, status, error: null, answers: {} }];
    }
    if (faces.which === 'all') return [{ ...known, face: null, ...(await ask(work, chips)) }];
    return await Promise.all(
      chips.map(async (chip, i) => ({
        ...known,
        face: all[used[i] ?? 0] ?? null,
        ...(await ask(work, chip)),
      })),
    );
  } catch (error) {
    signal.throwIfAborted();
    const isOfSystem = (error as { errno?: unknown } | null)?.errno !== undefined;
    if (!(error instanceof ImageError) && !isOfSystem) throw error;
    const isLarge = error instanceof ImageError && error.code === 'FACELLM_IMAGE_TOO_LARGE';
    const message =
      error instanceof ImageError ? error.message : `cannot be read (${systemCode(error)})`;
    return [
      {
        ...EMPTY,
        file,
        sha256: hash,
        status: isLarge ? 'too-large' : 'unreadable',
        error: message,
      },
    ];
  }
}
