/** The field `faces` of a request: whether its pictures are brought to chips of faces, and how. */
import type { AskedFaces, FacesRecord, PictureFaces } from '../faces/index.js';
import { type Fields, isObject } from './values.js';

const WORDS = ['main', 'largest', 'all'] as const;
const KNOWN = [
  ...['which', 'margin', 'size', 'align', 'min_score', 'min_side', 'small_faces', 'orientation'],
  ...['refine', 'on_no_face'],
];
/** Pixels of a chip's edge: many faces of one picture are held at a time. */
const MOST_SIZE = 1024;
const MOST_INDEX = 10_000;

/** A word, a number from the left, or an object of both and of how chips are cut. */
export function readFaces(fields: Fields): PictureFaces | undefined {
  const given = fields.raw('faces');
  if (given === undefined || given === 'off' || given === 'cropped') return given;
  const own = isObject(given) ? fields.object('faces', KNOWN) : fields;
  const name = isObject(given) ? 'which' : 'faces';
  const which =
    typeof own?.raw(name) === 'number' ? own.whole(name, 0, MOST_INDEX) : readWord(own, name);
  if (own === undefined || own === fields) return { which };
  const asked: AskedFaces = {
    which,
    margin: own.number('margin', 0, 3),
    size: own.whole('size', 16, MOST_SIZE),
    align: own.flag('align'),
    minScore: own.number('min_score', 0.3, 1),
    minSide: own.number('min_side', 0, 1e6),
    smallFaces: own.flag('small_faces'),
    orientation: own.word('orientation', 'exif', 'auto'),
    refine: own.flag('refine'),
    onNoFace: own.word('on_no_face', 'error', 'whole'),
  };
  return asked;
}

function readWord(fields: Fields | undefined, name: string): AskedFaces['which'] {
  const given = fields?.raw(name);
  const word = WORDS.find((one) => one === given);
  if (word === undefined && given !== undefined) {
    fields?.problems.wrong(
      fields.param(name),
      `${WORDS.join(', ')}, a number from the left${name === 'faces' ? ', off, cropped or an object' : ''}; ` +
        'each face is a request of its own, by its number',
    );
  }
  return word;
}

/** What is sent of the faces that were seen; nothing where they were not looked for. */
export function facesWritten(seen: readonly FacesRecord[] | undefined): object {
  if (seen === undefined) return {};
  return {
    faces: seen.map(({ minScore, minSide, quarterTurns, faces, ...record }) => ({
      ...record,
      ...{ min_score: minScore, min_side: minSide, quarter_turns: quarterTurns },
      faces: faces.map(({ points, noseOffset, ...face }) => ({
        ...face,
        points: {
          right_eye: points.rightEye,
          left_eye: points.leftEye,
          nose_tip: points.noseTip,
          mouth: points.mouth,
          right_ear: points.rightEar,
          left_ear: points.leftEar,
        },
        nose_offset: noseOffset,
      })),
    })),
  };
}
