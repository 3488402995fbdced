/** Calibrations of a server: which of them is for a request's model and form, and what of an answer it scales. */
import type { AskedHow, Calibration } from '../calibration/index.js';
import { createError } from '../errors.js';
import type { Calibrated, ItemResult } from '../generation/index.js';
import type { FaceLlm } from '../model/index.js';

export class Calibrations {
  readonly #files: readonly Calibration[];

  /**
   * Adapters that are loaded later may have theirs, too: a file must only be of this checkpoint, as it is loaded.
   *
   * @throws DataError FACELLM_CALIBRATION_MISMATCH naming each file that is for another model
   */
  constructor(model: FaceLlm, files: readonly Calibration[], canLoadAdapters: boolean) {
    this.#files = files;
    const { model: base } = model.askedHow({ adapters: null });
    const loaded = new Set(model.adapters.map(({ facts }) => facts.contentHash));
    const details = files.flatMap((file) => {
      const { adapters } = file.file.model;
      const absent = canLoadAdapters ? [] : adapters.filter(({ hash }) => !loaded.has(hash));
      return [
        ...file.otherModel({ ...base, adapters }),
        ...absent.map(({ name }) => `adapters: fitted with ${name}, which is not loaded`),
      ].map((problem) => `${file.name}: ${problem}`);
    });
    if (details.length === 0) return;
    throw createError(
      'FACELLM_CALIBRATION_MISMATCH',
      'a calibration is for another model; fit one with `facellm calibrate` for this one, or leave it out',
      { details },
    );
  }

  /** Of each answer to a question of its own; undefined where no file knows the question. */
  ofChoices(
    how: () => AskedHow,
    questions: readonly string[],
    results: readonly ItemResult[],
  ): readonly (Calibrated | undefined)[] {
    const files = this.#for(how);
    return results.map(({ choices }, i) => {
      const asked = { question: questions[i] ?? '', choices: choices.map(({ text }) => text) };
      const logProbs = choices.map(({ logProb }) => logProb);
      return files.find((file) => file.knows(asked))?.apply(asked, logProbs);
    });
  }

  /** The one that knows fields of a schema. @param schema of `schemaIdentity` */
  ofSchema(how: () => AskedHow, question: string, schema: () => string): Calibration | undefined {
    return this.#for(how).find((file) => file.knowsSchema(question, schema()));
  }

  #for(how: () => AskedHow): readonly Calibration[] {
    if (this.#files.length === 0) return [];
    const asked = how();
    return this.#files.filter((file) => file.isFor(asked));
  }
}
