/**
 * The one form in which all models of a run are asked: as they were trained where that is recorded, unless the caller
 * says otherwise. Answers to different prompts could not be compared.
 */
import type { CheckpointLayout } from '../checkpoint/index.js';
import { DEFAULT_SYSTEM, type TemplateName } from '../chat/index.js';
import { InvalidArgumentError } from '../errors.js';
import { faceSettings, type ResolvedAskedFaces } from '../faces/index.js';
import type { TilingOptions } from '../image/index.js';
import { type PromptOptions, resolvePromptOptions, type ServingSettings } from '../model/index.js';
import type { SettingValue } from './run/settings.js';

/** Prompt options with nothing left open, so that no model fills in its own. */
export interface AskedForm {
  readonly template: TemplateName;
  readonly system: string;
  readonly tiling: TilingOptions;
  readonly limitsImageArea: boolean;
  readonly applyExif: boolean;
  readonly faces: ResolvedAskedFaces | 'off';
  readonly maxPixels?: number;
}

export interface RecordOwner {
  /** Label of the model in the run. */
  readonly name: string;
  /** How it was trained, by its last adapter with a record, else by its checkpoint. */
  readonly recorded: ServingSettings | undefined;
  /** Of its checkpoint: decides the form where nothing else does. */
  readonly layout: CheckpointLayout;
}

export interface ChosenForm {
  readonly form: AskedForm;
  /** The models whose record fills in what the caller left open; empty: the defaults do. */
  readonly recordedBy: readonly string[];
}

function complete(options: PromptOptions, { recorded, layout }: RecordOwner): AskedForm {
  const { template, system, tiling, ...rest } = resolvePromptOptions(options, recorded, layout);
  const { limitsImageArea, applyExif, maxPixels, faces } = rest;
  return {
    template,
    system: system ?? (template === 'hub' ? '' : DEFAULT_SYSTEM),
    // An empty range is the checkpoint's own.
    tiling: tiling ?? {},
    limitsImageArea,
    applyExif,
    faces: faces === 'cropped' ? 'off' : faces,
    ...(maxPixels !== undefined && { maxPixels }),
  };
}

/** How each setting is called by the callers: option and flag. */
const FLAGS: Readonly<Record<string, string>> = {
  template: 'prompt.template (--template)',
  system: 'prompt.system (--system)',
  tiling: 'prompt.tiling (--tiles)',
  limitsImageArea: 'prompt.limitsImageArea (--limit-area)',
  applyExif: 'prompt.applyExif (--no-exif)',
  faces: 'prompt.faces (--faces)',
};

/**
 * Models without a record are asked as those with one.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT where two records (or, without any, the forms of two layouts)
 * differ in something that `options` leave open, with a line for each setting
 */
export function chooseForm(options: PromptOptions, owners: readonly RecordOwner[]): ChosenForm {
  const known = owners.filter(({ recorded }) => recorded !== undefined);
  const [first, ...others] = (known.length > 0 ? known : owners).map((owner) => ({
    name: owner.name,
    form: complete(options, owner),
  }));
  if (first === undefined) throw new TypeError('a run has at least one model');
  const differences = others.flatMap(({ name, form }) =>
    Object.keys(FLAGS).flatMap((key) => {
      const [one, other] = [first.form, form].map((all) => {
        return JSON.stringify((all as unknown as Record<string, unknown>)[key]);
      });
      if (one === other) return [];
      return [`${FLAGS[key]}: ${one} of ${first.name}, ${other} of ${name}`];
    }),
  );
  if (differences.length > 0) {
    throw new InvalidArgumentError(
      'FACELLM_INVALID_ARGUMENT',
      'the models of the run were made to be asked in different ways, and are compared only if both are asked in ' +
        'one: say which by these options, or score each in a run of its own',
      { details: differences },
    );
  }
  return { form: first.form, recordedBy: known.map(({ name }) => name) };
}

/** For the record of a run. */
export function formSettings(form: AskedForm): Record<string, SettingValue> {
  const { tiling, faces } = form;
  return {
    ...form,
    tiling: tiling === 'off' ? 'off' : { ...tiling },
    faces: faces === 'off' ? 'off' : { ...faceSettings(faces), onNoFace: faces.onNoFace },
  };
}
