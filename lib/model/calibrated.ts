/** Calibrations in requests: what model a file must have been fitted on, and what of an answer it scales. */
import {
  type AskedHow,
  type AskedQuestion,
  Calibration,
  type CalibrationSubject,
} from '../calibration/index.js';
import type { ChatMessage } from '../chat/index.js';
import { InvalidArgumentError } from '../errors.js';
import { sha256 } from '../files/index.js';
import type { ChoiceResult, ExtractedField, FieldValue, Form } from '../generation/index.js';
import { field, kindOf, list, type Shape } from '../options/index.js';
import type { Adapter } from './adapter.js';
import type { ModelParts } from './load.js';
import { describeWeights } from './weight-forms.js';

export interface CalibrationChoice {
  /**
   * Of `loadCalibration`: probabilities at temperatures fitted on labels are told beside the model's own. It must have been
   * fitted on this model, asked in this form, by these questions. @default none
   */
  readonly calibration?: Calibration | undefined;
}

const loaded = field<Calibration>(
  'what loadCalibration() gives',
  (value) => value instanceof Calibration,
);
export const calibrationShape: Shape<CalibrationChoice> = { calibration: loaded.optional() };

/** One, or some for several models. */
export type Calibrations = Calibration | readonly Calibration[];
export const calibrationsShape: Shape<{ readonly calibration?: Calibrations | undefined }> = {
  calibration: kindOf<Calibrations>((value) =>
    Array.isArray(value) ? list(loaded, 'a list of calibrations') : loaded,
  ).optional(),
};

/** What a loaded model is to a calibration. */
export function subjectOf(
  { checkpoint, native }: Pick<ModelParts, 'checkpoint' | 'native'>,
  adapters: readonly Adapter[],
): CalibrationSubject {
  const { dtype, weights } = native.info();
  return {
    ...{ checkpoint, dtype, weights: describeWeights(weights) },
    adapters: sortedByHash(adapters.map(({ name, facts }) => ({ name, hash: facts.contentHash }))),
  };
}

export function sortedByHash(
  adapters: CalibrationSubject['adapters'],
): CalibrationSubject['adapters'] {
  return [...adapters].sort((a, b) => (a.hash < b.hash ? -1 : 1));
}

const textOf = (choice: string | { readonly text: string }): string =>
  typeof choice === 'string' ? choice : choice.text;

/** @throws DataError FACELLM_CALIBRATION_MISMATCH; InvalidArgumentError where ends of answers are not counted */
export function checkChoices(
  { calibration }: CalibrationChoice,
  items: readonly {
    readonly question: string;
    readonly choices: readonly (string | { readonly text: string })[];
  }[],
  how: AskedHow,
  includesEnd: boolean,
): void {
  if (!includesEnd) {
    throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the request is wrong', {
      details: ['includeEnd: expected true beside a calibration, which is fitted on whole answers'],
    });
  }
  const asked = items.map(({ question, choices }) => ({ question, choices: choices.map(textOf) }));
  calibration?.check(asked, how);
}

/** With calibrated shares beside the model's own. */
export function withCalibrated(
  { calibration }: CalibrationChoice,
  question: string,
  result: ChoiceResult,
): ChoiceResult {
  if (calibration === undefined) return result;
  const asked = { question, choices: result.choices.map(({ text }) => text) };
  const logProbs = result.choices.map(({ logProb }) => logProb);
  return { ...result, calibrated: calibration.apply(asked, logProbs) };
}

/** What a schema holds to, whatever words it is written in. */
export function schemaIdentity(form: Form): string {
  return sha256(JSON.stringify(form));
}

export interface AskedTurns {
  /** Undefined of a conversation. */
  readonly question: string | undefined;
  readonly system: string | undefined;
}

/** The one question that a conversation is: pictures, then a text, after a system turn or none. */
export function askedBy(turns: readonly ChatMessage[]): AskedTurns {
  const [first, second] = turns;
  const system =
    first?.role === 'system' && typeof first.content === 'string' ? first.content : undefined;
  const user = system === undefined ? first : second;
  const isOne = user?.role === 'user' && turns.length === (system === undefined ? 1 : 2);
  if (!isOne) return { question: undefined, system };
  if (typeof user.content === 'string') return { question: user.content, system };
  const last = user.content.at(-1);
  const isLastOnly = user.content.slice(0, -1).every(({ type }) => type === 'image');
  return { question: isLastOnly && last?.type === 'text' ? last.text : undefined, system };
}

/** @throws DataError FACELLM_CALIBRATION_MISMATCH; InvalidArgumentError of a conversation */
export function checkSchema(
  { calibration }: CalibrationChoice,
  { question }: AskedTurns,
  form: Form,
  how: AskedHow,
): void {
  if (question === undefined) {
    throw new InvalidArgumentError('FACELLM_INVALID_ARGUMENT', 'the request is wrong', {
      details: ['calibration: expected one question after its pictures, not a conversation'],
    });
  }
  calibration?.check({ question, schema: schemaIdentity(form) }, how);
}

const valueText = ({ value }: FieldValue): string =>
  typeof value === 'string' ? value : JSON.stringify(value);

/** What a field's values are to a calibration. */
export function askedField(
  question: string,
  schema: string,
  { path, ...chosen }: ExtractedField,
): AskedQuestion {
  const choices = [chosen, ...chosen.alternatives].map(valueText);
  return { question, choices, field: { schema, path } };
}

/** Fields that the calibration does not know stay as they are. */
export function withCalibratedFields(
  { calibration }: CalibrationChoice,
  question: string | undefined,
  form: Form,
  fields: readonly ExtractedField[],
): readonly ExtractedField[] {
  if (calibration === undefined || question === undefined) return fields;
  const schema = schemaIdentity(form);
  return fields.map((one) => {
    const asked = askedField(question, schema, one);
    if (one.alternatives.length === 0 || !calibration.knows(asked)) return one;
    const logProbs = [one, ...one.alternatives].map(({ logProb }) => logProb);
    const [own = 0, ...others] = calibration.apply(asked, logProbs).probabilities;
    return {
      ...one,
      calibratedProbability: own,
      alternatives: one.alternatives.map((other, i) => ({
        ...other,
        calibratedProbability: others[i] ?? 0,
      })),
    };
  });
}
