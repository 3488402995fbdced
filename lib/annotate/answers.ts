/** Everything that is asked about one face: closed questions together, texts and an object beside them, all in the engine's loop at once. */
import type { Calibration } from '../calibration/index.js';
import type { AnswerResult, ItemResult } from '../generation/index.js';
import type { ImageSource } from '../image/index.js';
import type { AskOptions, ChoosingModel, ExtractOptions, ExtractResult } from '../model/index.js';
import {
  type AnnotationField,
  type AnnotationValue,
  type ClosedField,
  isClosed,
  type TextField,
  type ValueField,
} from './columns.js';
import { type AnnotationSchema, sharesOf, valueOf } from './schema-fields.js';

/** What answers: a loaded model, or anything like it. */
export interface AnnotatingModel extends ChoosingModel {
  /** For questions of `type: 'text'`. */
  ask?(options: AskOptions): { result(): Promise<AnswerResult> };
  /** For a schema. */
  extract?(options: ExtractOptions): Promise<ExtractResult<unknown>>;
}

export interface AnnotationAnswer {
  /** Null: below the question's `minProbability`. */
  readonly best: string | null;
  /** Of the most probable one. */
  readonly probability: number;
  /** To the second. */
  readonly margin: number;
  /** By choice; they add up to 1. */
  readonly probabilities: Readonly<Record<string, number>>;
  /** Expected, where the question gives values. */
  readonly value?: number;
  /** At a temperature fitted on labels; only where the run was given a calibration. */
  readonly calibrated?: {
    /** Of the most probable one. */
    readonly probability: number;
    readonly probabilities: Readonly<Record<string, number>>;
  };
}

export interface AnnotationText {
  readonly text: string;
  /** `eos`, `stop`, `length`, ...: why it ended. */
  readonly finish: string;
}

export interface Answers {
  /** Of closed questions, and of a schema's properties of given values. */
  readonly answers: Readonly<Record<string, AnnotationAnswer>>;
  /** Of questions of `type: 'text'`; absent where there are none. */
  readonly texts?: Readonly<Record<string, AnnotationText>>;
  /** Of a schema's other properties; absent where there are none. */
  readonly values?: Readonly<Record<string, AnnotationValue>>;
}

export interface Asking {
  readonly model: AnnotatingModel;
  /** Of all questions and the schema, in the order of their columns. */
  readonly fields: readonly AnnotationField[];
  readonly schema: AnnotationSchema | undefined;
  readonly calibration: Calibration | undefined;
  readonly signal: AbortSignal;
}

/** An object that was not whole; what came of it is kept. */
export class OutOfTokens extends Error {
  readonly answers: Answers;
  constructor(answers: Answers) {
    super('the object was not whole within its tokens; give it more, in another output');
    this.answers = answers;
  }
}

/** As fp32 holds it, in nine digits: what is written is what is read again. */
const rounded = (value: number): number => Number(Math.fround(value).toPrecision(9));

function toAnswer(
  { choices, values, minProbability = 0 }: ClosedField,
  shares: readonly number[],
  calibrated: readonly number[] | undefined,
): AnnotationAnswer {
  const [first = 0, second = 0] = [...shares].sort((a, b) => b - a);
  const expected = shares.reduce((sum, share, i) => sum + share * (values?.[i] ?? 0), 0);
  const named = (all: readonly number[]): Readonly<Record<string, number>> =>
    Object.fromEntries(choices.map((choice, i) => [choice, rounded(all[i] ?? 0)]));
  return {
    best: first < minProbability ? null : (choices[shares.indexOf(first)] ?? null),
    ...{ probability: rounded(first), margin: rounded(first - second) },
    probabilities: named(shares),
    ...(values === undefined ? {} : { value: rounded(expected) }),
    ...(calibrated === undefined
      ? {}
      : {
          calibrated: {
            probability: rounded(Math.max(...calibrated)),
            probabilities: named(calibrated),
          },
        }),
  };
}

type Entry<T> = readonly (readonly [string, T])[];
interface About {
  readonly image: ImageSource | readonly ImageSource[];
  readonly faces: 'off' | 'cropped';
  readonly signal: AbortSignal;
}

async function chosen(
  { model, calibration }: Asking,
  fields: readonly ClosedField[],
  about: About,
): Promise<Entry<AnnotationAnswer>> {
  if (fields.length === 0) return [];
  const items = fields.map(({ name: id, question, choices }) => ({ id, question, choices }));
  const results = await model.choose({ ...about, items, calibration });
  return fields.map((field, i) => {
    const { choices, calibrated } = results[i] as ItemResult;
    const shares = choices.map(({ probability }) => probability);
    return [field.name, toAnswer(field, shares, calibrated?.probabilities)];
  });
}

const MOST_TOKENS = 128;

function written(
  { model }: Asking,
  fields: readonly TextField[],
  about: About,
): Promise<Entry<AnnotationText>> {
  return Promise.all(
    fields.map(async ({ name, question, maxTokens = MOST_TOKENS }) => {
      const greedy = { doSample: false, maxNewTokens: maxTokens };
      // checked before the run: the model can be asked
      const answer = await model.ask?.({ ...about, question, ...greedy }).result();
      const { text = '', finishReason = '' } = answer ?? {};
      return [name, { text: text.trim(), finish: finishReason }] as const;
    }),
  );
}

function extracted(
  { model, schema, calibration, fields }: Asking,
  about: About,
): Promise<ExtractResult<unknown> | undefined> {
  if (schema === undefined || model.extract === undefined) return Promise.resolve(undefined);
  // A calibration is of questions or of a schema: prepare() lets no run have both.
  const own = fields.every((field) => field.kind !== 'closed' || field.path !== undefined);
  return model.extract({ ...about, ...schema, calibration: own ? calibration : undefined });
}

function ofObject(
  object: ExtractResult<unknown>,
  fields: readonly AnnotationField[],
): { readonly answers: Entry<AnnotationAnswer>; readonly values: Entry<AnnotationValue> } {
  const closed = fields.filter(isClosed).filter(({ path }) => path !== undefined);
  const open = fields.filter((field): field is ValueField => 'path' in field && !isClosed(field));
  return {
    answers: closed.flatMap((field) => {
      const found = sharesOf(object, field);
      if (found === undefined) return [];
      return [[field.name, toAnswer(field, found.shares, found.calibrated)] as const];
    }),
    values: open.flatMap(({ name, path }) => {
      const found = valueOf(object, path);
      if (found === undefined) return [];
      const { value, probability } = found;
      const share = probability === null ? null : rounded(probability);
      return [[name, { value, probability: share }] as const];
    }),
  };
}

/** @throws OutOfTokens with what there is; what the model throws */
export async function answersOf(
  asking: Asking,
  image: ImageSource | readonly ImageSource[],
  faces: 'off' | 'cropped',
): Promise<Answers> {
  const { fields, signal } = asking;
  const about = { image, faces, signal };
  const questions = fields.filter(isClosed).filter(({ path }) => path === undefined);
  const texts = fields.filter((field) => field.kind === 'text');
  const [closed, open, object] = await Promise.all([
    chosen(asking, questions, about),
    written(asking, texts, about),
    extracted(asking, about),
  ]);
  const { answers = [], values = [] } = object === undefined ? {} : ofObject(object, fields);
  const all = {
    answers: Object.fromEntries([...closed, ...answers]),
    ...(texts.length > 0 && { texts: Object.fromEntries(open) }),
    ...(values.length > 0 && { values: Object.fromEntries(values) }),
  };
  if (object?.isComplete === false) throw new OutOfTokens(all);
  return all;
}
