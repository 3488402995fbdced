/** Faces of pictures: found, chosen, cut out. */
export {
  cutAgain,
  cutFaces,
  detectFaces,
  type DetectedFaces,
  type DetectFacesOptions,
  keepChips,
} from './detect-faces.js';
export { KnownFaces, type TakenFaces } from './known-faces.js';
export {
  type AskedFaces,
  askedFaces,
  type FaceBox,
  type FaceDetector,
  type FaceOptions,
  faceOptions,
  type FacePoint,
  type FacePoints,
  faceSettings,
  type FoundFace,
  type PictureFaces,
  pictureFaces,
  type ResolvedAskedFaces,
  resolveAskedFaces,
  resolveFaceOptions,
  resolvePictureFaces,
  type ResolvedFaceOptions,
  whichFaces,
  type WhichFaces,
} from './options.js';
export type { ChipPlace, FaceFlag, FaceRecord, FacesRecord } from './record.js';
