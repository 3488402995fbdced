/** Faces of pictures: found, chosen, cut out. */
export {
  cutFaces,
  detectFaces,
  type DetectedFaces,
  type DetectFacesOptions,
} from './detect-faces.js';
export {
  type FaceBox,
  type FaceDetector,
  type FaceOptions,
  faceOptions,
  type FacePoint,
  type FacePoints,
  type FoundFace,
  resolveFaceOptions,
  type ResolvedFaceOptions,
  whichFaces,
  type WhichFaces,
} from './options.js';
export type { ChipPlace, FaceFlag, FaceRecord, FacesRecord } from './record.js';
