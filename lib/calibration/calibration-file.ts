/** The file of a calibration: which model, asked how, and a temperature for each question with what it was fitted on. */
import { createError } from '../errors.js';
import { jsonFault, parseJson, readDataText } from '../files/index.js';
import {
  field,
  fields,
  flag,
  list,
  name,
  number,
  problemsOf,
  type Shape,
  text as anyText,
  whole,
  word,
} from '../options/index.js';
import { LEAST, MOST } from './temperature.js';

export const FORMAT = 'facellm-calibration-1';

/** What decides a model's scores: weights and adapters by their content, and the form in which they are computed. */
export interface CalibrationSubject {
  /** sha256 of weights (by samples of every tensor), configs, tokenizer and templates. */
  readonly checkpoint: string;
  /** Those that work, in order of their hashes; a hash holds the scale, too. */
  readonly adapters: readonly { readonly name: string; readonly hash: string }[];
  readonly dtype: 'fp32' | 'bf16';
  /** `stored`, or the forms in which linear layers keep their weights. */
  readonly weights: string;
}

/** How a prompt is written and its pictures are cut, with every default in place. */
export interface PromptForm {
  readonly template: string;
  readonly system: string;
  readonly tiles: string;
  readonly limitsImageArea: boolean;
  readonly applyExif: boolean;
  /** How faces were cut out; `off`: whole pictures; `cropped`: the caller had cut them, nobody knows how. */
  readonly faces: string;
}

/** A figure of the model's own probabilities, and of scaled ones. */
export interface Change {
  readonly before: number;
  readonly after: number;
}

/** On items whose labels had no part in the temperature by which they were scaled. */
export interface CalibrationFigures {
  readonly count: number;
  readonly accuracy: number;
  /** Expected calibration error of the most probable answer. */
  readonly ece: Change;
  /** Mean negative log-likelihood of the labels, in nats. */
  readonly nll: Change;
}

export interface CalibratedQuestion extends CalibrationFigures {
  readonly name: string;
  readonly question: string;
  readonly choices: readonly string[];
  /** Of `extract`: a field by its JSON pointer, in a schema by the sha256 of what it holds to. Absent: of `choose`. */
  readonly field?: { readonly schema: string; readonly path: string } | undefined;
  readonly temperature: number;
  /** The labels ask for a temperature beyond what is fitted. */
  readonly isAtBound: boolean;
  readonly groups: readonly (CalibrationFigures & {
    /** Column. */
    readonly by: string;
    readonly group: string;
    readonly isSmall: boolean;
  })[];
}

export interface CalibrationFile {
  readonly format: typeof FORMAT;
  /** Version that wrote it. */
  readonly facellm: string;
  /** Twelve digits of `model` and `form` together. */
  readonly fingerprint: string;
  readonly model: CalibrationSubject;
  readonly form: PromptForm;
  readonly data: { readonly benchmark: string; readonly sha256: string; readonly pictures: number };
  readonly folds: number;
  readonly seed: number;
  readonly questions: readonly CalibratedQuestion[];
}

const hash = field<string>('a sha256 in lower-case hex', (value) =>
  /^[0-9a-f]{64}$/.test(String(value)),
);
const text = name('a text of at least one character');
const share = number('a number of 0..1', 0, 1);
const change = fields<Change>({
  before: number('a number of at least 0', 0),
  after: number('a number of at least 0', 0),
});
const figures: Shape<CalibrationFigures> = {
  count: whole(1),
  accuracy: share,
  ece: change,
  nll: change,
};
const file = fields<CalibrationFile>({
  format: word(FORMAT),
  facellm: text,
  fingerprint: text,
  model: fields<CalibrationSubject>({
    checkpoint: hash,
    adapters: list(fields<CalibrationSubject['adapters'][number]>({ name: text, hash }), 'a list'),
    dtype: word('fp32', 'bf16'),
    weights: text,
  }),
  form: fields<PromptForm>({
    template: text,
    system: anyText('a text'),
    tiles: text,
    limitsImageArea: flag,
    applyExif: flag,
    faces: text,
  }),
  data: fields<CalibrationFile['data']>({ benchmark: text, sha256: hash, pictures: whole(1) }),
  folds: whole(2),
  seed: whole(0),
  questions: list(
    fields<CalibratedQuestion>({
      ...figures,
      name: text,
      question: text,
      choices: list(text, 'a list of at least two answers', 2),
      field: fields<NonNullable<CalibratedQuestion['field']>>({
        schema: hash,
        path: anyText('a JSON pointer'),
      }).optional(),
      temperature: number(`a number of ${LEAST}..${MOST}`, LEAST, MOST),
      isAtBound: flag,
      groups: list(
        fields<CalibratedQuestion['groups'][number]>({
          ...figures,
          by: text,
          group: text,
          isSmall: flag,
        }),
        'a list',
      ),
    }),
    'a list of at least one question',
    1,
  ),
});

/** Tells questions apart: the order of answers changes no probability. */
export function questionKey({
  question: asked,
  choices,
  field: place,
}: Pick<CalibratedQuestion, 'question' | 'choices' | 'field'>): string {
  return JSON.stringify([asked, [...choices].sort(), place?.schema ?? '', place?.path ?? '']);
}

function twice({ questions }: CalibrationFile): string[] {
  const keys = questions.map(questionKey);
  return questions.flatMap(({ name }, i) =>
    keys.indexOf(keys[i] ?? '') < i
      ? [`questions[${i}]: ${name} is asked by an earlier one, too`]
      : [],
  );
}

/**
 * @param path of the file, for messages
 * @throws DataError FACELLM_CALIBRATION_INVALID listing all that is wrong
 */
export function parseCalibration(content: string, path: string): CalibrationFile {
  const json = parseJson(content);
  const invalid = (summary: string, details: readonly string[] = []): Error =>
    createError('FACELLM_CALIBRATION_INVALID', summary, { details });
  if (!json.isValid) throw invalid(`${path} ${jsonFault(content, json.reason)}`);
  const parsed = file.safeParse(json.value);
  const problems = parsed.success ? twice(parsed.data) : problemsOf(parsed.error);
  if (parsed.success && problems.length === 0) return parsed.data;
  throw invalid(`${path} is no calibration that \`facellm calibrate\` has written`, problems);
}

/**
 * @returns what the file says, and the sha256 of its bytes
 * @throws DataError FACELLM_DATA_NOT_FOUND, FACELLM_CALIBRATION_INVALID
 */
export async function readCalibration(
  path: string,
): Promise<{ readonly file: CalibrationFile; readonly sha256: string }> {
  const read = await readDataText(path, (code) => `${path} cannot be read (${code})`);
  return { file: parseCalibration(read.text, path), sha256: read.sha256 };
}
