/** A calibration in use: whether it is for this model, asked in this way, and what it makes of a question's scores. */
import { createError } from '../errors.js';
import { sha256 } from '../files/index.js';
import type { Calibrated } from '../generation/index.js';
import {
  type CalibratedQuestion,
  type CalibrationFile,
  type CalibrationSubject,
  type PromptForm,
  questionKey,
  readCalibration,
} from './calibration-file.js';
import { sharesAt } from './temperature.js';

/** What is asked: a question with its answers, of `extract` also which field of which schema. */
export type AskedQuestion = Pick<CalibratedQuestion, 'question' | 'choices' | 'field'>;

/** By whom, and in which form. */
export interface AskedHow {
  readonly model: CalibrationSubject;
  readonly form: PromptForm;
}

const DIGITS = 12;

/** Twelve digits of what a calibration is for. */
export function calibrationFingerprint({ model, form }: AskedHow): string {
  const adapters = model.adapters.map(({ hash }) => hash);
  return sha256(JSON.stringify({ ...model, adapters, form })).slice(0, DIGITS);
}

const adaptersText = ({ adapters }: CalibrationSubject): string =>
  adapters.length === 0
    ? 'none'
    : adapters.map(({ name, hash }) => `${name} (${hash.slice(0, DIGITS)})`).join(', ');

export class Calibration {
  /** Where it was read, for messages. */
  readonly name: string;
  readonly file: CalibrationFile;
  /** Of the file's bytes, in lower-case hex. */
  readonly sha256: string;
  readonly #questions: ReadonlyMap<string, CalibratedQuestion>;

  constructor(name: string, file: CalibrationFile, hash: string) {
    this.name = name;
    this.file = file;
    this.sha256 = hash;
    this.#questions = new Map(file.questions.map((one) => [questionKey(one), one]));
  }

  /** A line for each way in which a model is not the one that it was fitted on; the names of adapters do not matter. */
  otherModel(model: CalibrationSubject): string[] {
    const { model: own } = this.file;
    const hashes = (one: CalibrationSubject): string => one.adapters.map(({ hash }) => hash).join();
    const compare = (
      what: string,
      fitted: string,
      now: string,
      isSame = fitted === now,
    ): string[] => (isSame ? [] : [`${what}: fitted with ${fitted}, now ${now}`]);
    return [
      ...compare(
        'checkpoint',
        own.checkpoint.slice(0, DIGITS),
        model.checkpoint.slice(0, DIGITS),
        own.checkpoint === model.checkpoint,
      ),
      ...compare('adapters', adaptersText(own), adaptersText(model), hashes(own) === hashes(model)),
      ...compare('dtype', own.dtype, model.dtype),
      ...compare('weights', own.weights, model.weights),
    ];
  }

  #otherForm(form: PromptForm): string[] {
    const own = this.file.form;
    return (Object.keys(own) as (keyof PromptForm)[]).flatMap((key) =>
      own[key] === form[key] || [own[key], form[key]].includes('cropped')
        ? []
        : [`${key}: fitted with ${JSON.stringify(own[key])}, now ${JSON.stringify(form[key])}`],
    );
  }

  /** Whether it is for this model, asked in this form. */
  isFor(how: AskedHow): boolean {
    return this.otherModel(how.model).length + this.#otherForm(how.form).length === 0;
  }

  /** What is known of a question; undefined: it is not in the file. */
  find(asked: AskedQuestion): CalibratedQuestion | undefined {
    return this.#questions.get(questionKey(asked));
  }

  knows(asked: AskedQuestion): boolean {
    return this.find(asked) !== undefined;
  }

  /** Whether it knows any field of a schema. */
  knowsSchema(question: string, schema: string): boolean {
    return this.file.questions.some(
      (one) => one.question === question && one.field?.schema === schema,
    );
  }

  /**
   * @param questions of `choose`; a schema with its question of `extract`
   * @throws DataError FACELLM_CALIBRATION_MISMATCH naming what the file was fitted on and what is asked
   */
  check(
    questions: readonly AskedQuestion[] | { readonly question: string; readonly schema: string },
    how: AskedHow,
  ): void {
    const problems = [...this.otherModel(how.model), ...this.#otherForm(how.form)];
    if ('schema' in questions) {
      if (!this.knowsSchema(questions.question, questions.schema)) {
        problems.push(
          `${JSON.stringify(questions.question)} with this schema: no field of it is in it`,
        );
      }
    } else problems.push(...questions.flatMap((asked) => this.#unknown(asked)));
    if (problems.length === 0) return;
    throw createError(
      'FACELLM_CALIBRATION_MISMATCH',
      `${this.name} is for something else; fit one with \`facellm calibrate\` for what is asked, or leave it out`,
      { details: problems },
    );
  }

  #unknown(asked: AskedQuestion): string[] {
    if (this.knows(asked)) return [];
    const own = this.file.questions.filter(({ field }) => field === undefined);
    const near = own.find(({ question }) => question === asked.question);
    const said = JSON.stringify(asked.question);
    if (near !== undefined) {
      return [
        `${said}: fitted with the answers ${near.choices.join(', ')}, now ${asked.choices.join(', ')}`,
      ];
    }
    const names = own.map(({ question }) => JSON.stringify(question));
    return [`${said}: not in it, which has ${names.join(', ') || 'fields of schemas only'}`];
  }

  /** After {@link check}, or where {@link knows} says so. */
  apply(asked: AskedQuestion, logProbs: readonly number[]): Calibrated {
    const temperature = this.find(asked)?.temperature;
    if (temperature === undefined) throw new TypeError('the question was not checked');
    return { probabilities: sharesAt(logProbs, temperature), temperature };
  }
}

/**
 * Reads what `facellm calibrate` has written, for `choose`, `extract`, `annotate`, `evaluate` and the server.
 *
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_CALIBRATION_INVALID
 */
export async function loadCalibration(path: string): Promise<Calibration> {
  const { file, sha256: hash } = await readCalibration(path);
  return new Calibration(path, file, hash);
}
