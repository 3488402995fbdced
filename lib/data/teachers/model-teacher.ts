/** One of our own models as a teacher: no network, no key, no cost. */
import type { FaceLlm, LoadOptions } from '../../model/index.js';
import {
  faceSettings,
  type PictureFaces,
  pictureFaces,
  resolvePictureFaces,
} from '../../faces/index.js';
import { checkFields, field, fields, name, whole } from '../../options/index.js';
import { type TeacherAnswer, TeacherFailure, type TeacherRequest } from './exchange.js';
import type { Teacher } from './teacher.js';

export interface ModelTeacherOptions {
  /** Checkpoint folder, or a hub id in the local cache. */
  readonly model: string;
  /** Longest answer, in tokens. @default 500 */
  readonly maxTokens?: number | undefined;
  readonly load?: LoadOptions | undefined;
  /** Asks about chips of faces in place of the pictures. @default as the model was trained, else off */
  readonly faces?: PictureFaces | undefined;
}

const teacherOptions = fields<ModelTeacherOptions>({
  model: name('a checkpoint folder, or a hub id in the local cache'),
  maxTokens: whole(1).optional(),
  // FaceLlm.load's to check.
  load: field<LoadOptions>(
    'load options',
    (value) => typeof value === 'object' && value !== null,
  ).optional(),
  faces: pictureFaces.optional(),
});

export class ModelTeacher implements Teacher {
  readonly name = 'model';
  readonly identity: Readonly<Record<string, unknown>>;
  // The engine answers one conversation after another; the second is prepared meanwhile.
  readonly defaultConcurrency = 2;
  readonly prices = undefined;
  readonly #model: FaceLlm;
  readonly #name: string;
  readonly #maxTokens: number;
  readonly #faces: PictureFaces;

  private constructor(model: FaceLlm, options: ModelTeacherOptions) {
    const { model: name, maxTokens = 500, load } = options;
    const faces = resolvePictureFaces(options.faces, model.faces);
    this.#faces = faces;
    this.#model = model;
    this.#name = name;
    this.#maxTokens = maxTokens;
    const adapters = load?.adapter === undefined ? [] : [load.adapter].flat();
    const { deterministic } = model;
    this.identity = {
      ...{ model: name, adapters, maxTokens, dtype: model.info.dtype },
      // Where it is off, runs of before there was such a thing go on.
      ...(deterministic && { deterministic }),
      ...(typeof faces === 'object' && { faces: faceSettings(faces) }),
    };
  }

  /** @throws CheckpointError, DeviceError, NativeLoadError, InvalidArgumentError */
  static async load(options: ModelTeacherOptions): Promise<ModelTeacher> {
    const checked = checkFields(teacherOptions, options, 'the model teacher cannot be used');
    const { FaceLlm } = await import('../../model/index.js');
    return new ModelTeacher(await FaceLlm.load(checked.model, checked.load ?? {}), checked);
  }

  async answer(request: TeacherRequest, signal: AbortSignal): Promise<TeacherAnswer> {
    const { image, system, prompt: question, attempt } = request;
    // Greedy at first; the same answer would be rejected again.
    const drawing =
      attempt === 0 ? { doSample: false } : { temperature: 0.7, topP: 0.9, seed: attempt };
    const maxNewTokens = this.#maxTokens;
    const result = await this.#model
      .ask({ image, system, question, maxNewTokens, faces: this.#faces, signal, ...drawing })
      .result()
      .catch((cause: unknown) => {
        const { code, message } = cause as { readonly code?: string; readonly message: string };
        if (code === 'FACELLM_NO_FACE') throw new TeacherFailure('request', message, { cause });
        throw cause;
      });
    return {
      text: result.text,
      finish: result.finishReason === 'length' ? 'length' : 'stop',
      usage: { promptTokens: result.promptTokens, completionTokens: result.tokenIds.length },
      model: this.#name,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#model.dispose();
  }
}
