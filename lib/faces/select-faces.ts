/** Which of a picture's faces are taken. */
import type { WhichFaces } from './options.js';
import type { FaceRecord, FacesRecord } from './record.js';

/** How much a face looks like the one that is meant: choosing by size and middle beats size alone. */
function prominence({ chip, box }: FaceRecord, { width, height }: FacePlane): number {
  const longer = Math.max(width, height);
  const x = box.x + box.width / 2 - width / 2;
  const y = box.y + box.height / 2 - height / 2;
  return (chip.side / longer) ** 2 - 2 * ((x * x + y * y) / longer ** 2);
}

type FacePlane = Pick<FacesRecord, 'width' | 'height'>;

function best(
  faces: readonly FaceRecord[],
  value: (face: FaceRecord) => number,
): readonly FaceRecord[] {
  const [first, ...others] = faces;
  if (first === undefined) return [];
  return [others.reduce((top, face) => (value(face) > value(top) ? face : top), first)];
}

/** Those that are not set aside, in their order. */
export function selectFaces(
  { faces, ...plane }: FacePlane & Pick<FacesRecord, 'faces'>,
  which: WhichFaces,
): readonly FaceRecord[] {
  const large = faces.filter(({ flags }) => !flags.includes('too-small'));
  switch (which) {
    case 'main':
      return best(large, (face) => prominence(face, plane));
    case 'largest':
      return best(large, ({ chip }) => chip.side);
    case 'each':
    case 'all':
      return large;
    default:
      return large.filter(({ index }) => index === which);
  }
}
