/** What `compare()` is given, checked all at once before a file is read. */
import { InvalidArgumentError } from '../../errors.js';
import { checkEvaluateOptions, type EvaluateOptions } from '../evaluate-options.js';

/** Of an evaluation and of no comparison. */
const OTHERS = ['tuned', 'reading', 'gallery', 'galleryPictures', 'calibration'] as const;
type Others = (typeof OTHERS)[number];
type Own<T> = T extends unknown ? Omit<T, Others> : never;

export type CompareOptions = Own<EvaluateOptions> & {
  /** What the model is held against: a checkpoint folder, or a hub id in the local cache. @default `model`, its weights as they are stored */
  readonly against?: string | undefined;
  /** Of the reference. @default `adapter` where `against` is left out, else none */
  readonly againstAdapter?: string | readonly string[] | undefined;
  /** Beside the model the reference itself in the other dtype, bf16 against fp32: what a rounding costs. @default true */
  readonly yardstick?: boolean | undefined;
};

const OWN = ['against', 'againstAdapter', 'yardstick'] as const;

const isPath = (value: unknown): boolean => typeof value === 'string' && value !== '';

/** @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT listing everything that can be told without reading a file */
export function checkCompareOptions(options: CompareOptions): void {
  const { against, againstAdapter, yardstick }: Partial<CompareOptions> = options ?? {};
  const details = [
    ...(against === undefined || isPath(against)
      ? []
      : ['against: expected a folder, or a hub id in the local cache']),
    ...([againstAdapter ?? []].flat().every(isPath)
      ? []
      : ['againstAdapter: expected a folder or a list of folders']),
    ...(yardstick === undefined || typeof yardstick === 'boolean'
      ? []
      : ['yardstick: expected true or false']),
    ...OTHERS.filter(
      (name) => options !== null && typeof options === 'object' && name in options,
    ).map((name) => `${name}: not of a comparison`),
  ];
  if (options !== null && typeof options === 'object') {
    const { weights = 'stored' } = options;
    if (against === undefined && againstAdapter === undefined && weights === 'stored') {
      details.push(
        'against: the model would be compared with itself; name a reference, or weights in which the model is to be loaded',
      );
    }
  }
  const rest = Object.fromEntries(
    Object.entries(options ?? {}).filter(([name]) => !OWN.some((own) => own === name)),
  );
  try {
    checkEvaluateOptions(rest as unknown as EvaluateOptions);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    details.unshift(...error.details);
  }
  if (details.length === 0) return;
  throw new InvalidArgumentError(
    'FACELLM_INVALID_ARGUMENT',
    'the options of the comparison are wrong',
    { details },
  );
}
