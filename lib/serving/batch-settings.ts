/** What answers of a batch follow from besides its lines: a batch that was begun with others is not gone on with. */
import type { Calibration } from '../calibration/index.js';
import { faceSettings, type PictureFaces, resolveAskedFaces } from '../faces/index.js';
import { sha256 } from '../files/index.js';
import type { FaceLlm } from '../model/index.js';
import type { Policy } from './options.js';

export type BatchSettings = Readonly<Record<string, unknown>>;

/** @param ids that requests may name */
export function settingsOf(
  model: FaceLlm,
  ids: readonly string[],
  calibrations: readonly Calibration[],
  faces: PictureFaces | undefined,
): BatchSettings {
  const asked = typeof faces === 'object' ? resolveAskedFaces(faces) : undefined;
  return {
    model: model.contentHash,
    models: ids,
    calibration: calibrations.map(({ file }) => sha256(JSON.stringify(file))),
    faces: asked ? { ...faceSettings(asked), onNoFace: asked.onNoFace } : (faces ?? null),
  };
}

/** Of a server's requests that do not say. */
export function defaultsOf({ defaultTemperature, ignoresUnknown, limits }: Policy): BatchSettings {
  return {
    temperature: defaultTemperature,
    unknown_fields: ignoresUnknown ? 'ignore' : 'refuse',
    max_tokens: Math.min(limits.defaultMaxTokens, limits.maxTokens),
  };
}
