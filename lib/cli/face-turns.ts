/** What a command asks of the faces of its pictures, and what it tells people of them. */
import { InvalidArgumentError } from '../errors.js';
import { detectFaces, type FacesRecord, type PictureFaces } from '../faces/index.js';

/** What a command asks once, or once for each face of its picture. */
export interface FaceTurn {
  /** With `--faces each`. */
  readonly face: number | undefined;
  readonly faces: PictureFaces | undefined;
}

/**
 * One turn, or with `--faces each` one for each face of the one picture, from the left.
 *
 * @throws InvalidArgumentError for several pictures; ImageError
 */
export async function faceTurns(
  pictures: readonly string[],
  faces: PictureFaces | undefined,
  signal?: AbortSignal,
): Promise<readonly FaceTurn[]> {
  if (typeof faces !== 'object' || faces.which !== 'each') return [{ face: undefined, faces }];
  const [picture, ...others] = pictures;
  if (picture === undefined || others.length > 0) {
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      '--faces each asks about the faces of one picture; give one, or --faces all',
    );
  }
  const { onNoFace, ...looked } = faces;
  const { used } = await detectFaces(picture, { ...looked, signal });
  // Without a face the model's own rule says what becomes of the picture.
  if (used.length === 0)
    return [{ face: undefined, faces: { ...looked, onNoFace, which: 'main' } }];
  return used.map((face) => ({ face, faces: { ...faces, which: face } }));
}

/** What is checked before anything is loaded. */
export function oneFace(faces: PictureFaces | undefined): PictureFaces | undefined {
  return typeof faces === 'object' && faces.which === 'each' ? { ...faces, which: 0 } : faces;
}

/** A line a picture, for people. */
export function describeFaces(seen: readonly FacesRecord[] | undefined): string {
  return (seen ?? [])
    .map(({ found, used }) => {
      const faces = found === 1 ? '1 face' : `${found} faces`;
      return used.length === 0
        ? `${faces} found, the whole picture asked about\n`
        : `${faces} found, asked about ${used.length === 1 ? `number ${used[0]}` : `all ${used.length}`}\n`;
    })
    .join('');
}
