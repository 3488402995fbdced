/** Teachers, behind one interface. Those with a network or a model load their libraries when asked for. */
import { loadOptional } from '../../packages/optional.js';
import { LabelsTeacher, type LabelsTeacherOptions } from './labels-teacher.js';
import type { ModelTeacherOptions } from './model-teacher.js';
import type { OpenAiTeacherOptions } from './openai-options.js';
import type { Teacher } from './teacher.js';

/** Writes answers from the labels alone; needs no network. */
export function labelsTeacher(options: LabelsTeacherOptions = {}): Teacher {
  return new LabelsTeacher(options);
}

/**
 * Any OpenAI-compatible endpoint; the key is read from OPENAI_API_KEY only.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT; MissingPackageError FACELLM_PACKAGE_MISSING without the
 * `openai` package
 */
export async function openAiTeacher(options: OpenAiTeacherOptions = {}): Promise<Teacher> {
  const { OpenAiTeacher } = await loadOptional(
    ['openai'],
    { purpose: 'the openai teacher' },
    () => import('./openai-teacher.js'),
  );
  return new OpenAiTeacher(options);
}

/**
 * One of our own models, loaded for this.
 *
 * @throws CheckpointError, DeviceError, NativeLoadError, InvalidArgumentError
 */
export async function modelTeacher(options: ModelTeacherOptions): Promise<Teacher> {
  const { ModelTeacher } = await import('./model-teacher.js');
  return ModelTeacher.load(options);
}
